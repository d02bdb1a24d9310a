#include "media/decoder.h"

#include "media/gst_ptr.h"
#include "media/gstreamer.h"

namespace rtcagent {

namespace {

void on_pad(GstElement* /*decoder*/, GstPad* pad, gpointer head) {
    const GstPtr<GstCaps> caps(gst_pad_query_caps(pad, nullptr));
    if (gst_caps_is_empty(caps.get()) || gst_caps_is_any(caps.get()) ||
        !gst_structure_has_name(gst_caps_get_structure(caps.get(), 0), "video/x-raw")) {
        return;
    }
    const GstPtr<GstPad> sink(gst_element_get_static_pad(GST_ELEMENT(head), "sink"));
    if (!gst_pad_is_linked(sink.get())) gst_pad_link(pad, sink.get());
}

void on_no_more_pads(GstElement* decoder, gpointer head) {
    const GstPtr<GstPad> sink(gst_element_get_static_pad(GST_ELEMENT(head), "sink"));
    if (gst_pad_is_linked(sink.get())) return;
    GST_ELEMENT_ERROR(decoder, STREAM, WRONG_TYPE, ("There is no video in it."), (nullptr));
}

}  // namespace

GstElement* add_decoder(GstBin* graph, GstElement* head) {
    GstElement* decoder = add_element(graph, "decodebin");
    const GstPtr<GstCaps> video(gst_caps_from_string("video/x-raw(ANY)"));
    g_object_set(decoder, "caps", video.get(), "expose-all-streams", FALSE, nullptr);
    g_signal_connect(decoder, "pad-added", G_CALLBACK(on_pad), head);
    g_signal_connect(decoder, "no-more-pads", G_CALLBACK(on_no_more_pads), head);
    return decoder;
}

}  // namespace rtcagent
