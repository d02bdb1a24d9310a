#include "media/y4m_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <optional>
#include <sstream>
#include <string_view>

#include "media/file_source.h"
#include "media/gstreamer.h"

namespace rtcagent {

namespace {

constexpr std::string_view kMagic = "YUV4MPEG2 ";

GstVideoFormat format_of(const std::string& colour) {
    if (colour.empty() || colour == "420" || colour == "420jpeg" || colour == "420mpeg2" || colour == "420paldv") {
        return GST_VIDEO_FORMAT_I420;
    }
    if (colour == "422") return GST_VIDEO_FORMAT_Y42B;
    if (colour == "444") return GST_VIDEO_FORMAT_Y444;
    if (colour == "mono") return GST_VIDEO_FORMAT_GRAY8;
    return GST_VIDEO_FORMAT_UNKNOWN;
}

bool read_fully(int fd, std::uint8_t* data, std::size_t size, std::int64_t at) {
    while (size > 0) {
        const auto got = pread(fd, data, size, at);
        if (got <= 0) return false;
        data += got;
        size -= static_cast<std::size_t>(got);
        at += got;
    }
    return true;
}

// The line that begins at `at`, without its end; nothing when there is none of at most 255 characters.
std::optional<std::string> read_line(int fd, std::int64_t at) {
    std::array<char, 256> text{};
    const auto got = pread(fd, text.data(), text.size(), at);
    if (got <= 0) return std::nullopt;
    const std::string_view view(text.data(), static_cast<std::size_t>(got));
    const auto end = view.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    return std::string(view.substr(0, end));
}

}  // namespace

bool is_y4m(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return false;
    std::array<char, kMagic.size()> begin{};
    const auto got = pread(fd, begin.data(), begin.size(), 0);
    close(fd);
    return got == static_cast<ssize_t>(begin.size()) && std::string_view(begin.data(), begin.size()) == kMagic;
}

Y4mSource::~Y4mSource() {
    if (pool_) gst_buffer_pool_set_active(pool_.get(), FALSE);
    if (fd_ >= 0) close(fd_);
}

void Y4mSource::add_to(GstBin* graph, GstElement* head) {
    require_readable_file(settings_.file_path);
    fd_ = open(settings_.file_path.c_str(), O_RDONLY | O_CLOEXEC);
    read_header();
    const GstPtr<GstCaps> caps(gst_video_info_to_caps(&info_));
    pool_.reset(gst_video_buffer_pool_new());
    GstStructure* config = gst_buffer_pool_get_config(pool_.get());
    gst_buffer_pool_config_set_params(config, caps.get(), static_cast<guint>(GST_VIDEO_INFO_SIZE(&info_)), 2, 0);
    if (!gst_buffer_pool_set_config(pool_.get(), config) || !gst_buffer_pool_set_active(pool_.get(), TRUE)) {
        throw NativeError("INTERNAL", "no memory for frames");
    }
    GstElement* appsrc = add_element(graph, "appsrc");
    g_object_set(appsrc, "format", GST_FORMAT_TIME, "caps", caps.get(), nullptr);
    GstAppSrcCallbacks callbacks{};
    callbacks.need_data = &Y4mSource::on_need_data;
    gst_app_src_set_callbacks(GST_APP_SRC(appsrc), &callbacks, this, nullptr);
    link_elements(appsrc, head);
}

Failure Y4mSource::explain(const GError& error, const char* detail, bool had_frames) const {
    return {had_frames ? "CAPTURE_FAILED" : "URL_INVALID", settings_.file_path + ": " + in_words(error, detail)};
}

void Y4mSource::read_header() {
    const auto line = read_line(fd_, 0);
    const auto refuse = [this](const std::string& why) {
        throw NativeError("URL_INVALID", settings_.file_path + ": " + why);
    };
    if (!line) return refuse("its YUV4MPEG2 header is damaged");
    int width = 0, height = 0, fps_n = 30, fps_d = 1, par_n = 1, par_d = 1;
    std::string colour;
    std::istringstream words(line->substr(kMagic.size()));
    for (std::string word; words >> word;) {
        const char* value = word.c_str() + 1;
        if (word[0] == 'W') std::sscanf(value, "%d", &width);
        if (word[0] == 'H') std::sscanf(value, "%d", &height);
        if (word[0] == 'F') std::sscanf(value, "%d:%d", &fps_n, &fps_d);
        if (word[0] == 'A') std::sscanf(value, "%d:%d", &par_n, &par_d);
        if (word[0] == 'C') colour = value;
    }
    const auto format = format_of(colour);
    if (format == GST_VIDEO_FORMAT_UNKNOWN) return refuse("its colour format " + colour + " is not supported");
    if (width < 1 || height < 1 || width > 16384 || height > 16384 || fps_n < 1 || fps_d < 1) {
        return refuse("its YUV4MPEG2 header has no usable size or rate");
    }
    gst_video_info_set_format(&info_, format, static_cast<guint>(width), static_cast<guint>(height));
    info_.fps_n = fps_n;
    info_.fps_d = fps_d;
    if (par_n > 0 && par_d > 0) {
        info_.par_n = par_n;
        info_.par_d = par_d;
    }
    first_frame_at_ = position_ = static_cast<std::int64_t>(line->size()) + 1;
}

void Y4mSource::on_need_data(GstAppSrc* appsrc, guint /*length*/, gpointer self) {
    static_cast<Y4mSource*>(self)->give_next(appsrc);
}

void Y4mSource::give_next(GstAppSrc* appsrc) {
    GstBuffer* raw = nullptr;
    if (gst_buffer_pool_acquire_buffer(pool_.get(), &raw, nullptr) != GST_FLOW_OK) return;
    GstPtr<GstBuffer> buffer(raw);
    if (!read_frame(raw)) {
        const bool again = settings_.loop && position_ != first_frame_at_;
        position_ = first_frame_at_;
        if (!again || !read_frame(raw)) {
            if (frames_given_ == 0) {
                GST_ELEMENT_ERROR(appsrc, STREAM, WRONG_TYPE, ("There is no whole frame in it."), (nullptr));
            }
            gst_app_src_end_of_stream(appsrc);
            return;
        }
    }
    const auto time_of = [this](std::uint64_t frame) {
        return gst_util_uint64_scale(frame, GST_SECOND * static_cast<guint64>(info_.fps_d),
                                     static_cast<guint64>(info_.fps_n));
    };
    GST_BUFFER_PTS(raw) = time_of(frames_given_);
    GST_BUFFER_DURATION(raw) = time_of(frames_given_ + 1) - time_of(frames_given_);
    ++frames_given_;
    gst_app_src_push_buffer(appsrc, buffer.release());
}

bool Y4mSource::read_frame(GstBuffer* buffer) {
    const auto line = read_line(fd_, position_);
    if (!line || !line->starts_with("FRAME")) return false;
    auto at = position_ + static_cast<std::int64_t>(line->size()) + 1;
    GstVideoFrame frame;
    if (!gst_video_frame_map(&frame, &info_, buffer, GST_MAP_WRITE)) return false;
    bool whole = true;
    for (guint plane = 0; whole && plane < GST_VIDEO_FRAME_N_PLANES(&frame); ++plane) {
        auto* data = static_cast<std::uint8_t*>(GST_VIDEO_FRAME_PLANE_DATA(&frame, plane));
        const auto width = static_cast<std::size_t>(GST_VIDEO_FRAME_COMP_WIDTH(&frame, plane));
        const auto height = static_cast<std::size_t>(GST_VIDEO_FRAME_COMP_HEIGHT(&frame, plane));
        const auto stride = static_cast<std::size_t>(GST_VIDEO_FRAME_PLANE_STRIDE(&frame, plane));
        // The file has no gaps between rows; memory may have.
        const auto rows_at_once = stride == width ? height : 1;
        for (std::size_t row = 0; whole && row < height; row += rows_at_once) {
            whole = read_fully(fd_, data + row * stride, width * rows_at_once, at);
            at += static_cast<std::int64_t>(width * rows_at_once);
        }
    }
    gst_video_frame_unmap(&frame);
    if (whole) position_ = at;
    return whole;
}

}  // namespace rtcagent
