// Cameras and servers that speak RTSP.
#pragma once

#include "media/source.h"

namespace rtcagent {

class RtspSource : public Source {
  public:
    explicit RtspSource(CaptureSettings settings) : settings_(std::move(settings)) {}
    void add_to(GstBin* graph, GstElement* head) override;
    Failure explain(const GError& error, const char* detail, bool had_frames) const override;

  private:
    CaptureSettings settings_;
};

}  // namespace rtcagent
