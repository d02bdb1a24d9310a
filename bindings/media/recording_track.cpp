#include "media/recording_track.h"

#include <libyuv/scale.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <vector>

#include "media/frame_clock.h"
#include "media/gstreamer.h"

namespace rtcagent {

namespace {

constexpr int kNice = 10;  // of encoding: what is live comes first
constexpr std::uint64_t kPicturesWaiting = 8;
constexpr std::uint64_t kSoundWaiting = 300;  // of 10 ms, or longer ones of silence
constexpr std::int64_t kRepeatUs = 1'000'000;
// Sound that is as late as this does not come from a slow thread: something is missing.
constexpr std::int64_t kGapUs = 300'000;
// How far sound may be from its time. Frames come late now and then and never too early: the least late of a second
// tells how two clocks go apart.
constexpr std::int64_t kOffUs = 40'000;
constexpr int kWindow = 100;
constexpr std::int64_t kFillBehindUs = 500'000;

// A bitrate at which an ordinary picture keeps its sharpness: about 2.5 Mbps for 1280x720.
int bitrate_of(int width, int height) {
    return std::clamp(width * height * 27 / 10, 250'000, 12'000'000);
}

std::string video_encoder(bool is_h264, int width, int height) {
    const auto bps = std::to_string(bitrate_of(width, height));
    if (is_h264) {
        return "openh264enc usage-type=camera complexity=low rate-control=bitrate bitrate=" + bps +
               " gop-size=60 multi-thread=1 ! h264parse ! video/x-h264,stream-format=avc,alignment=au";
    }
    return "vp8enc deadline=1 cpu-used=8 threads=1 end-usage=vbr keyframe-max-dist=60 lag-in-frames=0 target-bitrate=" +
           bps;
}

std::string audio_encoder(bool is_aac, int channels) {
    if (is_aac) return "audioconvert ! avenc_aac bitrate=" + std::to_string(channels * 80'000);
    return "opusenc bitrate=" + std::to_string(channels * 64'000) + " bitrate-type=vbr";
}

GstPtr<GstCaps> video_caps(int width, int height) {
    return GstPtr<GstCaps>(gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, "I420", "width", G_TYPE_INT,
                                               width, "height", G_TYPE_INT, height, "framerate", GST_TYPE_FRACTION, 0,
                                               1, "pixel-aspect-ratio", GST_TYPE_FRACTION, 1, 1, nullptr));
}

GstPtr<GstCaps> audio_caps(int channels) {
    return GstPtr<GstCaps>(gst_caps_new_simple("audio/x-raw", "format", G_TYPE_STRING, "S16LE", "layout", G_TYPE_STRING,
                                               "interleaved", "rate", G_TYPE_INT, kAudioRate, "channels", G_TYPE_INT,
                                               channels, nullptr));
}

std::string bytes_of(GstBuffer* buffer) {
    std::string bytes(gst_buffer_get_size(buffer), '\0');
    gst_buffer_extract(buffer, 0, bytes.data(), bytes.size());
    return bytes;
}

// What caps say of a codec: H.264's and AAC's configuration, or the first of Opus's headers.
std::optional<std::string> private_of(GstCaps* caps, const std::string& codec) {
    if (codec == "vp8") return std::string();
    const GstStructure* structure = gst_caps_get_structure(caps, 0);
    const GValue* value = gst_structure_get_value(structure, codec == "opus" ? "streamheader" : "codec_data");
    if (value != nullptr && codec == "opus") value = gst_value_array_get_value(value, 0);
    GstBuffer* buffer = value != nullptr ? gst_value_get_buffer(value) : nullptr;
    return buffer != nullptr ? std::optional(bytes_of(buffer)) : std::nullopt;
}

}  // namespace

RecordingEncoder::RecordingEncoder(GstCaps* caps, const std::string& what, const std::string& codec,
                                   std::uint64_t max_waiting, OnPacket on_packet)
    : codec_(codec), max_waiting_(max_waiting), on_packet_(std::move(on_packet)) {
    ensure_gstreamer();
    GError* raw = nullptr;
    const std::string description = "appsrc name=source ! " + what + " ! appsink name=sink";
    pipeline_.reset(gst_parse_launch(description.c_str(), &raw));
    const GstPtr<GError> error(raw);
    if (pipeline_) gst_object_ref_sink(pipeline_.get());
    if (!pipeline_ || error)
        throw NativeError("INTERNAL", std::string("recording needs an encoder that this machine lacks: ") +
                                          (error ? error->message : what.c_str()));
    const GstPtr<GstElement> source(gst_bin_get_by_name(GST_BIN(pipeline_.get()), "source"));
    const GstPtr<GstElement> sink(gst_bin_get_by_name(GST_BIN(pipeline_.get()), "sink"));
    source_ = source.get();  // the pipeline has it
    g_object_set(source_, "caps", caps, "format", GST_FORMAT_TIME, "block", FALSE, "max-buffers", guint64{0},
                 "max-bytes", guint64{0}, nullptr);
    g_object_set(sink.get(), "sync", FALSE, "async", FALSE, "enable-last-sample", FALSE, nullptr);
    GstAppSinkCallbacks callbacks{};
    callbacks.new_sample = &RecordingEncoder::on_sample;
    callbacks.eos = &RecordingEncoder::on_eos;
    gst_app_sink_set_callbacks(GST_APP_SINK(sink.get()), &callbacks, this, nullptr);
    const GstPtr<GstBus> bus(gst_element_get_bus(pipeline_.get()));
    gst_bus_set_sync_handler(bus.get(), &RecordingEncoder::on_message, this, nullptr);
    gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING);
}

RecordingEncoder::~RecordingEncoder() {
    gst_element_set_state(pipeline_.get(), GST_STATE_NULL);  // joins its threads
    const GstPtr<GstBus> bus(gst_element_get_bus(pipeline_.get()));
    gst_bus_set_sync_handler(bus.get(), nullptr, nullptr, nullptr);
}

bool RecordingEncoder::is_full() const {
    return gst_app_src_get_current_level_buffers(GST_APP_SRC(source_)) >= max_waiting_;
}

void RecordingEncoder::push(GstPtr<GstBuffer> buffer) {
    gst_app_src_push_buffer(GST_APP_SRC(source_), buffer.release());
}

void RecordingEncoder::finish(std::int64_t timeout_us) {
    gst_app_src_end_of_stream(GST_APP_SRC(source_));
    std::unique_lock lock(mutex_);
    ended_.wait_for(lock, std::chrono::microseconds(timeout_us), [this] { return is_over_; });
}

std::optional<std::string> RecordingEncoder::codec_private() const {
    const std::lock_guard lock(mutex_);
    return private_;
}

std::optional<Failure> RecordingEncoder::failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
}

GstFlowReturn RecordingEncoder::on_sample(GstAppSink* appsink, gpointer self) {
    if (const GstPtr<GstSample> sample{gst_app_sink_pull_sample(appsink)})
        static_cast<RecordingEncoder*>(self)->take(sample.get());
    return GST_FLOW_OK;
}

void RecordingEncoder::on_eos(GstAppSink* /*appsink*/, gpointer self) {
    auto* encoder = static_cast<RecordingEncoder*>(self);
    const std::lock_guard lock(encoder->mutex_);
    encoder->is_over_ = true;
    encoder->ended_.notify_all();
}

GstBusSyncReply RecordingEncoder::on_message(GstBus* /*bus*/, GstMessage* message, gpointer self) {
    auto* encoder = static_cast<RecordingEncoder*>(self);
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
        GError* raw = nullptr;
        gst_message_parse_error(message, &raw, nullptr);
        const GstPtr<GError> error(raw);
        const std::lock_guard lock(encoder->mutex_);
        encoder->failure_ = Failure{"INTERNAL", std::string("the encoder of a recording failed: ") + error->message};
        encoder->is_over_ = true;
        encoder->ended_.notify_all();
    } else if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_STREAM_STATUS) {
        GstStreamStatusType type{};
        gst_message_parse_stream_status(message, &type, nullptr);
        // Told by the thread itself as it begins.
        if (type == GST_STREAM_STATUS_TYPE_ENTER) setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
    }
    gst_message_unref(message);
    return GST_BUS_DROP;
}

