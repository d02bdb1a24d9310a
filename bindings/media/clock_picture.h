// Draws the time of day and a moving box onto a still picture.
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include "media/gst_ptr.h"

namespace rtcagent {

// GStreamer's own clock overlay needs pango (a plugin package with X11 in it) and blends a whole picture of text; a
// copy of the frame and some filled rectangles cost a fraction of a per cent of a core. Works on the streaming thread
// of the pad.
class ClockPicture {
  public:
    ClockPicture() = default;
    ~ClockPicture();
    ClockPicture(const ClockPicture&) = delete;
    ClockPicture& operator=(const ClockPicture&) = delete;

    // Must outlive the flow through `pad`, which carries I420.
    void draw_on(GstPad* pad);

  private:
    static GstPadProbeReturn on_buffer(GstPad* pad, GstPadProbeInfo* info, gpointer self);
    bool prepare(GstPad* pad);
    GstBuffer* draw(GstBuffer* still);

    // The bars are shared by all frames, so that each is drawn on a copy; the pool spares a page fault for every page
    // of it.
    GstPtr<GstBufferPool> pool_;
    GstVideoInfo info_{};
};

}  // namespace rtcagent
