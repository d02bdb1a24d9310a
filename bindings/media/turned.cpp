#include "media/turned.h"

#include <gst/video/video.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "media/native_error.h"

namespace rtcagent {

namespace {

enum class Turn { kMirrored, k90, k180, k270 };

void turn_component(const GstVideoFrame& from, GstVideoFrame& to, guint component, Turn turn) {
    const auto* source = static_cast<const std::uint8_t*>(GST_VIDEO_FRAME_COMP_DATA(&from, component));
    auto* target = static_cast<std::uint8_t*>(GST_VIDEO_FRAME_COMP_DATA(&to, component));
    const std::ptrdiff_t source_stride = GST_VIDEO_FRAME_COMP_STRIDE(&from, component);
    const std::ptrdiff_t target_stride = GST_VIDEO_FRAME_COMP_STRIDE(&to, component);
    const std::ptrdiff_t pixel = GST_VIDEO_FRAME_COMP_PSTRIDE(&from, component);
    const auto bytes = static_cast<std::size_t>((GST_VIDEO_FRAME_COMP_DEPTH(&from, component) + 7) / 8);
    const int width = GST_VIDEO_FRAME_COMP_WIDTH(&to, component);
    const int height = GST_VIDEO_FRAME_COMP_HEIGHT(&to, component);
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            int column = width - 1 - x;
            int row = y;
            if (turn == Turn::k90) {
                column = y;
                row = width - 1 - x;
            } else if (turn == Turn::k180) {
                row = height - 1 - y;
            } else if (turn == Turn::k270) {
                column = height - 1 - y;
                row = x;
            }
            std::memcpy(target + y * target_stride + x * pixel, source + row * source_stride + column * pixel, bytes);
        }
    }
}

GstPtr<GstSample> with_turn(GstSample* sample, Turn turn) {
    GstVideoInfo info, turned_info;
    if (!gst_video_info_from_caps(&info, gst_sample_get_caps(sample)))
        throw NativeError("INTERNAL", "a frame of no known format");
    const bool sideways = turn == Turn::k90 || turn == Turn::k270;
    const auto width = static_cast<guint>(sideways ? GST_VIDEO_INFO_HEIGHT(&info) : GST_VIDEO_INFO_WIDTH(&info));
    const auto height = static_cast<guint>(sideways ? GST_VIDEO_INFO_WIDTH(&info) : GST_VIDEO_INFO_HEIGHT(&info));
    gst_video_info_set_format(&turned_info, GST_VIDEO_INFO_FORMAT(&info), width, height);
    const GstPtr<GstBuffer> buffer(gst_buffer_new_allocate(nullptr, GST_VIDEO_INFO_SIZE(&turned_info), nullptr));
    GstVideoFrame from, to;
    if (!buffer || !gst_video_frame_map(&from, &info, gst_sample_get_buffer(sample), GST_MAP_READ)) {
        throw NativeError("INTERNAL", "no memory for the picture");
    }
    if (!gst_video_frame_map(&to, &turned_info, buffer.get(), GST_MAP_WRITE)) {
        gst_video_frame_unmap(&from);
        throw NativeError("INTERNAL", "no memory for the picture");
    }
    for (guint component = 0; component < GST_VIDEO_INFO_N_COMPONENTS(&info); ++component) {
        turn_component(from, to, component, turn);
    }
    gst_video_frame_unmap(&to);
    gst_video_frame_unmap(&from);
    const GstPtr<GstCaps> caps(gst_video_info_to_caps(&turned_info));
    return GstPtr<GstSample>(gst_sample_new(buffer.get(), caps.get(), nullptr, nullptr));
}

}  // namespace

GstPtr<GstSample> turned(GstSample* sample, int degrees) {
    return with_turn(sample, degrees == 90 ? Turn::k90 : degrees == 180 ? Turn::k180 : Turn::k270);
}

GstPtr<GstSample> mirrored(GstSample* sample) {
    return with_turn(sample, Turn::kMirrored);
}

}  // namespace rtcagent
