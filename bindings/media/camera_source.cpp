#include "media/camera_source.h"

#include <cstring>

#include "media/camera_choice.h"
#include "media/cameras.h"
#include "media/gst_ptr.h"
#include "media/gstreamer.h"

namespace rtcagent {

namespace {

// Our names of pixel formats in GStreamer's words.
const char* gst_format_of(const std::string& pixel_format) {
    if (pixel_format == "YUYV") return "YUY2";
    if (pixel_format == "RGB24") return "RGB";
    if (pixel_format == "BGR24") return "BGR";
    if (pixel_format == "GREY") return "GRAY8";
    return pixel_format.c_str();  // UYVY, NV12, I420
}

GstPtr<GstCaps> caps_of(const CameraChoice& choice) {
    const bool jpeg = choice.pixel_format == "MJPEG";
    GstPtr<GstCaps> caps(gst_caps_new_empty_simple(jpeg ? "image/jpeg" : "video/x-raw"));
    if (!jpeg && !choice.pixel_format.empty()) {
        gst_caps_set_simple(caps.get(), "format", G_TYPE_STRING, gst_format_of(choice.pixel_format), nullptr);
    }
    if (choice.width > 0) gst_caps_set_simple(caps.get(), "width", G_TYPE_INT, choice.width, nullptr);
    if (choice.height > 0) gst_caps_set_simple(caps.get(), "height", G_TYPE_INT, choice.height, nullptr);
    if (choice.fps > 0) {
        // Cameras name the same rate as 30/1, 30000/1001 or 10000000/333333: all within a part in five hundred.
        gint low_n = 0, low_d = 1, high_n = 0, high_d = 1;
        gst_util_double_to_fraction(choice.fps * 0.998, &low_n, &low_d);
        gst_util_double_to_fraction(choice.fps * 1.002, &high_n, &high_d);
        gst_caps_set_simple(caps.get(), "framerate", GST_TYPE_FRACTION_RANGE, low_n, low_d, high_n, high_d, nullptr);
    }
    return caps;
}

}  // namespace

void CameraSource::add_to(GstBin* graph, GstElement* head) {
    formats_ = formats_of_free_camera(settings_.device_path);
    choice_ = choose(formats_, settings_);
    GstElement* camera = add_element(graph, "v4l2src");
    g_object_set(camera, "device", settings_.device_path.c_str(), nullptr);
    GstElement* format = add_element(graph, "capsfilter");
    g_object_set(format, "caps", caps_of(choice_).get(), nullptr);
    link_elements(camera, format);
    if (choice_.pixel_format == "MJPEG") {
        GstElement* decoder = add_element(graph, "jpegdec");
        // Cameras send a broken picture now and then, above all at their start; the next one is whole.
        g_object_set(decoder, "max-errors", -1, nullptr);
        link_elements(format, decoder);
        link_elements(decoder, head);
    } else {
        link_elements(format, head);
    }
    const GstPtr<GstPad> pad(gst_element_get_static_pad(camera, "src"));
    gst_pad_add_probe(pad.get(), GST_PAD_PROBE_TYPE_BUFFER, &CameraSource::on_buffer, this, nullptr);
}

bool CameraSource::update(const CaptureSettings& before, const CaptureSettings& after) {
    // Another size or rate may want the camera opened in another format.
    return same_input(before, after) && choose(formats_, after) == choice_;
}

GstPadProbeReturn CameraSource::on_buffer(GstPad* /*pad*/, GstPadProbeInfo* info, gpointer self) {
    auto* source = static_cast<CameraSource*>(self);
    // The driver numbers its frames; a number that is missing is a frame that it or the kernel's queue dropped.
    const auto number = GST_BUFFER_OFFSET(GST_PAD_PROBE_INFO_BUFFER(info));
    const auto last = source->last_number_;
    if (last != GST_BUFFER_OFFSET_NONE && number != GST_BUFFER_OFFSET_NONE && number > last + 1) {
        source->lost_ += static_cast<std::int64_t>(number - last - 1);
    }
    source->last_number_ = number;
    return GST_PAD_PROBE_OK;
}

Failure CameraSource::explain(const GError& error, const char* detail, bool had_frames) const {
    const std::string message = settings_.device_path + ": " + in_words(error, detail);
    const auto is = [&error](gint code) { return error.domain == GST_RESOURCE_ERROR && error.code == code; };
    if (is(GST_RESOURCE_ERROR_BUSY)) return {"DEVICE_BUSY", message};
    // GStreamer tells of an unplugged camera as of any read error: the device itself is asked.
    if (!is_camera_there(settings_.device_path)) return {had_frames ? "DEVICE_UNPLUGGED" : "DEVICE_ABSENT", message};
    if (is(GST_RESOURCE_ERROR_SETTINGS) || (detail != nullptr && std::strstr(detail, "not-negotiated") != nullptr) ||
        (error.domain == GST_STREAM_ERROR && error.code == GST_STREAM_ERROR_FORMAT)) {
        return {"FORMAT_UNSUPPORTED", message};
    }
    return {"CAPTURE_FAILED", message};
}

}  // namespace rtcagent
