#include "media/pattern_source.h"

#include "media/gst_ptr.h"
#include "media/gstreamer.h"

namespace rtcagent {

namespace {

// The bars are the ones without a noise field: videotestsrc draws them once and hands out the same memory again.
const char* name_of(const std::string& pattern) {
    if (pattern == "ball") return "ball";
    if (pattern == "noise") return "snow";
    return "smpte75";
}

int even(int size) {
    return (size + 1) / 2 * 2;
}

}  // namespace

GstPtr<GstCaps> PatternSource::caps_of(const CaptureSettings& settings) {
    int width = settings.width_before_turn();
    int height = settings.height_before_turn();
    if (width == 0 && height == 0) width = 1280;
    if (width == 0) width = even(height * 16 / 9);
    if (height == 0) height = even(width * 9 / 16);
    gint fps_n = 30, fps_d = 1;
    if (settings.fps > 0) gst_util_double_to_fraction(settings.fps, &fps_n, &fps_d);
    return GstPtr<GstCaps>(gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, "I420", "width", G_TYPE_INT,
                                               width, "height", G_TYPE_INT, height, "framerate", GST_TYPE_FRACTION,
                                               fps_n, fps_d, "pixel-aspect-ratio", GST_TYPE_FRACTION, 1, 1, nullptr));
}

void PatternSource::add_to(GstBin* graph, GstElement* head) {
    GstElement* source = add_element(graph, "videotestsrc");
    gst_util_set_object_arg(G_OBJECT(source), "pattern", name_of(settings_.pattern));
    g_object_set(source, "is-live", TRUE, nullptr);
    format_ = add_element(graph, "capsfilter");
    g_object_set(format_, "caps", caps_of(settings_).get(), nullptr);
    link_elements(source, format_);
    link_elements(format_, head);
    if (settings_.pattern == "bars_and_clock") {
        const GstPtr<GstPad> pad(gst_element_get_static_pad(format_, "src"));
        clock_.draw_on(pad.get());
    }
}

bool PatternSource::update(const CaptureSettings& before, const CaptureSettings& after) {
    if (!same_input(before, after)) return false;
    settings_ = after;
    if (format_ != nullptr) g_object_set(format_, "caps", caps_of(after).get(), nullptr);
    return true;
}

Failure PatternSource::explain(const GError& error, const char* detail, bool /*had_frames*/) const {
    return {"CAPTURE_FAILED", in_words(error, detail)};
}

}  // namespace rtcagent
