// Raw video files (YUV4MPEG2).
#pragma once

#include <gst/app/gstappsrc.h>
#include <gst/video/video.h>

#include <cstdint>
#include <string>

#include "media/gst_ptr.h"
#include "media/source.h"

namespace rtcagent {

bool is_y4m(const std::string& path);

// Reads each frame straight into a frame buffer: no adapter, no second copy, and a loop has no seam.
class Y4mSource : public Source {
  public:
    explicit Y4mSource(CaptureSettings settings) : settings_(std::move(settings)) {}
    ~Y4mSource() override;
    void add_to(GstBin* graph, GstElement* head) override;
    Failure explain(const GError& error, const char* detail, bool had_frames) const override;
    bool needs_pacing() const override { return true; }

  private:
    static void on_need_data(GstAppSrc* appsrc, guint length, gpointer self);
    void read_header();
    void give_next(GstAppSrc* appsrc);
    bool read_frame(GstBuffer* buffer);

    CaptureSettings settings_;
    int fd_ = -1;
    GstVideoInfo info_{};
    GstPtr<GstBufferPool> pool_;
    // Of the streaming thread, after add_to.
    std::int64_t first_frame_at_ = 0;
    std::int64_t position_ = 0;
    std::uint64_t frames_given_ = 0;
};

}  // namespace rtcagent
