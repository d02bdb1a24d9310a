#include "media/snapshot.h"

#include <gst/video/video.h>

#include <stdexcept>

#include "media/gst_ptr.h"
#include "media/native_error.h"

namespace rtcagent {

Snapshot encode_snapshot(GstSample* sample, const std::string& image_format, std::int64_t captured_at_us) {
    if (image_format != "png" && image_format != "jpeg") {
        throw std::invalid_argument("image_format: must be png or jpeg, not '" + image_format + "'");
    }
    GstVideoInfo info;
    if (!gst_video_info_from_caps(&info, gst_sample_get_caps(sample))) {
        throw NativeError("INTERNAL", "the frame has no known format");
    }
    const GstPtr<GstCaps> wanted(gst_caps_new_empty_simple(("image/" + image_format).c_str()));
    GError* raw = nullptr;
    const GstPtr<GstSample> encoded(gst_video_convert_sample(sample, wanted.get(), 10 * GST_SECOND, &raw));
    const GstPtr<GError> error(raw);
    if (!encoded) {
        throw NativeError(
            "INTERNAL", std::string("the picture cannot be encoded: ") + (error ? error->message : "no reason given"));
    }
    Snapshot snapshot{.image = {},
                      .width = GST_VIDEO_INFO_WIDTH(&info),
                      .height = GST_VIDEO_INFO_HEIGHT(&info),
                      .captured_at_us = captured_at_us};
    GstMapInfo map;
    if (!gst_buffer_map(gst_sample_get_buffer(encoded.get()), &map, GST_MAP_READ)) {
        throw NativeError("INTERNAL", "the encoded picture cannot be read");
    }
    snapshot.image.assign(reinterpret_cast<const char*>(map.data), map.size);
    gst_buffer_unmap(gst_sample_get_buffer(encoded.get()), &map);
    return snapshot;
}

}  // namespace rtcagent
