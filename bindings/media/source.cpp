#include "media/source.h"

#include <algorithm>
#include <cstring>

#include "media/camera_source.h"
#include "media/file_source.h"
#include "media/gst_ptr.h"
#include "media/pattern_source.h"
#include "media/pipewire_camera_source.h"
#include "media/rtsp_source.h"
#include "media/screen_portal_source.h"
#include "media/screen_x11_source.h"
#include "media/y4m_source.h"

namespace rtcagent {

namespace {

constexpr std::size_t kMostDetail = 300;

}  // namespace

std::unique_ptr<Source> make_source(const CaptureSettings& settings) {
    if (settings.device_path.starts_with(kPipeWirePath)) return std::make_unique<PipeWireCameraSource>(settings);
    if (!settings.device_path.empty()) return std::make_unique<CameraSource>(settings);
    if (!settings.rtsp_url.empty()) return std::make_unique<RtspSource>(settings);
    if (!settings.pattern.empty()) return std::make_unique<PatternSource>(settings);
    if (!settings.x11_display.empty()) return std::make_unique<ScreenX11Source>(settings);
    if (settings.pipewire_node != 0) return std::make_unique<ScreenPortalSource>(settings);
    if (is_y4m(settings.file_path)) return std::make_unique<Y4mSource>(settings);
    return std::make_unique<FileSource>(settings);
}

std::string in_words(const GError& error, const char* detail) {
    std::string words = error.message;
    if (detail != nullptr) {
        // "gstv4l2object.c(4252): gst_v4l2_object_set_format_full (): /GstPipeline:...:\nCall to S_FMT failed": what
        // follows the place in the code is what helps, when there is such.
        const char* line = std::strchr(detail, '\n');
        std::string more = line != nullptr ? line + 1 : "";
        std::replace(more.begin(), more.end(), '\n', ' ');
        // "Missing decoder: H.265 (video/x-h265, codec_data=(buffer)0123...": the name is enough.
        if (error.domain == GST_CORE_ERROR && error.code == GST_CORE_ERROR_MISSING_PLUGIN)
            more = more.substr(0, more.find(" ("));
        if (more.size() > kMostDetail) more = more.substr(0, kMostDetail) + "...";
        if (!more.empty() && more != words) words += " (" + more + ")";
    }
    const GstPtr<gchar> valid(g_utf8_make_valid(words.c_str(), -1));
    return valid.get();
}

}  // namespace rtcagent
