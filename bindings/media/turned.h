// Turns one picture; for snapshots of video that is sent with the order to turn it, as telephones do.
#pragma once

#include <gst/gst.h>

#include "media/gst_ptr.h"

namespace rtcagent {

// `degrees` clockwise: 90, 180 or 270. Any planar format, pixel by pixel: not for streams.
GstPtr<GstSample> turned(GstSample* sample, int degrees);

// Left and right exchanged.
GstPtr<GstSample> mirrored(GstSample* sample);

}  // namespace rtcagent
