#include "media/gstreamer.h"

#include <array>
#include <mutex>

#include "media/gst_ptr.h"
#include "media/native_error.h"

namespace rtcagent {

namespace {

struct Needed {
    const char* element;
    const char* package;
};

// One to a line:
// clang-format off
constexpr std::array kNeeded = {
    Needed{"appsrc", "gstreamer1.0-plugins-base"},
    Needed{"appsink", "gstreamer1.0-plugins-base"},
    Needed{"videotestsrc", "gstreamer1.0-plugins-base"},
    Needed{"videoconvertscale", "gstreamer1.0-plugins-base"},
    Needed{"decodebin", "gstreamer1.0-plugins-base"},
    Needed{"capsfilter", "libgstreamer1.0-0"},
    Needed{"audioconvert", "gstreamer1.0-plugins-base"},
    Needed{"audioresample", "gstreamer1.0-plugins-base"},
    Needed{"audiotestsrc", "gstreamer1.0-plugins-base"},
    Needed{"filesrc", "libgstreamer1.0-0"},
    Needed{"pulsesrc", "gstreamer1.0-plugins-good"},
    Needed{"videoflip", "gstreamer1.0-plugins-good"},
    Needed{"videocrop", "gstreamer1.0-plugins-good"},
    Needed{"v4l2src", "gstreamer1.0-plugins-good"},
    Needed{"opusenc", "gstreamer1.0-plugins-base"},
    Needed{"vp8enc", "gstreamer1.0-plugins-good"},
    Needed{"openh264enc", "gstreamer1.0-plugins-bad"},
    Needed{"avenc_aac", "gstreamer1.0-libav"},
    Needed{"jpegdec", "gstreamer1.0-plugins-good"},
    Needed{"jpegenc", "gstreamer1.0-plugins-good"},
    Needed{"pngenc", "gstreamer1.0-plugins-good"},
    Needed{"rtspsrc", "gstreamer1.0-plugins-good"},
    Needed{"rtph264depay", "gstreamer1.0-plugins-good"},
    Needed{"qtdemux", "gstreamer1.0-plugins-good"},
    Needed{"pulsesink", "gstreamer1.0-plugins-good"},
    Needed{"h264parse", "gstreamer1.0-plugins-bad"},
    Needed{"avdec_h264", "gstreamer1.0-libav"},
};
// clang-format on

const char* package_of(const std::string& element) {
    for (const auto& needed : kNeeded) {
        if (element == needed.element) return needed.package;
    }
    return "a GStreamer plugin";
}

}  // namespace

void ensure_gstreamer() {
    static std::once_flag once;
    std::call_once(once, [] {
        GError* raw = nullptr;
        if (!gst_init_check(nullptr, nullptr, &raw)) {
            const GstPtr<GError> error(raw);
            throw NativeError("INTERNAL",
                              std::string("GStreamer does not start: ") + (error ? error->message : "no reason given"));
        }
    });
}

std::string gstreamer_version() {
    ensure_gstreamer();
    guint major = 0, minor = 0, micro = 0, nano = 0;
    gst_version(&major, &minor, &micro, &nano);
    return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(micro);
}

std::vector<std::string> missing_elements() {
    ensure_gstreamer();
    std::vector<std::string> missing;
    for (const auto& needed : kNeeded) {
        GstElementFactory* factory = gst_element_factory_find(needed.element);
        if (factory == nullptr) {
            missing.emplace_back(needed.element);
        } else {
            gst_object_unref(factory);
        }
    }
    return missing;
}

GstElement* add_element(GstBin* bin, const char* factory) {
    GstElement* element = gst_element_factory_make(factory, nullptr);
    if (element == nullptr) {
        throw NativeError("INTERNAL", std::string("the GStreamer element ") + factory + " is missing; install " +
                                          package_of(factory));
    }
    gst_bin_add(bin, element);
    return element;
}

void link_elements(GstElement* from, GstElement* to) {
    if (gst_element_link(from, to)) return;
    const GstPtr<gchar> a(gst_element_get_name(from)), b(gst_element_get_name(to));
    throw NativeError("INTERNAL", std::string("cannot link ") + a.get() + " to " + b.get());
}

}  // namespace rtcagent
