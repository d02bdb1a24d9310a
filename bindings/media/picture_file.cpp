#include "media/picture_file.h"

#include <gst/app/gstappsink.h>
#include <gst/video/video.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <system_error>

#include "media/file_source.h"
#include "media/gst_ptr.h"
#include "media/gstreamer.h"
#include "media/native_error.h"
#include "media/source.h"

namespace rtcagent {

namespace {

constexpr GstClockTime kMostTime = 5 * GST_SECOND;

const char* decoder_of(const std::string& path) {
    std::array<char, 8> start{};
    std::ifstream file(path, std::ios::binary);
    file.read(start.data(), start.size());
    if (std::memcmp(start.data(), "\x89PNG\r\n\x1a\n", 8) == 0) return "pngdec";
    if (std::memcmp(start.data(), "\xff\xd8\xff", 3) == 0) return "jpegdec";
    throw NativeError("FILE_INVALID", path + " is neither a PNG nor a JPEG picture");
}

// A graph that is stopped before it is dropped.
struct Graph {
    GstPtr<GstElement> pipeline{GST_ELEMENT(gst_object_ref_sink(gst_pipeline_new(nullptr)))};
    Graph() = default;
    Graph(const Graph&) = delete;
    Graph& operator=(const Graph&) = delete;
    ~Graph() { gst_element_set_state(pipeline.get(), GST_STATE_NULL); }
    GstBin* bin() const { return GST_BIN(pipeline.get()); }
};

std::string why(const Graph& graph) {
    const GstPtr<GstBus> bus(gst_element_get_bus(graph.pipeline.get()));
    GstMessage* message = gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ERROR);
    if (message == nullptr) return "it has no picture";
    GError* raw = nullptr;
    gst_message_parse_error(message, &raw, nullptr);
    gst_message_unref(message);
    const GstPtr<GError> error(raw);
    return in_words(*error, nullptr);
}

}  // namespace

StillPicture::StillPicture(int width, int height)
    : width_(width),
      height_(height),
      bytes_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) +
             2 * static_cast<std::size_t>((width + 1) / 2) * static_cast<std::size_t>((height + 1) / 2)) {
}

Surface StillPicture::surface() {
    const int half = (width_ + 1) / 2;
    std::uint8_t* y = bytes_.data();
    std::uint8_t* u = y + static_cast<std::ptrdiff_t>(width_) * height_;
    std::uint8_t* v = u + static_cast<std::ptrdiff_t>(half) * ((height_ + 1) / 2);
    return {.planes = {y, u, v}, .strides = {width_, half, half}, .width = width_, .height = height_};
}

StillPicture load_picture(const std::string& path, int width, int height) {
    ensure_gstreamer();
    try {
        require_readable_file(path);
    } catch (const NativeError& error) {
        throw NativeError("FILE_INVALID", error.what());
    }
    const Graph graph;
    GstElement* file = add_element(graph.bin(), "filesrc");
    g_object_set(file, "location", path.c_str(), nullptr);
    GstElement* decoder = add_element(graph.bin(), decoder_of(path));
    GstElement* scale = add_element(graph.bin(), "videoconvertscale");
    GstElement* sink = add_element(graph.bin(), "appsink");
    const GstPtr<GstCaps> caps(gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, "I420", "width", G_TYPE_INT,
                                                   width, "height", G_TYPE_INT, height, "pixel-aspect-ratio",
                                                   GST_TYPE_FRACTION, 1, 1, nullptr));
    g_object_set(sink, "sync", FALSE, "caps", caps.get(), nullptr);
    link_elements(file, decoder);
    link_elements(decoder, scale);
    link_elements(scale, sink);
    gst_element_set_state(graph.pipeline.get(), GST_STATE_PLAYING);
    const GstPtr<GstSample> sample(gst_app_sink_try_pull_sample(GST_APP_SINK(sink), kMostTime));
    GstVideoInfo info;
    GstVideoFrame mapped;
    if (!sample || !gst_video_info_from_caps(&info, gst_sample_get_caps(sample.get())) ||
        !gst_video_frame_map(&mapped, &info, gst_sample_get_buffer(sample.get()), GST_MAP_READ)) {
        throw NativeError("FILE_INVALID", path + " cannot be shown: " + why(graph));
    }
    StillPicture picture(width, height);
    const Surface to = picture.surface();
    for (guint plane = 0; plane < 3; ++plane) {
        const auto* from = static_cast<const std::uint8_t*>(GST_VIDEO_FRAME_COMP_DATA(&mapped, plane));
        const int rows = GST_VIDEO_FRAME_COMP_HEIGHT(&mapped, plane);
        const int stride = GST_VIDEO_FRAME_COMP_STRIDE(&mapped, plane);
        for (int row = 0; row < rows; ++row) {
            std::memcpy(to.planes.at(plane) + static_cast<std::ptrdiff_t>(row) * to.strides.at(plane),
                        from + static_cast<std::ptrdiff_t>(row) * stride,
                        static_cast<std::size_t>(to.strides.at(plane)));
        }
    }
    gst_video_frame_unmap(&mapped);
    return picture;
}

}  // namespace rtcagent