void RecordingEncoder::take(GstSample* sample) {
    GstBuffer* buffer = gst_sample_get_buffer(sample);
    GstCaps* caps = gst_sample_get_caps(sample);
    if (buffer == nullptr || caps == nullptr) return;
    {
        const std::lock_guard lock(mutex_);
        if (!private_) private_ = private_of(caps, codec_);
    }
    if (!GST_BUFFER_PTS_IS_VALID(buffer)) return;
    Packet packet{.at_us = static_cast<std::int64_t>(GST_BUFFER_PTS(buffer) / 1000),
                  .is_key = !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT),
                  .data = bytes_of(buffer)};
    if (GST_BUFFER_DURATION_IS_VALID(buffer))
        packet.duration_us = static_cast<std::int64_t>(GST_BUFFER_DURATION(buffer) / 1000);
    on_packet_(std::move(packet));
}

VideoTrack::VideoTrack(bool is_h264, int width, int height, std::int64_t begin_us, RecordingEncoder::OnPacket on_packet)
    : is_h264_(is_h264),
      width_(std::max(16, (width + 1) / 2 * 2)),  // encoders take even sizes
      height_(std::max(16, (height + 1) / 2 * 2)),
      begin_us_(begin_us),
      encoder_(video_caps(width_, height_).get(), video_encoder(is_h264, width_, height_), is_h264 ? "h264" : "vp8",
               kPicturesWaiting, std::move(on_packet)) {
}

