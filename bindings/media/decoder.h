// Finds and links what decodes a stream of unknown kind.
#pragma once

#include <gst/gst.h>

namespace rtcagent {

enum class Media { kVideo, kAudio };

// A decoder in `graph` whose first stream of this kind goes to `head`, as soon as that is known; the other kind is left
// undecoded. The element that is returned takes the encoded stream.
GstElement* add_decoder(GstBin* graph, GstElement* head, Media media = Media::kVideo);

}  // namespace rtcagent
