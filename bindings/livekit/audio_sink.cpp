#include "livekit/audio_sink.h"

#include <stdexcept>
#include <utility>

namespace rtcagent {

AudioSink::AudioSink(std::string key, std::shared_ptr<const Ffi> ffi, Ffi::Handle source, int channels,
                     std::shared_ptr<EventQueue> events)
    : key_(std::move(key)), ffi_(std::move(ffi)), channels_(channels), events_(std::move(events)) {
    if (channels_ != 1 && channels_ != 2) throw std::invalid_argument("sound is sent with 1 or 2 channels");
    auto* capture = request_.mutable_capture_audio_frame();
    capture->set_source_handle(source);
    capture->set_request_async_id(kOwnAsyncId);
    auto* buffer = capture->mutable_buffer();
    buffer->set_num_channels(static_cast<std::uint32_t>(channels_));
    buffer->set_sample_rate(kAudioRate);
    buffer->set_samples_per_channel(kSamplesPerFrame);
}

void AudioSink::set_open(bool is_open) {
    const std::lock_guard lock(gate_);
    if (open_ == is_open) return;
    open_ = is_open;
    frames_.pause();  // the time while it was closed is no gap
}

AudioSinkStats AudioSink::stats() const {
    const std::lock_guard lock(gate_);
    return {.frames_pushed = frames_.count(),
            .frames_gated = gated_,
            .longest_gap_us = frames_.longest_gap_us(),
            .last_pushed_us = last_us_};
}

void AudioSink::begin() {
    const std::lock_guard lock(gate_);
    frames_.pause();
}

void AudioSink::push(const AudioFrame& frame) {
    const std::lock_guard lock(gate_);
    if (!open_) {
        ++gated_;
        return;
    }
    if (!hand_on(frame)) {
        if (!std::exchange(refusal_told_, true)) {
            events_->put(
                {.key = key_, .kind = "failed", .reason = "INTERNAL", .message = "LiveKit refused a frame of sound"});
        }
        return;
    }
    refusal_told_ = false;
    last_us_ = monotonic_us();
    frames_.tick(last_us_);
    if (!std::exchange(first_told_, true))
        events_->put({.key = key_, .kind = "first_frame", .reason = {}, .message = {}});
}

bool AudioSink::hand_on(const AudioFrame& frame) {
    const std::int16_t* samples = frame.samples;
    if (frame.channels != channels_) {
        for (std::size_t i = 0; i < kSamplesPerFrame; ++i) {
            if (channels_ == 2) {
                mixed_[2 * i] = mixed_[2 * i + 1] = samples[i];
            } else {
                mixed_[i] = static_cast<std::int16_t>((samples[2 * i] + samples[2 * i + 1]) / 2);
            }
        }
        samples = mixed_.data();
    }
    request_.mutable_capture_audio_frame()->mutable_buffer()->set_data_ptr(reinterpret_cast<std::uintptr_t>(samples));
    request_.SerializeToString(&serialised_);
    return ffi_->request(reinterpret_cast<const std::uint8_t*>(serialised_.data()), serialised_.size());
}

}  // namespace rtcagent
