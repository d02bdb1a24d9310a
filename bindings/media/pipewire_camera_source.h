// Cameras that PipeWire has and V4L2 has not: virtual ones, and those of libcamera.
#pragma once

#include <string>

#include "media/source.h"

namespace rtcagent {

inline constexpr const char* kPipeWirePath = "pipewire:";  // and the node's name, in place of a path in /dev

class PipeWireCameraSource : public Source {
  public:
    explicit PipeWireCameraSource(CaptureSettings settings) : settings_(std::move(settings)) {}
    void add_to(GstBin* graph, GstElement* head) override;
    Failure explain(const GError& error, const char* detail, bool had_frames) const override;

  private:
    CaptureSettings settings_;
};

}  // namespace rtcagent
