// Test pictures.
#pragma once

#include "media/clock_picture.h"
#include "media/source.h"

namespace rtcagent {

class PatternSource : public Source {
  public:
    explicit PatternSource(CaptureSettings settings) : settings_(std::move(settings)) {}
    void add_to(GstBin* graph, GstElement* head) override;
    Failure explain(const GError& error, const char* detail, bool had_frames) const override;

  private:
    CaptureSettings settings_;
    ClockPicture clock_;
};

}  // namespace rtcagent
