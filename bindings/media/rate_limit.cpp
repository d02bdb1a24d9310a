#include "media/rate_limit.h"

namespace rtcagent {

RateLimit::RateLimit(double fps) : fps_(fps) {
}

void RateLimit::set(double fps) {
    fps_ = fps;
}

void RateLimit::guard(GstPad* pad) {
    const auto probe = [](GstPad*, GstPadProbeInfo* info, gpointer self) {
        const auto pts = GST_BUFFER_PTS(GST_PAD_PROBE_INFO_BUFFER(info));
        return static_cast<RateLimit*>(self)->passes(pts) ? GST_PAD_PROBE_OK : GST_PAD_PROBE_DROP;
    };
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, probe, this, nullptr);
}

bool RateLimit::passes(GstClockTime pts) {
    const double fps = fps_;
    if (!GST_CLOCK_TIME_IS_VALID(pts) || fps <= 0) return true;
    const auto period = static_cast<GstClockTime>(GST_SECOND / fps);
    const bool jumped = !GST_CLOCK_TIME_IS_VALID(due_) || pts > due_ + period || pts + 2 * period < due_;
    if (jumped) {
        due_ = pts + period;
        return true;
    }
    // Half a period of tolerance, so that a camera of just this rate loses nothing to its jitter; the average holds all
    // the same, since what is due moves on by whole periods.
    if (pts + period / 2 < due_) return false;
    due_ += period;
    return true;
}

}  // namespace rtcagent
