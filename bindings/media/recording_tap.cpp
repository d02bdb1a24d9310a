#include "media/recording_tap.h"

#include <algorithm>
#include <array>
#include <utility>

#include "media/frame_clock.h"

namespace rtcagent {

VideoRecordTap::VideoRecordTap(std::string key, std::shared_ptr<EventQueue> events)
    : key_(std::move(key)), events_(std::move(events)) {
}

void VideoRecordTap::push(const I420Frame& frame) {
    const std::lock_guard lock(mutex_);
    const int chroma_width = (frame.width + 1) / 2, chroma_height = (frame.height + 1) / 2;
    const std::array<int, 3> widths{frame.width, chroma_width, chroma_width};
    const std::array<int, 3> heights{frame.height, chroma_height, chroma_height};
    std::size_t size = 0;
    for (std::size_t i = 0; i < 3; ++i)
        size += static_cast<std::size_t>(widths[i]) * static_cast<std::size_t>(heights[i]);
    newest_.resize(size);
    newest_frame_ = frame;
    std::uint8_t* to = newest_.data();
    for (std::size_t i = 0; i < 3; ++i) {
        newest_frame_.planes[i] = to;
        newest_frame_.strides[i] = widths[i];
        const std::uint8_t* from = frame.planes[i];
        for (int row = 0; row < heights[i]; ++row, from += frame.strides[i]) to = std::copy_n(from, widths[i], to);
    }
    if (track_) track_->push(newest_frame_);
    if (!std::exchange(first_told_, true)) {
        events_->put({.key = key_,
                      .kind = "first_frame",
                      .width = frame.width,
                      .height = frame.height,
                      .reason = {},
                      .message = {}});
    }
}

std::shared_ptr<VideoTrack> VideoRecordTap::begin_track(bool is_h264, std::int64_t begin_us,
                                                        const RecordingEncoder::OnPacket& on_packet) {
    const std::lock_guard lock(mutex_);
    if (newest_.empty()) return nullptr;
    auto track = std::make_shared<VideoTrack>(is_h264, newest_frame_.width, newest_frame_.height, begin_us, on_packet);
    newest_frame_.timestamp_us = begin_us;
    track->push(newest_frame_);
    track_ = track;
    return track;
}

void VideoRecordTap::end_track(const std::shared_ptr<VideoTrack>& track) {
    const std::lock_guard lock(mutex_);
    if (track_ == track) track_.reset();
}

void VideoRecordTap::forget_newest() {
    const std::lock_guard lock(mutex_);
    newest_.clear();
    first_told_ = false;
}

bool VideoRecordTap::is_live() const {
    const std::lock_guard lock(mutex_);
    return !newest_.empty();
}

AudioRecordTap::AudioRecordTap(std::string key, std::shared_ptr<EventQueue> events)
    : key_(std::move(key)), events_(std::move(events)) {
}

void AudioRecordTap::push(const AudioFrame& frame) {
    const std::lock_guard lock(mutex_);
    if (track_) track_->push(frame, monotonic_us());
    if (std::exchange(channels_, frame.channels) == 0)
        events_->put({.key = key_, .kind = "first_frame", .reason = {}, .message = {}});
}

std::shared_ptr<AudioTrack> AudioRecordTap::begin_track(bool is_aac, std::int64_t begin_us,
                                                        const RecordingEncoder::OnPacket& on_packet) {
    const std::lock_guard lock(mutex_);
    if (channels_ == 0) return nullptr;
    track_ = std::make_shared<AudioTrack>(is_aac, channels_, begin_us, on_packet);
    return track_;
}

void AudioRecordTap::end_track(const std::shared_ptr<AudioTrack>& track) {
    const std::lock_guard lock(mutex_);
    if (track_ == track) track_.reset();
}

}  // namespace rtcagent
