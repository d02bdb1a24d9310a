// Lets pass at most so many frames per second, by dropping; never repeats one.
#pragma once

#include <gst/gst.h>

#include <atomic>

namespace rtcagent {

// Sits before scaling and turning, so that a frame that nobody wants costs nothing; and follows timestamps, so that 30
// becomes an even 20. videorate would do it only where the rate of the input is known, which network sources lack.
class RateLimit {
  public:
    // 0: all pass.
    explicit RateLimit(double fps);
    // While frames flow; on any thread.
    void set(double fps);
    double fps() const { return fps_; }
    // Must outlive the flow through `pad`.
    void guard(GstPad* pad);
    // Whether the frame of this time passes. On the thread of the flow.
    bool passes(GstClockTime pts);

  private:
    std::atomic<double> fps_;
    GstClockTime due_ = GST_CLOCK_TIME_NONE;
};

}  // namespace rtcagent
