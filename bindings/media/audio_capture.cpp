#include "media/audio_capture.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "media/audio_sources.h"
#include "media/gstreamer.h"

namespace rtcagent {

AudioCapture::AudioCapture(std::string key, AudioSettings settings, std::shared_ptr<EventQueue> events)
    : key_(std::move(key)), settings_(std::move(settings)), events_(std::move(events)) {
    check(settings_);
}

AudioCapture::~AudioCapture() {
    stop();
}

void AudioCapture::start() {
    ensure_gstreamer();
    const std::lock_guard lifecycle(lifecycle_);
    if (pipeline_) return;
    {
        const std::lock_guard lock(state_mutex_);
        first_told_ = over_ = false;
        starting_ = true;
        start_failure_.reset();
        device_.clear();
        frames_.pause();
    }
    try {
        build();
        source_->begin(pipeline_.get());
        if (gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE) {
            const std::lock_guard lock(state_mutex_);
            throw NativeError(
                start_failure_.value_or(Failure{"CAPTURE_FAILED", "the source does not open; no reason was given"}));
        }
        const std::lock_guard lock(state_mutex_);
        starting_ = false;
        if (start_failure_) throw NativeError(*start_failure_);
    } catch (...) {
        take_apart();
        throw;
    }
}

void AudioCapture::stop() {
    const std::lock_guard lifecycle(lifecycle_);
    take_apart();
}

void AudioCapture::take_apart() {
    if (pipeline_) {
        if (source_) source_->end();
        gst_element_set_state(pipeline_.get(), GST_STATE_NULL);  // joins the streaming threads
        const GstPtr<GstBus> bus(gst_element_get_bus(pipeline_.get()));
        gst_bus_set_sync_handler(bus.get(), nullptr, nullptr, nullptr);
        pipeline_.reset();
    }
    source_.reset();
    waiting_.clear();
    meter_.reset();
}

void AudioCapture::build() {
    source_ = make_audio_source(settings_, [this](const std::string& device) { on_device(device); });
    pipeline_.reset(GST_ELEMENT(gst_object_ref_sink(gst_pipeline_new(nullptr))));
    auto* graph = GST_BIN(pipeline_.get());
    const GstPtr<GstClock> clock(gst_system_clock_obtain());
    gst_pipeline_use_clock(GST_PIPELINE(pipeline_.get()), clock.get());
    const GstPtr<GstBus> bus(gst_element_get_bus(pipeline_.get()));
    gst_bus_set_sync_handler(bus.get(), &AudioCapture::on_message, this, nullptr);

    GstElement* head = add_element(graph, "audioconvert");
    GstElement* resample = add_element(graph, "audioresample");
    GstElement* format = add_element(graph, "capsfilter");
    const GstPtr<GstCaps> caps(gst_caps_new_simple("audio/x-raw", "format", G_TYPE_STRING, "S16LE", "layout",
                                                   G_TYPE_STRING, "interleaved", "rate", G_TYPE_INT, kAudioRate,
                                                   "channels", G_TYPE_INT, settings_.channels, nullptr));
    g_object_set(format, "caps", caps.get(), nullptr);
    GstElement* appsink = add_element(graph, "appsink");
    // The callback takes every buffer at once, on the streaming thread; nothing waits here.
    g_object_set(appsink, "sync", source_->needs_pacing() ? TRUE : FALSE, "max-buffers", 8U, "qos", FALSE,
                 "enable-last-sample", FALSE, "wait-on-eos", FALSE, nullptr);
    GstAppSinkCallbacks callbacks{};
    callbacks.new_sample = &AudioCapture::on_sample;
    gst_app_sink_set_callbacks(GST_APP_SINK(appsink), &callbacks, this, nullptr);
    link_elements(head, resample);
    link_elements(resample, format);
    link_elements(format, appsink);
    source_->add_to(graph, head);
}

void AudioCapture::attach(std::shared_ptr<AudioConsumer> consumer) {
    const std::lock_guard lock(consumers_mutex_);
    if (std::find(consumers_.begin(), consumers_.end(), consumer) != consumers_.end()) return;
    consumer->begin();
    consumers_.push_back(std::move(consumer));
}

void AudioCapture::detach(const std::shared_ptr<AudioConsumer>& consumer) {
    const std::lock_guard lock(consumers_mutex_);
    std::erase(consumers_, consumer);
}

void AudioCapture::set_processing(std::shared_ptr<AudioProcessing> processing) {
    {
        const std::lock_guard lock(consumers_mutex_);
        processing_.swap(processing);
    }
    // The old one ends here, not under the lock.
}

void AudioCapture::set_volume(int percent) {
    volume_ = std::clamp(percent, 0, 400);
}

AudioCaptureStats AudioCapture::stats() const {
    const std::lock_guard lock(state_mutex_);
    return {.frames_captured = frames_.count(),
            .longest_gap_us = frames_.longest_gap_us(),
            .fps = frames_.fps(monotonic_us())};
}

GstFlowReturn AudioCapture::on_sample(GstAppSink* appsink, gpointer self) {
    if (const GstPtr<GstSample> sample{gst_app_sink_pull_sample(appsink)})
        static_cast<AudioCapture*>(self)->take(sample.get());
    return GST_FLOW_OK;
}

void AudioCapture::take(GstSample* sample) {
    GstBuffer* buffer = gst_sample_get_buffer(sample);
    GstMapInfo mapped;
    if (buffer == nullptr || !gst_buffer_map(buffer, &mapped, GST_MAP_READ)) return;
    const auto* samples = reinterpret_cast<const std::int16_t*>(mapped.data);
    waiting_.insert(waiting_.end(), samples, samples + mapped.size / sizeof(std::int16_t));
    gst_buffer_unmap(buffer, &mapped);
    const auto frame = static_cast<std::size_t>(kSamplesPerFrame * settings_.channels);
    std::size_t done = 0;
    for (; waiting_.size() - done >= frame; done += frame) hand_round(waiting_.data() + done);
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(done));
}

