#include "livekit/frame_sink.h"

#include <utility>

namespace rtcagent {

FrameSink::FrameSink(std::string key, std::shared_ptr<const Ffi> ffi, Ffi::Handle source,
                     std::shared_ptr<EventQueue> events)
    : key_(std::move(key)), ffi_(std::move(ffi)), events_(std::move(events)) {
    auto* capture = request_.mutable_capture_video_frame();
    capture->set_source_handle(source);
    capture->set_rotation(livekit_ffi::VIDEO_ROTATION_0);
    auto* buffer = capture->mutable_buffer();
    buffer->set_type(livekit_ffi::I420);
    for (int plane = 0; plane < 3; ++plane) buffer->add_components();
}

void FrameSink::set_open(bool is_open) {
    const std::lock_guard lock(gate_);
    if (open_ == is_open) return;
    open_ = is_open;
    frames_.pause();  // the time while it was closed is no gap
}

FrameSinkStats FrameSink::stats() const {
    const std::lock_guard lock(gate_);
    return {.frames_pushed = frames_.count(),
            .frames_gated = gated_,
            .longest_gap_us = frames_.longest_gap_us(),
            .slate_frames_pushed = slates_,
            .last_pushed_us = last_us_};
}

void FrameSink::begin() {
    const std::lock_guard lock(gate_);
    frames_.pause();
}

void FrameSink::push(const I420Frame& frame) {
    const std::lock_guard lock(gate_);
    if (!open_) {
        ++gated_;
        return;
    }
    if (!hand_on(frame)) {
        if (!std::exchange(refusal_told_, true)) {
            events_->put(
                {.key = key_, .kind = "failed", .reason = "INTERNAL", .message = "LiveKit refused a video frame"});
        }
        return;
    }
    refusal_told_ = false;
    last_us_ = monotonic_us();
    if (frame.is_slate) {
        ++slates_;
        frames_.pause();
        return;
    }
    frames_.tick(last_us_);
    if (!std::exchange(first_told_, true)) {
        events_->put({.key = key_,
                      .kind = "first_frame",
                      .width = frame.width,
                      .height = frame.height,
                      .reason = {},
                      .message = {}});
    }
}

bool FrameSink::hand_on(const I420Frame& frame) {
    auto* capture = request_.mutable_capture_video_frame();
    capture->set_timestamp_us(frame.timestamp_us);
    auto* buffer = capture->mutable_buffer();
    buffer->set_width(static_cast<std::uint32_t>(frame.width));
    buffer->set_height(static_cast<std::uint32_t>(frame.height));
    buffer->set_data_ptr(reinterpret_cast<std::uintptr_t>(frame.planes[0]));
    for (std::size_t plane = 0; plane < frame.planes.size(); ++plane) {
        auto* component = buffer->mutable_components(static_cast<int>(plane));
        const int rows = plane == 0 ? frame.height : (frame.height + 1) / 2;
        component->set_data_ptr(reinterpret_cast<std::uintptr_t>(frame.planes[plane]));
        component->set_stride(static_cast<std::uint32_t>(frame.strides[plane]));
        component->set_size(static_cast<std::uint32_t>(frame.strides[plane] * rows));
    }
    request_.SerializeToString(&serialised_);
    return ffi_->request(reinterpret_cast<const std::uint8_t*>(serialised_.data()), serialised_.size());
}

}  // namespace rtcagent
