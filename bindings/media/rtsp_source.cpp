#include "media/rtsp_source.h"

#include <cstring>

#include "media/decoder.h"
#include "media/gst_ptr.h"
#include "media/gstreamer.h"

namespace rtcagent {

namespace {

constexpr guint64 kConnectTimeoutUs = 5'000'000;
constexpr guint64 kUdpTimeoutUs = 3'000'000;  // then the same by TCP
constexpr guint kLatencyMs = 200;

gboolean on_select(GstElement* /*rtspsrc*/, guint /*number*/, GstCaps* caps, gpointer /*unused*/) {
    return g_strcmp0(gst_structure_get_string(gst_caps_get_structure(caps, 0), "media"), "video") == 0;
}

void on_pad(GstElement* /*rtspsrc*/, GstPad* pad, gpointer decoder) {
    const GstPtr<GstPad> sink(gst_element_get_static_pad(GST_ELEMENT(decoder), "sink"));
    if (!gst_pad_is_linked(sink.get())) gst_pad_link(pad, sink.get());
}

// The address without user and password, which are nobody's business in a log.
std::string shown(const std::string& url) {
    const auto begin = url.find("://");
    const auto end = begin == std::string::npos ? begin : url.find('/', begin + 3);
    const auto at = begin == std::string::npos ? begin : url.rfind('@', end);
    if (at == std::string::npos || at < begin) return url;
    return url.substr(0, begin + 3) + url.substr(at + 1);
}

}  // namespace

void RtspSource::add_to(GstBin* graph, GstElement* head) {
    if (!settings_.rtsp_url.starts_with("rtsp://") && !settings_.rtsp_url.starts_with("rtsps://")) {
        throw NativeError("URL_INVALID", shown(settings_.rtsp_url) + " does not begin with rtsp:// or rtsps://");
    }
    if (const auto rest = shown(settings_.rtsp_url); rest.ends_with("://") || rest.find(":///") != std::string::npos) {
        throw NativeError("URL_INVALID", rest + " names no server");
    }
    GstElement* rtsp = add_element(graph, "rtspsrc");
    const guint latency_ms = settings_.rtsp_latency_ms > 0 ? static_cast<guint>(settings_.rtsp_latency_ms) : kLatencyMs;
    // What is older than the latency is dropped: a slow moment must not become a lasting delay.
    g_object_set(rtsp, "location", settings_.rtsp_url.c_str(), "latency", latency_ms, "drop-on-latency", TRUE,
                 "tcp-timeout", kConnectTimeoutUs, "timeout", kUdpTimeoutUs, nullptr);
    GstElement* decoder = add_decoder(graph, head);
    g_signal_connect(rtsp, "select-stream", G_CALLBACK(on_select), nullptr);
    g_signal_connect(rtsp, "pad-added", G_CALLBACK(on_pad), decoder);
}

Failure RtspSource::explain(const GError& error, const char* detail, bool /*had_frames*/) const {
    const std::string message = shown(settings_.rtsp_url) + ": " + in_words(error, detail);
    if (error.domain == GST_RESOURCE_ERROR) {
        switch (error.code) {
            case GST_RESOURCE_ERROR_NOT_FOUND:
                return {"URL_INVALID", message};
            case GST_RESOURCE_ERROR_OPEN_READ:
            case GST_RESOURCE_ERROR_OPEN_WRITE:
            case GST_RESOURCE_ERROR_OPEN_READ_WRITE:
            case GST_RESOURCE_ERROR_READ:
            case GST_RESOURCE_ERROR_WRITE:
            case GST_RESOURCE_ERROR_CLOSE:
                return {"SERVER_UNREACHABLE", message};
            default:
                break;
        }
    }
    return {"CAPTURE_FAILED", message};
}

}  // namespace rtcagent
