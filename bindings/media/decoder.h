// Finds and links what decodes a stream of unknown kind.
#pragma once

#include <gst/gst.h>

namespace rtcagent {

// A decoder in `graph` whose first video goes to `head`, as soon as its kind is known; sound is left undecoded. The
// element that is returned takes the encoded stream.
GstElement* add_decoder(GstBin* graph, GstElement* head);

}  // namespace rtcagent
