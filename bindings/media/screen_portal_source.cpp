#include "media/screen_portal_source.h"

#include <gst/video/video.h>

#include <string>

#include "media/gst_ptr.h"
#include "media/gstreamer.h"

namespace rtcagent {

namespace {

constexpr int kStillMs = 500;

}  // namespace

void ScreenPortalSource::add_to(GstBin* graph, GstElement* head) {
    GstElement* source = gst_element_factory_make("pipewiresrc", nullptr);
    if (source == nullptr) {
        throw NativeError("PORTAL_MISSING", "GStreamer has no pipewiresrc: install gstreamer1.0-pipewire");
    }
    gst_bin_add(graph, source);
    const auto node = std::to_string(settings_.pipewire_node);
    g_object_set(source, "fd", settings_.pipewire_fd, "path", node.c_str(), "keepalive-time", kStillMs, "do-timestamp",
                 TRUE, nullptr);
    GstElement* format = add_element(graph, "capsfilter");
    const GstPtr<GstCaps> caps(gst_caps_new_empty_simple("video/x-raw"));  // in memory that can be read
    g_object_set(format, "caps", caps.get(), nullptr);
    crop_ = add_element(graph, "videocrop");
    const GstPtr<GstPad> pad(gst_element_get_static_pad(crop_, "sink"));
    gst_pad_add_probe(pad.get(), GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, &ScreenPortalSource::on_caps, this, nullptr);
    link_elements(source, format);
    link_elements(format, crop_);
    link_elements(crop_, head);
}

GstPadProbeReturn ScreenPortalSource::on_caps(GstPad* /*pad*/, GstPadProbeInfo* info, gpointer self) {
    GstEvent* event = gst_pad_probe_info_get_event(info);
    if (GST_EVENT_TYPE(event) != GST_EVENT_CAPS) return GST_PAD_PROBE_OK;
    auto* source = static_cast<ScreenPortalSource*>(self);
    GstCaps* caps = nullptr;
    gst_event_parse_caps(event, &caps);
    GstVideoInfo video;
    if (!gst_video_info_from_caps(&video, caps)) return GST_PAD_PROBE_OK;
    const Rect whole{0, 0, GST_VIDEO_INFO_WIDTH(&video), GST_VIDEO_INFO_HEIGHT(&video)};
    Rect part = part_of(whole, source->settings_.region);
    if (part.is_empty()) part = part_of(whole, {});  // the desktop is smaller than it was
    g_object_set(source->crop_, "left", part.x, "top", part.y, "right", whole.width - part.x - part.width, "bottom",
                 whole.height - part.y - part.height, nullptr);
    return GST_PAD_PROBE_OK;
}

Failure ScreenPortalSource::explain(const GError& error, const char* detail, bool /*had_frames*/) const {
    return {"CAPTURE_FAILED", "the shared screen: " + in_words(error, detail)};
}

}  // namespace rtcagent
