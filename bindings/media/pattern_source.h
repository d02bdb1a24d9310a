// Test pictures.
#pragma once

#include "media/clock_picture.h"
#include "media/gst_ptr.h"
#include "media/source.h"

namespace rtcagent {

class PatternSource : public Source {
  public:
    explicit PatternSource(CaptureSettings settings) : settings_(std::move(settings)) {}
    void add_to(GstBin* graph, GstElement* head) override;
    bool update(const CaptureSettings& before, const CaptureSettings& after) override;
    Failure explain(const GError& error, const char* detail, bool had_frames) const override;

  private:
    static GstPtr<GstCaps> caps_of(const CaptureSettings& settings);

    CaptureSettings settings_;
    GstElement* format_ = nullptr;  // the graph's
    ClockPicture clock_;
};

}  // namespace rtcagent