void AudioCapture::hand_round(std::int16_t* samples) {
    const auto count = static_cast<std::size_t>(kSamplesPerFrame * settings_.channels);
    bool is_first = false;
    {
        const std::lock_guard lock(state_mutex_);
        if (over_) return;
        frames_.tick(monotonic_us());
        is_first = !std::exchange(first_told_, true);
    }
    if (is_first) events_->put({.key = key_, .kind = "first_frame", .reason = {}, .message = {}});
    const std::lock_guard lock(consumers_mutex_);
    if (processing_) {
        try {
            processing_->process(samples, settings_.channels);
        } catch (const NativeError& error) {
            return fail({error.reason(), error.what()});
        }
    }
    scale(samples, count);
    meter_.push(samples, count);
    for (const auto& consumer : consumers_) consumer->push({.samples = samples, .channels = settings_.channels});
}

// Another volume comes gradually over one frame: a step is heard as a click.
void AudioCapture::scale(std::int16_t* samples, std::size_t count) {
    const float target = static_cast<float>(volume_.load()) / 100;
    if (gain_ == 1 && target == 1) return;
    const float step = (target - gain_) / static_cast<float>(count);
    for (std::size_t i = 0; i < count; ++i) {
        const float gain = gain_ + step * static_cast<float>(i + 1);
        samples[i] = static_cast<std::int16_t>(std::clamp(std::lround(samples[i] * gain), -32'768L, 32'767L));
    }
    gain_ = target;
}

void AudioCapture::on_device(const std::string& device) {
    {
        const std::lock_guard lock(state_mutex_);
        if (device.empty() || device == std::exchange(device_, device)) return;
    }
    // The sound server moves what records from a device that goes away to another one; nobody has asked for that one.
    if (!settings_.device.empty() && device != settings_.device)
        return fail({"DEVICE_UNPLUGGED", "microphone " + settings_.device + ": the sound server took it away"});
    events_->put({.key = key_, .kind = "device", .reason = {}, .message = device});
}

GstBusSyncReply AudioCapture::on_message(GstBus* /*bus*/, GstMessage* message, gpointer self) {
    auto* capture = static_cast<AudioCapture*>(self);
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
        GError* raw = nullptr;
        gchar* raw_detail = nullptr;
        gst_message_parse_error(message, &raw, &raw_detail);
        const GstPtr<GError> error(raw);
        const GstPtr<gchar> detail(raw_detail);
        capture->fail(capture->source_->explain(*error, detail.get(), capture->had_frames()));
    } else if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_SEGMENT_DONE) {
        capture->source_->restarts(End::kRead);
    } else if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS) {
        // What ended before its first frame has nothing to begin again with.
        if (!capture->had_frames() || !capture->source_->restarts(End::kShown)) capture->finish();
    }
    gst_message_unref(message);
    return GST_BUS_DROP;
}

bool AudioCapture::had_frames() const {
    const std::lock_guard lock(state_mutex_);
    return first_told_;
}

void AudioCapture::fail(Failure failure) {
    {
        const std::lock_guard lock(state_mutex_);
        if (over_) return;  // the first error is the cause, those that follow are its echo
        over_ = true;
        if (starting_) {
            start_failure_ = std::move(failure);
            return;
        }
    }
    events_->put(
        {.key = key_, .kind = "failed", .reason = std::move(failure.reason), .message = std::move(failure.message)});
}

void AudioCapture::finish() {
    if (!had_frames()) return fail({"CAPTURE_FAILED", "the media ended before its first frame"});
    {
        const std::lock_guard lock(state_mutex_);
        if (over_) return;
        over_ = true;
    }
    events_->put({.key = key_, .kind = "ended", .reason = "END_OF_MEDIA", .message = "the media came to its end"});
}

}  // namespace rtcagent
