#include "media/audio_sources.h"

#include <cmath>
#include <stdexcept>
#include <utility>

#include "media/file_source.h"
#include "media/gst_ptr.h"
#include "media/gstreamer.h"
#include "media/screen_audio_source.h"

namespace rtcagent {

namespace {

constexpr gint64 kFragmentUs = 10'000;  // one frame
constexpr gint64 kBufferUs = 200'000;   // how late our thread may be before the sound server throws sound away

class MicrophoneSource : public Source {
  public:
    MicrophoneSource(std::string device, std::function<void(const std::string&)> on_device)
        : device_(std::move(device)), on_device_(std::move(on_device)) {}

    void add_to(GstBin* graph, GstElement* head) override {
        GstElement* source = add_element(graph, "pulsesrc");
        g_object_set(source, "client-name", "rtcagent", "provide-clock", FALSE, "latency-time", kFragmentUs,
                     "buffer-time", kBufferUs, nullptr);
        // Samples are taken as they come: what follows has no use for the pipeline's clock.
        gst_util_set_object_arg(G_OBJECT(source), "slave-method", "none");
        if (!device_.empty()) g_object_set(source, "device", device_.c_str(), nullptr);
        g_signal_connect(source, "notify::current-device", G_CALLBACK(&MicrophoneSource::on_current_device), this);
        link_elements(source, head);
    }

    Failure explain(const GError& error, const char* detail, bool had_frames) const override {
        const std::string name = device_.empty() ? "the default microphone" : "microphone " + device_;
        const auto is = [&error](gint code) { return error.domain == GST_RESOURCE_ERROR && error.code == code; };
        const bool is_gone = is(GST_RESOURCE_ERROR_NOT_FOUND) || is(GST_RESOURCE_ERROR_OPEN_READ) ||
                             is(GST_RESOURCE_ERROR_FAILED) || is(GST_RESOURCE_ERROR_READ);
        const char* reason = had_frames ? "DEVICE_UNPLUGGED" : "DEVICE_ABSENT";
        if (is(GST_RESOURCE_ERROR_BUSY)) reason = "DEVICE_BUSY";
        if (error.domain == GST_STREAM_ERROR || !(is_gone || is(GST_RESOURCE_ERROR_BUSY))) reason = "CAPTURE_FAILED";
        return {reason, name + ": " + in_words(error, detail)};
    }

  private:
    static void on_current_device(GObject* source, GParamSpec* /*property*/, gpointer self) {
        gchar* raw = nullptr;
        g_object_get(source, "current-device", &raw, nullptr);
        const GstPtr<gchar> name(raw);
        if (name) static_cast<MicrophoneSource*>(self)->on_device_(name.get());
    }

    const std::string device_;
    const std::function<void(const std::string&)> on_device_;
};

class ToneSource : public Source {
  public:
    explicit ToneSource(const AudioSettings& settings)
        : hz_(settings.tone_hz), volume_(std::pow(10, settings.tone_level_dbfs / 20)) {}

    void add_to(GstBin* graph, GstElement* head) override {
        GstElement* source = add_element(graph, "audiotestsrc");
        g_object_set(source, "is-live", TRUE, "freq", hz_, "volume", volume_, "samplesperbuffer", 480, nullptr);
        GstElement* format = add_element(graph, "capsfilter");
        const GstPtr<GstCaps> caps(gst_caps_new_simple("audio/x-raw", "rate", G_TYPE_INT, 48'000, nullptr));
        g_object_set(format, "caps", caps.get(), nullptr);
        link_elements(source, format);
        link_elements(format, head);
    }

    Failure explain(const GError& error, const char* detail, bool /*had_frames*/) const override {
        return {"CAPTURE_FAILED", in_words(error, detail)};
    }

  private:
    const double hz_;
    const double volume_;
};

}  // namespace

void check(const AudioSettings& settings) {
    if (settings.channels != 1 && settings.channels != 2)
        throw std::invalid_argument("sound is captured with 1 or 2 channels");
    if (settings.tone_hz < 0 || settings.tone_hz > 20'000)
        throw std::invalid_argument("a tone has a frequency of 20 to 20000 Hz");
    const int inputs = !settings.device.empty() + !settings.file_path.empty() + settings.plays + (settings.tone_hz > 0);
    if (inputs > 1) throw std::invalid_argument("more than one of device, file_path, plays and tone_hz is set");
}

std::unique_ptr<Source> make_audio_source(const AudioSettings& settings,
                                          std::function<void(const std::string&)> on_device) {
    if (settings.tone_hz > 0) return std::make_unique<ToneSource>(settings);
    if (!settings.file_path.empty()) {
        CaptureSettings file;
        file.file_path = settings.file_path;
        file.loop = settings.loop;
        return std::make_unique<FileSource>(std::move(file), Media::kAudio);
    }
    if (settings.plays) return std::make_unique<ScreenAudioSource>(settings.only);
    return std::make_unique<MicrophoneSource>(settings.device, std::move(on_device));
}

}  // namespace rtcagent
