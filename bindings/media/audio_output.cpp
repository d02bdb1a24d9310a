#include "media/audio_output.h"

#include <gst/app/gstappsrc.h>

#include <utility>

#include "livekit/echo_reference.h"
#include "media/gstreamer.h"
#include "media/native_error.h"

namespace rtcagent {

namespace {

constexpr GstClockTime kFrameTime = 10 * GST_MSECOND;
constexpr GstClockTime kStartTime = 4 * GST_SECOND;

std::string text_of(GstMessage* message) {
    GError* raw = nullptr;
    gchar* raw_details = nullptr;
    gst_message_parse_error(message, &raw, &raw_details);
    const GstPtr<GError> error(raw);
    const GstPtr<gchar> details(raw_details);
    return error ? error->message : "no reason given";
}

}  // namespace

struct AudioOutput::Graph {
    static void need_data(GstAppSrc* /*source*/, guint /*length*/, gpointer self) {
        static_cast<AudioOutput*>(self)->push_next();
    }

    static GstBusSyncReply on_message(GstBus* /*bus*/, GstMessage* message, gpointer data) {
        auto* self = static_cast<AudioOutput*>(data);
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
            self->events_->put(
                {.key = self->key_, .kind = "failed", .reason = "CAPTURE_FAILED", .message = text_of(message)});
        }
        return GST_BUS_PASS;  // start() reads why it does not begin
    }
};

AudioOutput::AudioOutput(std::string key, OutputSettings settings, std::shared_ptr<AudioMixer> mixer,
                         std::shared_ptr<EventQueue> events)
    : key_(std::move(key)), settings_(std::move(settings)), mixer_(std::move(mixer)), events_(std::move(events)) {
}

AudioOutput::~AudioOutput() {
    stop();
}

void AudioOutput::start() {
    const std::lock_guard lock(life_);
    if (pipeline_) return;
    ensure_gstreamer();
    try {
        build();
        gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING);
        const auto reached = gst_element_get_state(pipeline_.get(), nullptr, nullptr, kStartTime);
        if (reached == GST_STATE_CHANGE_SUCCESS) return;
        const GstPtr<GstBus> bus(gst_element_get_bus(pipeline_.get()));
        const GstPtr<GstMessage> message(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ERROR));
        throw NativeError("CAPTURE_FAILED", message ? text_of(message.get()) : "the sound server takes no sound");
    } catch (...) {
        if (pipeline_) gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
        pipeline_.reset();
        throw;
    }
}

void AudioOutput::stop() {
    const std::lock_guard lock(life_);
    if (!pipeline_) return;
    gst_element_set_state(pipeline_.get(), GST_STATE_NULL);  // joins the streaming thread
    pipeline_.reset();
}

OutputStats AudioOutput::stats() const {
    const std::lock_guard lock(stats_mutex_);
    return {.frames = frames_.count(), .longest_gap_us = frames_.longest_gap_us()};
}

void AudioOutput::build() {
    pushed_ = 0;
    pipeline_.reset(GST_ELEMENT(gst_object_ref_sink(gst_pipeline_new(nullptr))));
    auto* bin = GST_BIN(pipeline_.get());
    source_ = add_element(bin, "appsrc");
    const GstPtr<GstCaps> caps(gst_caps_new_simple("audio/x-raw", "format", G_TYPE_STRING, "S16LE", "layout",
                                                   G_TYPE_STRING, "interleaved", "rate", G_TYPE_INT, kMixRate,
                                                   "channels", G_TYPE_INT, kMixChannels, nullptr));
    g_object_set(source_, "caps", caps.get(), "format", GST_FORMAT_TIME, "is-live", FALSE, "block", FALSE, "max-bytes",
                 static_cast<guint64>(kMixSamples * sizeof(std::int16_t)), nullptr);
    GstAppSrcCallbacks callbacks{};
    callbacks.need_data = &Graph::need_data;
    gst_app_src_set_callbacks(GST_APP_SRC(source_), &callbacks, this, nullptr);

    GstElement* sink = add_element(bin, "pulsesink");
    GstStructure* properties =
        gst_structure_new("properties", "rtcagent.stream", G_TYPE_STRING, settings_.stream.c_str(), "media.name",
                          G_TYPE_STRING, settings_.description.c_str(), nullptr);
    // The volume is the mixer's: the server must not remember another one for us.
    g_object_set(sink, "client-name", "rtcagent", "device", settings_.device.c_str(), "stream-properties", properties,
                 "buffer-time", static_cast<gint64>(settings_.buffer_ms) * 1000, "latency-time",
                 static_cast<gint64>(10'000), "volume", 1.0, "mute", FALSE, nullptr);
    gst_structure_free(properties);
    link_elements(source_, sink);
    const GstPtr<GstBus> bus(gst_element_get_bus(pipeline_.get()));
    gst_bus_set_sync_handler(bus.get(), &Graph::on_message, this, nullptr);
}

void AudioOutput::push_next() {
    const GstPtr<GstBuffer> buffer(gst_buffer_new_allocate(nullptr, kMixSamples * sizeof(std::int16_t), nullptr));
    GstMapInfo map;
    if (!buffer || !gst_buffer_map(buffer.get(), &map, GST_MAP_WRITE)) return;
    mixer_->mix(reinterpret_cast<std::int16_t*>(map.data));
    if (settings_.is_reference) {
        EchoReference::instance().push(reinterpret_cast<const std::int16_t*>(map.data), kMixRate, kMixChannels);
    }
    gst_buffer_unmap(buffer.get(), &map);
    GST_BUFFER_PTS(buffer.get()) = pushed_ * kFrameTime;
    GST_BUFFER_DURATION(buffer.get()) = kFrameTime;
    ++pushed_;
    {
        const std::lock_guard lock(stats_mutex_);
        frames_.tick(monotonic_us());
    }
    gst_app_src_push_buffer(GST_APP_SRC(source_), gst_buffer_ref(buffer.get()));
}

}  // namespace rtcagent