void VideoTrack::push(const I420Frame& frame) {
    if (frame.width <= 0 || frame.height <= 0) return;
    const std::lock_guard lock(mutex_);
    if (encoder_.is_full()) {
        ++stats_.dropped;
        return;
    }
    newest_ = scaled(frame);
    put(newest_.get(), frame.timestamp_us - begin_us_);
}

void VideoTrack::repeat(std::int64_t now_us) {
    const std::lock_guard lock(mutex_);
    if (newest_ && now_us - begin_us_ - last_us_ >= kRepeatUs && !encoder_.is_full())
        put(newest_.get(), now_us - begin_us_);
}

TrackInfo VideoTrack::info() const {
    return {.is_video = true,
            .codec = is_h264_ ? "h264" : "vp8",
            .codec_private = encoder_.codec_private().value_or(""),
            .width = width_,
            .height = height_,
            .title = {},
            .tags = {}};
}

RecordedStats VideoTrack::stats() const {
    const std::lock_guard lock(mutex_);
    return stats_;
}

void VideoTrack::put(GstBuffer* picture, std::int64_t at_us) {
    at_us = std::max({at_us, last_us_ + 1000, std::int64_t{0}});
    last_us_ = at_us;
    GstPtr<GstBuffer> buffer(gst_buffer_copy(picture));  // the same memory, with a time of its own
    GST_BUFFER_PTS(buffer.get()) = static_cast<GstClockTime>(at_us) * 1000;
    ++stats_.frames;
    encoder_.push(std::move(buffer));
}

GstPtr<GstBuffer> VideoTrack::scaled(const I420Frame& frame) const {
    const auto width = static_cast<std::size_t>(width_), height = static_cast<std::size_t>(height_);
    const std::size_t luma = width * height, chroma = luma / 4;
    GstPtr<GstBuffer> buffer(gst_buffer_new_allocate(nullptr, luma + 2 * chroma, nullptr));
    GstMapInfo map;
    if (!buffer || !gst_buffer_map(buffer.get(), &map, GST_MAP_WRITE))
        throw NativeError("INTERNAL", "no memory for a picture");
    int to_width = width_, to_height = height_;
    if (frame.width * height_ > frame.height * width_) {
        to_height = std::max(2, width_ * frame.height / frame.width / 2 * 2);
    } else {
        to_width = std::max(2, height_ * frame.width / frame.height / 2 * 2);
    }
    if (to_width + 2 >= width_ && to_height + 2 >= height_) to_width = width_, to_height = height_;
    const int left = (width_ - to_width) / 4 * 2, top = (height_ - to_height) / 4 * 2;
    if (to_width != width_ || to_height != height_) {
        std::memset(map.data, 16, luma);
        std::memset(map.data + luma, 128, 2 * chroma);
    }
    const std::array<std::uint8_t*, 3> planes{
        map.data + static_cast<std::size_t>(top) * width + static_cast<std::size_t>(left),
        map.data + luma + static_cast<std::size_t>(top / 2) * width / 2 + static_cast<std::size_t>(left / 2),
        map.data + luma + chroma + static_cast<std::size_t>(top / 2) * width / 2 + static_cast<std::size_t>(left / 2)};
    libyuv::I420Scale(frame.planes[0], frame.strides[0], frame.planes[1], frame.strides[1], frame.planes[2],
                      frame.strides[2], frame.width, frame.height, planes[0], width_, planes[1], width_ / 2, planes[2],
                      width_ / 2, to_width, to_height, libyuv::kFilterBilinear);
    gst_buffer_unmap(buffer.get(), &map);
    return buffer;
}

