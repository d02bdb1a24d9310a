#include "livekit/received_frames.h"

#include <gst/video/video.h>

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "livekit/audio_sink.h"
#include "livekit/handed_on.h"
#include "media/gst_ptr.h"
#include "media/gstreamer.h"
#include "media/native_error.h"
#include "media/turned.h"

namespace rtcagent {

namespace {

// The first byte of an event that holds field 3, a message: video_stream_event. An event has just one field.
constexpr std::uint8_t kVideoStreamEvent = 3 << 3 | 2;

// Likewise field 4, audio_stream_event.
constexpr std::uint8_t kAudioStreamEvent = 4 << 3 | 2;

// Likewise the first two bytes of an event that holds field 18, logs.
constexpr std::uint8_t kLogs[] = {(18 & 0x0f) << 3 | 2 | 0x80, 18 >> 4};

// And the first byte of one that holds field 13, capture_audio_frame: a frame of sound was taken.
constexpr std::uint8_t kAudioFrameTaken = 13 << 3 | 2;

// A hundred times a second for each stream of sound that is sent: those of AudioSink.
bool is_own_frame_taken(const std::uint8_t* data, std::size_t size) {
    if (size == 0 || data[0] != kAudioFrameTaken) return false;
    livekit_ffi::FfiEvent event;
    return event.ParseFromArray(data, static_cast<int>(size)) && event.capture_audio_frame().async_id() == kOwnAsyncId;
}

// libwebrtc writes some hundred lines a second for debugging while it publishes, and Python would read each of them
// only to throw it away.
bool is_chatter(const std::uint8_t* data, std::size_t size) {
    if (size < sizeof(kLogs) || !std::equal(std::begin(kLogs), std::end(kLogs), data)) return false;
    livekit_ffi::FfiEvent event;
    if (!event.ParseFromArray(data, static_cast<int>(size))) return false;
    const auto& records = event.logs().records();
    return std::all_of(records.begin(), records.end(),
                       [](const auto& record) { return record.level() >= livekit_ffi::LOG_DEBUG; });
}

GstVideoFormat format_of(livekit_ffi::VideoBufferType type) {
    switch (type) {
        case livekit_ffi::I420:
        case livekit_ffi::I420A:  // its first three planes
            return GST_VIDEO_FORMAT_I420;
        case livekit_ffi::I422:
            return GST_VIDEO_FORMAT_Y42B;
        case livekit_ffi::I444:
            return GST_VIDEO_FORMAT_Y444;
        case livekit_ffi::I010:
            return GST_VIDEO_FORMAT_I420_10LE;
        case livekit_ffi::NV12:
            return GST_VIDEO_FORMAT_NV12;
        default:
            return GST_VIDEO_FORMAT_UNKNOWN;
    }
}

int degrees_of(livekit_ffi::VideoRotation rotation) {
    switch (rotation) {
        case livekit_ffi::VIDEO_ROTATION_90:
            return 90;
        case livekit_ffi::VIDEO_ROTATION_180:
            return 180;
        case livekit_ffi::VIDEO_ROTATION_270:
            return 270;
        default:
            return 0;
    }
}

// The picture in memory that GStreamer may keep: a copy, so that LiveKit's buffer is not held by an encoder.
GstPtr<GstSample> copy_of(const livekit_ffi::VideoBufferInfo& info) {
    const auto format = format_of(info.type());
    GstVideoInfo target;
    if (format == GST_VIDEO_FORMAT_UNKNOWN ||
        !gst_video_info_set_format(&target, format, info.width(), info.height())) {
        throw NativeError("INTERNAL", "the received picture is of an unknown kind");
    }
    const auto planes = GST_VIDEO_INFO_N_PLANES(&target);
    if (static_cast<guint>(info.components_size()) < planes)
        throw NativeError("INTERNAL", "the received picture lacks planes");
    const GstPtr<GstBuffer> buffer(gst_buffer_new_allocate(nullptr, GST_VIDEO_INFO_SIZE(&target), nullptr));
    GstVideoFrame frame;
    if (!buffer || !gst_video_frame_map(&frame, &target, buffer.get(), GST_MAP_WRITE)) {
        throw NativeError("INTERNAL", "no memory for the picture");
    }
    for (guint plane = 0; plane < planes; ++plane) {
        const auto& component = info.components(static_cast<int>(plane));
        const auto* from = reinterpret_cast<const std::uint8_t*>(component.data_ptr());
        auto* to = static_cast<std::uint8_t*>(GST_VIDEO_FRAME_PLANE_DATA(&frame, plane));
        const auto stride = static_cast<std::size_t>(GST_VIDEO_FRAME_PLANE_STRIDE(&frame, plane));
        // In all of these the component of the plane's number lies in it, so that its height is the plane's.
        const auto rows = static_cast<std::size_t>(GST_VIDEO_FRAME_COMP_HEIGHT(&frame, plane));
        const auto row_bytes = std::min<std::size_t>(stride, component.stride());
        for (std::size_t row = 0; row < rows; ++row)
            std::copy_n(from + row * component.stride(), row_bytes, to + row * stride);
    }
    gst_video_frame_unmap(&frame);
    const GstPtr<GstCaps> caps(gst_video_info_to_caps(&target));
    return GstPtr<GstSample>(gst_sample_new(buffer.get(), caps.get(), nullptr, nullptr));
}

}  // namespace

ReceivedFrames* ReceivedFrames::instance_ = nullptr;

ReceivedFrames& ReceivedFrames::instance(const Ffi& ffi, std::uintptr_t python_callback_address) {
    static std::mutex making;
    const std::lock_guard lock(making);
    const auto python = reinterpret_cast<EventRelay::Callback>(python_callback_address);
    if (python == nullptr) throw std::invalid_argument("python_callback_address is 0");
    if (instance_ == nullptr) {
        instance_ = new ReceivedFrames(ffi, python);
    } else if (instance_->ffi_ != ffi || instance_->relay_.python() != python) {
        throw NativeError("INTERNAL", "received frames have their taker already; there is one for the process");
    }
    return *instance_;
}

std::uintptr_t ReceivedFrames::callback_address() {
    return reinterpret_cast<std::uintptr_t>(&ReceivedFrames::on_event);
}

void ReceivedFrames::watch(Ffi::Handle stream) {
    const std::lock_guard lock(mutex_);
    streams_.try_emplace(stream);
}

void ReceivedFrames::unwatch(Ffi::Handle stream) {
    Stream gone;
    const std::lock_guard lock(mutex_);
    if (const auto it = streams_.find(stream); it != streams_.end()) {
        gone = std::move(it->second);
        streams_.erase(it);
    }
}

void ReceivedFrames::listen(Ffi::Handle stream, std::shared_ptr<MixerInput> input) {
    const std::lock_guard lock(mutex_);
    sounds_[stream].input = std::move(input);
}

void ReceivedFrames::unlisten(Ffi::Handle stream) {
    const std::lock_guard lock(mutex_);
    sounds_.erase(stream);
}

void ReceivedFrames::attach_sound(Ffi::Handle stream, std::shared_ptr<AudioConsumer> consumer) {
    const std::lock_guard lock(mutex_);
    const auto it = sounds_.find(stream);
    if (it == sounds_.end()) return;
    auto& consumers = it->second.consumers;
    if (std::find(consumers.begin(), consumers.end(), consumer) != consumers.end()) return;
    consumer->begin();
    consumers.push_back(std::move(consumer));
}

void ReceivedFrames::detach_sound(Ffi::Handle stream, const std::shared_ptr<AudioConsumer>& consumer) {
    const std::lock_guard lock(mutex_);
    if (const auto it = sounds_.find(stream); it != sounds_.end()) std::erase(it->second.consumers, consumer);
}

void ReceivedFrames::attach(Ffi::Handle stream, std::shared_ptr<FrameConsumer> consumer) {
    std::shared_ptr<const Frame> newest;
    {
        const std::lock_guard lock(mutex_);
        const auto it = streams_.find(stream);
        if (it == streams_.end()) return;
        auto& consumers = it->second.consumers;
        if (std::find(consumers.begin(), consumers.end(), consumer) != consumers.end()) return;
        consumer->begin();
        consumers.push_back(consumer);
        newest = it->second.newest;
    }
    if (newest) hand_on(newest->message_, *consumer);  // of a still screen there may be no other for long
}

void ReceivedFrames::detach(Ffi::Handle stream, const std::shared_ptr<FrameConsumer>& consumer) {
    const std::lock_guard lock(mutex_);
    if (const auto it = streams_.find(stream); it != streams_.end()) std::erase(it->second.consumers, consumer);
}

std::optional<ReceivedStats> ReceivedFrames::stats(Ffi::Handle stream) const {
    const std::lock_guard lock(mutex_);
    const auto it = streams_.find(stream);
    if (it == streams_.end()) return std::nullopt;
    ReceivedStats stats{.frames_received = it->second.frames.count(),
                        .longest_gap_us = it->second.frames.longest_gap_us()};
    if (const auto& newest = it->second.newest) {
        stats.width = static_cast<int>(newest->message_.buffer().info().width());
        stats.height = static_cast<int>(newest->message_.buffer().info().height());
    }
    return stats;
}

std::optional<Snapshot> ReceivedFrames::snapshot(Ffi::Handle stream, const std::string& image_format) const {
    std::shared_ptr<const Frame> newest;
    {
        const std::lock_guard lock(mutex_);
        if (const auto it = streams_.find(stream); it != streams_.end()) newest = it->second.newest;
    }
    if (!newest) return std::nullopt;
    ensure_gstreamer();
    auto sample = copy_of(newest->message_.buffer().info());
    if (const int degrees = degrees_of(newest->message_.rotation()); degrees != 0)
        sample = turned(sample.get(), degrees);
    return encode_snapshot(sample.get(), image_format, newest->at_us_);
}

void ReceivedFrames::on_event(const std::uint8_t* data, std::size_t size) {
    if (size > 0 && data[0] == kVideoStreamEvent) {
        instance_->take(data, size);
    } else if (size > 0 && data[0] == kAudioStreamEvent) {
        instance_->take_audio(data, size);
    } else if (!is_own_frame_taken(data, size) && !is_chatter(data, size)) {
        instance_->relay_.put(data, size);
    }
}

void ReceivedFrames::take(const std::uint8_t* data, std::size_t size) {
    livekit_ffi::FfiEvent event;
    if (!event.ParseFromArray(data, static_cast<int>(size)) || !event.video_stream_event().has_frame_received()) return;
    auto* video = event.mutable_video_stream_event();
    auto frame = std::make_shared<const Frame>(ffi_, std::move(*video->mutable_frame_received()));
    const auto newest = frame;
    std::vector<std::shared_ptr<FrameConsumer>> consumers;
    {
        const std::lock_guard lock(mutex_);
        const auto it = streams_.find(video->stream_handle());
        if (it == streams_.end()) return;
        it->second.frames.tick(monotonic_us());
        it->second.newest.swap(frame);
        consumers = it->second.consumers;
    }
    for (const auto& consumer : consumers) hand_on(newest->message_, *consumer);
}

void ReceivedFrames::take_audio(const std::uint8_t* data, std::size_t size) {
    livekit_ffi::FfiEvent event;
    if (!event.ParseFromArray(data, static_cast<int>(size))) return;
    const auto& audio = event.audio_stream_event();
    if (!audio.has_frame_received()) return;
    Sound sound;
    {
        const std::lock_guard lock(mutex_);
        if (const auto it = sounds_.find(audio.stream_handle()); it != sounds_.end()) sound = it->second;
    }
    const auto& frame = audio.frame_received().frame();
    // The streams are asked for at the mixer's rate; another one would only be heard at a wrong pitch.
    const auto* samples = reinterpret_cast<const std::int16_t*>(frame.info().data_ptr());
    const auto channels = static_cast<int>(frame.info().num_channels());
    if (sound.input && frame.info().sample_rate() == kMixRate) {
        sound.input->push(samples, frame.info().samples_per_channel(), channels);
        if (frame.info().samples_per_channel() == kSamplesPerFrame) {
            for (const auto& consumer : sound.consumers) consumer->push({.samples = samples, .channels = channels});
        }
    }
    ffi_.drop(frame.handle().id());
}

}  // namespace rtcagent
