#include "media/decoder.h"

#include "media/gst_ptr.h"
#include "media/gstreamer.h"

namespace rtcagent {

namespace {

constexpr const char* name_of(Media media) {
    return media == Media::kVideo ? "video/x-raw" : "audio/x-raw";
}

template <Media media>
void on_pad(GstElement* /*decoder*/, GstPad* pad, gpointer head) {
    const GstPtr<GstCaps> caps(gst_pad_query_caps(pad, nullptr));
    if (gst_caps_is_empty(caps.get()) || gst_caps_is_any(caps.get()) ||
        !gst_structure_has_name(gst_caps_get_structure(caps.get(), 0), name_of(media))) {
        return;
    }
    const GstPtr<GstPad> sink(gst_element_get_static_pad(GST_ELEMENT(head), "sink"));
    if (!gst_pad_is_linked(sink.get())) gst_pad_link(pad, sink.get());
}

template <Media media>
void on_no_more_pads(GstElement* decoder, gpointer head) {
    const GstPtr<GstPad> sink(gst_element_get_static_pad(GST_ELEMENT(head), "sink"));
    if (gst_pad_is_linked(sink.get())) return;
    GST_ELEMENT_ERROR(decoder, STREAM, WRONG_TYPE,
                      ("There is no %s in it.", media == Media::kVideo ? "video" : "sound"), (nullptr));
}

}  // namespace

GstElement* add_decoder(GstBin* graph, GstElement* head, Media media) {
    GstElement* decoder = add_element(graph, "decodebin");
    const bool is_video = media == Media::kVideo;
    const GstPtr<GstCaps> raw(gst_caps_from_string(is_video ? "video/x-raw(ANY)" : "audio/x-raw(ANY)"));
    g_object_set(decoder, "caps", raw.get(), "expose-all-streams", FALSE, nullptr);
    g_signal_connect(decoder, "pad-added",
                     is_video ? G_CALLBACK(on_pad<Media::kVideo>) : G_CALLBACK(on_pad<Media::kAudio>), head);
    g_signal_connect(decoder, "no-more-pads",
                     is_video ? G_CALLBACK(on_no_more_pads<Media::kVideo>) : G_CALLBACK(on_no_more_pads<Media::kAudio>),
                     head);
    return decoder;
}

}  // namespace rtcagent
