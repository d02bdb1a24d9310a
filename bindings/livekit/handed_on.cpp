#include "livekit/handed_on.h"

#include <libyuv/convert.h>
#include <libyuv/rotate.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "media/frame_clock.h"

namespace rtcagent {

namespace {

// Memory for a picture; each thread that hands frames on has its own, used again for every frame.
struct Scratch {
    std::vector<std::uint8_t> data;

    I420Frame make(int width, int height) {
        const int chroma_width = (width + 1) / 2;
        const auto luma = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
        const auto chroma = static_cast<std::size_t>(chroma_width) * static_cast<std::size_t>((height + 1) / 2);
        data.resize(luma + 2 * chroma);
        return {.planes = {data.data(), data.data() + luma, data.data() + luma + chroma},
                .strides = {width, chroma_width, chroma_width},
                .width = width,
                .height = height,
                .timestamp_us = 0};
    }
};

std::uint8_t* written(const std::uint8_t* plane) {
    return const_cast<std::uint8_t*>(plane);  // of a scratch
}

}  // namespace

void hand_on(const livekit_ffi::VideoFrameReceived& received, FrameConsumer& consumer) {
    thread_local Scratch converted, turned;
    const auto& info = received.buffer().info();
    const int width = static_cast<int>(info.width());
    const int height = static_cast<int>(info.height());
    const auto plane = [&](int i) { return reinterpret_cast<const std::uint8_t*>(info.components(i).data_ptr()); };
    const auto plane16 = [&](int i) { return reinterpret_cast<const std::uint16_t*>(info.components(i).data_ptr()); };
    const auto stride = [&](int i) { return static_cast<int>(info.components(i).stride()); };
    const int planes = info.type() == livekit_ffi::NV12 ? 2 : 3;
    if (width <= 0 || height <= 0 || info.components_size() < planes) return;
    I420Frame frame;
    const auto into = [&] {
        frame = converted.make(width, height);
        return std::array<std::uint8_t*, 3>{written(frame.planes[0]), written(frame.planes[1]),
                                            written(frame.planes[2])};
    };
    switch (info.type()) {
        case livekit_ffi::I420:
        case livekit_ffi::I420A:
            frame = {.planes = {plane(0), plane(1), plane(2)},
                     .strides = {stride(0), stride(1), stride(2)},
                     .width = width,
                     .height = height,
                     .timestamp_us = 0};
            break;
        case livekit_ffi::NV12: {
            const auto to = into();
            libyuv::NV12ToI420(plane(0), stride(0), plane(1), stride(1), to[0], frame.strides[0], to[1],
                               frame.strides[1], to[2], frame.strides[2], width, height);
            break;
        }
        case livekit_ffi::I422: {
            const auto to = into();
            libyuv::I422ToI420(plane(0), stride(0), plane(1), stride(1), plane(2), stride(2), to[0], frame.strides[0],
                               to[1], frame.strides[1], to[2], frame.strides[2], width, height);
            break;
        }
        case livekit_ffi::I444: {
            const auto to = into();
            libyuv::I444ToI420(plane(0), stride(0), plane(1), stride(1), plane(2), stride(2), to[0], frame.strides[0],
                               to[1], frame.strides[1], to[2], frame.strides[2], width, height);
            break;
        }
        case livekit_ffi::I010: {  // strides in bytes, libyuv's in samples
            const auto to = into();
            libyuv::I010ToI420(plane16(0), stride(0) / 2, plane16(1), stride(1) / 2, plane16(2), stride(2) / 2, to[0],
                               frame.strides[0], to[1], frame.strides[1], to[2], frame.strides[2], width, height);
            break;
        }
        default:
            return;
    }
    const auto rotation = received.rotation();
    if (rotation != livekit_ffi::VIDEO_ROTATION_0) {
        const bool sideways = rotation != livekit_ffi::VIDEO_ROTATION_180;
        const auto upright = sideways ? turned.make(height, width) : turned.make(width, height);
        const auto mode = rotation == livekit_ffi::VIDEO_ROTATION_90    ? libyuv::kRotate90
                          : rotation == livekit_ffi::VIDEO_ROTATION_180 ? libyuv::kRotate180
                                                                        : libyuv::kRotate270;
        libyuv::I420Rotate(frame.planes[0], frame.strides[0], frame.planes[1], frame.strides[1], frame.planes[2],
                           frame.strides[2], written(upright.planes[0]), upright.strides[0], written(upright.planes[1]),
                           upright.strides[1], written(upright.planes[2]), upright.strides[2], width, height, mode);
        frame = upright;
    }
    frame.timestamp_us = monotonic_us();
    consumer.push(frame);
}

}  // namespace rtcagent
