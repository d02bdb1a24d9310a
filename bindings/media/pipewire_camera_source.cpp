#include "media/pipewire_camera_source.h"

#include <cstring>

#include "media/gst_ptr.h"
#include "media/gstreamer.h"

namespace rtcagent {

void PipeWireCameraSource::add_to(GstBin* graph, GstElement* head) {
    GstElement* camera = gst_element_factory_make("pipewiresrc", nullptr);
    if (camera == nullptr) {
        throw NativeError("CAPTURE_FAILED", "GStreamer has no pipewiresrc: install gstreamer1.0-pipewire");
    }
    gst_bin_add(graph, camera);
    // Where the camera goes away, its stream must not be given another one.
    const GstPtr<GstStructure> properties(
        gst_structure_new("props", "node.dont-reconnect", G_TYPE_STRING, "true", nullptr));
    g_object_set(camera, "target-object", settings_.device_path.c_str() + std::strlen(kPipeWirePath),
                 "stream-properties", properties.get(), "do-timestamp", TRUE, "always-copy", TRUE, nullptr);
    GstElement* format = add_element(graph, "capsfilter");
    const GstPtr<GstCaps> caps(gst_caps_new_empty_simple("video/x-raw"));
    if (settings_.device_width > 0 && settings_.device_height > 0) {
        gst_caps_set_simple(caps.get(), "width", G_TYPE_INT, settings_.device_width, "height", G_TYPE_INT,
                            settings_.device_height, nullptr);
    }
    g_object_set(format, "caps", caps.get(), nullptr);
    link_elements(camera, format);
    link_elements(format, head);
}

Failure PipeWireCameraSource::explain(const GError& error, const char* detail, bool had_frames) const {
    const std::string message = settings_.device_path + ": " + in_words(error, detail);
    if (detail != nullptr && std::strstr(detail, "not-negotiated") != nullptr) return {"FORMAT_UNSUPPORTED", message};
    // It says nothing else of a camera that is gone, or that it was not allowed to open.
    return {had_frames ? "DEVICE_UNPLUGGED" : "CAPTURE_FAILED", message};
}

}  // namespace rtcagent