AudioTrack::AudioTrack(bool is_aac, int channels, std::int64_t begin_us, RecordingEncoder::OnPacket on_packet)
    : is_aac_(is_aac),
      channels_(channels),
      begin_us_(begin_us),
      encoder_(audio_caps(channels).get(), audio_encoder(is_aac, channels), is_aac ? "aac" : "opus", kSoundWaiting,
               std::move(on_packet)) {
}

void AudioTrack::push(const AudioFrame& frame, std::int64_t now_us) {
    const std::lock_guard lock(mutex_);
    // A frame tells of the 10 ms before it came.
    const std::int64_t late_us = now_us - 10'000 - begin_us_ - position_us();
    if (late_us > kGapUs) {
        silence(late_us);
        in_window_ = to_drop_ = 0;
    } else {
        least_late_us_ = in_window_ == 0 ? late_us : std::min(least_late_us_, late_us);
        if (++in_window_ >= kWindow) {
            in_window_ = 0;
            if (least_late_us_ > kOffUs) silence(least_late_us_);
            if (least_late_us_ < -kOffUs) to_drop_ = static_cast<int>(-least_late_us_ / 10'000);
        }
    }
    if (to_drop_ > 0) {
        --to_drop_;
        return;
    }
    if (encoder_.is_full()) {
        ++stats_.dropped;
        return;
    }
    ++stats_.frames;
    if (frame.channels == channels_) {
        put(frame.samples, kSamplesPerFrame);
        return;
    }
    std::array<std::int16_t, 2 * kSamplesPerFrame> mixed{};
    for (std::size_t i = 0; i < kSamplesPerFrame; ++i) {
        if (channels_ == 2) {
            mixed[2 * i] = mixed[2 * i + 1] = frame.samples[i];
        } else {
            mixed[i] = static_cast<std::int16_t>((frame.samples[2 * i] + frame.samples[2 * i + 1]) / 2);
        }
    }
    put(mixed.data(), kSamplesPerFrame);
}

void AudioTrack::fill(std::int64_t now_us) {
    const std::lock_guard lock(mutex_);
    const std::int64_t behind_us = now_us - begin_us_ - position_us();
    if (behind_us > 2 * kFillBehindUs) silence(behind_us - kFillBehindUs);
}

void AudioTrack::fill_up(std::int64_t end_us) {
    const std::lock_guard lock(mutex_);
    std::int64_t behind_us = end_us - begin_us_ - position_us();
    if (samples_ == 0) behind_us = std::max(behind_us, 2 * kOffUs);  // of less the encoder makes nothing
    if (behind_us > kOffUs) silence(behind_us);
}

TrackInfo AudioTrack::info() const {
    return {.is_video = false,
            .codec = is_aac_ ? "aac" : "opus",
            .codec_private = encoder_.codec_private().value_or(""),
            .channels = channels_,
            .title = {},
            .tags = {}};
}

RecordedStats AudioTrack::stats() const {
    const std::lock_guard lock(mutex_);
    return stats_;
}

void AudioTrack::silence(std::int64_t us) {
    static const std::vector<std::int16_t> nothing(2 * kAudioRate);  // a second
    for (std::int64_t left = us * kAudioRate / 1'000'000; left > 0;) {
        const auto count = std::min<std::int64_t>(left, kAudioRate);
        put(nothing.data(), count);
        left -= count;
    }
}

void AudioTrack::put(const std::int16_t* samples, std::int64_t count) {
    const auto bytes = static_cast<std::size_t>(count * channels_) * sizeof(std::int16_t);
    GstPtr<GstBuffer> buffer(gst_buffer_new_allocate(nullptr, bytes, nullptr));
    gst_buffer_fill(buffer.get(), 0, samples, bytes);
    GST_BUFFER_PTS(buffer.get()) =
        gst_util_uint64_scale(static_cast<guint64>(samples_), GST_SECOND, static_cast<guint64>(kAudioRate));
    GST_BUFFER_DURATION(buffer.get()) =
        gst_util_uint64_scale(static_cast<guint64>(count), GST_SECOND, static_cast<guint64>(kAudioRate));
    samples_ += count;
    encoder_.push(std::move(buffer));
}

}  // namespace rtcagent
