// One picture as an image file.
#pragma once

#include <gst/gst.h>

#include <cstdint>
#include <string>

namespace rtcagent {

struct Snapshot {
    std::string image;
    int width = 0;
    int height = 0;
    std::int64_t captured_at_us = 0;
};

// `image_format` is "png" or "jpeg", else std::invalid_argument. NativeError when the picture cannot be encoded.
Snapshot encode_snapshot(GstSample* sample, const std::string& image_format, std::int64_t captured_at_us);

}  // namespace rtcagent
