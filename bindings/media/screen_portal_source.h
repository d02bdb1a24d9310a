// A screen that the desktop's portal gave as a stream of PipeWire.
#pragma once

#include <gst/gst.h>

#include <mutex>

#include "media/source.h"

namespace rtcagent {

// pipewiresrc neither fails nor ends when its stream goes away: that no frame comes must be watched. While a screen is
// still it sends its last picture again, so that a still one can be told from that.
class ScreenPortalSource : public Source {
  public:
    explicit ScreenPortalSource(CaptureSettings settings) : settings_(std::move(settings)) {}
    void add_to(GstBin* graph, GstElement* head) override;
    Failure explain(const GError& error, const char* detail, bool had_frames) const override;

  private:
    static GstPadProbeReturn on_caps(GstPad* pad, GstPadProbeInfo* info, gpointer self);

    CaptureSettings settings_;
    GstElement* crop_ = nullptr;  // the graph's
};

}  // namespace rtcagent
