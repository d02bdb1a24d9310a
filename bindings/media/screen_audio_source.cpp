#include "media/screen_audio_source.h"

#include <gst/app/gstappsrc.h>

#include <utility>

#include "media/gst_ptr.h"
#include "media/gstreamer.h"

namespace rtcagent {

ScreenAudioSource::ScreenAudioSource(Application only)
    : played_(
          std::move(only), [this](const std::int16_t* samples) { push(samples); },
          [this](const Failure& failure) { tell_end(failure); }) {
}

void ScreenAudioSource::add_to(GstBin* graph, GstElement* head) {
    entry_ = add_element(graph, "appsrc");
    const GstPtr<GstCaps> caps(gst_caps_new_simple("audio/x-raw", "format", G_TYPE_STRING, "S16LE", "layout",
                                                   G_TYPE_STRING, "interleaved", "rate", G_TYPE_INT, kMixRate,
                                                   "channels", G_TYPE_INT, kMixChannels, nullptr));
    // What follows takes each frame at once. Where it cannot, for a second, the oldest go.
    g_object_set(entry_, "caps", caps.get(), "format", GST_FORMAT_TIME, "is-live", TRUE, "do-timestamp", TRUE, "block",
                 FALSE, "leaky-type", 2, "max-bytes", static_cast<guint64>(100 * kMixSamples * sizeof(std::int16_t)),
                 nullptr);
    link_elements(entry_, head);
}

Failure ScreenAudioSource::explain(const GError& error, const char* detail, bool /*had_frames*/) const {
    const bool is_gone = error.domain == GST_RESOURCE_ERROR && error.code == GST_RESOURCE_ERROR_READ;
    return {is_gone ? "NO_SOUND_SERVER" : "CAPTURE_FAILED", is_gone ? error.message : in_words(error, detail)};
}

void ScreenAudioSource::begin(GstElement* /*graph*/) {
    played_.start();
}

void ScreenAudioSource::end() {
    played_.stop();
}

void ScreenAudioSource::push(const std::int16_t* samples) {
    constexpr std::size_t kBytes = kMixSamples * sizeof(std::int16_t);
    GstBuffer* buffer = gst_buffer_new_allocate(nullptr, kBytes, nullptr);
    if (buffer == nullptr) return;
    gst_buffer_fill(buffer, 0, samples, kBytes);
    gst_app_src_push_buffer(GST_APP_SRC(entry_), buffer);  // takes it, also where the graph does not play yet
}

void ScreenAudioSource::tell_end(const Failure& failure) {
    GST_ELEMENT_ERROR(entry_, RESOURCE, READ, ("%s", failure.message.c_str()), (nullptr));
}

}  // namespace rtcagent
