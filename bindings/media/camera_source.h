// Cameras through V4L2, raw or MJPEG.
#pragma once

#include <atomic>
#include <vector>

#include "media/camera_choice.h"
#include "media/cameras.h"
#include "media/source.h"

namespace rtcagent {

class CameraSource : public Source {
  public:
    explicit CameraSource(CaptureSettings settings) : settings_(std::move(settings)) {}
    void add_to(GstBin* graph, GstElement* head) override;
    Failure explain(const GError& error, const char* detail, bool had_frames) const override;
    bool update(const CaptureSettings& before, const CaptureSettings& after) override;
    std::int64_t frames_lost() const override { return lost_; }

  private:
    static GstPadProbeReturn on_buffer(GstPad* pad, GstPadProbeInfo* info, gpointer self);

    CaptureSettings settings_;
    std::vector<CameraFormat> formats_;
    CameraChoice choice_;
    guint64 last_number_ = GST_BUFFER_OFFSET_NONE;  // of the streaming thread
    std::atomic<std::int64_t> lost_ = 0;
};

}  // namespace rtcagent
