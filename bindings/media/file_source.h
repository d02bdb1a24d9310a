// Media files that GStreamer decodes.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "media/decoder.h"
#include "media/source.h"

namespace rtcagent {

// NativeError URL_INVALID unless `path` is a file that can be read.
void require_readable_file(const std::string& path);

class FileSource : public Source {
  public:
    explicit FileSource(CaptureSettings settings, Media media = Media::kVideo)
        : settings_(std::move(settings)), media_(media) {}
    ~FileSource() override { end(); }
    void add_to(GstBin* graph, GstElement* head) override;
    Failure explain(const GError& error, const char* detail, bool had_frames) const override;
    bool needs_pacing() const override { return true; }
    void begin(GstElement* graph) override;
    void end() override;
    bool restarts(End end) override;

  private:
    void rewind_on_demand(const std::stop_token& stopping, GstElement* graph);

    CaptureSettings settings_;
    Media media_;
    // A streaming thread cannot seek its own stream: it asks this thread, which lives from begin() to end().
    std::jthread rewinder_;
    std::mutex mutex_;
    std::condition_variable_any asked_;
    std::optional<End> request_;
};

}  // namespace rtcagent
