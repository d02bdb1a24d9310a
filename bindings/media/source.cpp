#include "media/source.h"

#include <cstring>

#include "media/camera_source.h"
#include "media/file_source.h"
#include "media/pattern_source.h"
#include "media/rtsp_source.h"
#include "media/y4m_source.h"

namespace rtcagent {

std::unique_ptr<Source> make_source(const CaptureSettings& settings) {
    if (!settings.device_path.empty()) return std::make_unique<CameraSource>(settings);
    if (!settings.rtsp_url.empty()) return std::make_unique<RtspSource>(settings);
    if (!settings.pattern.empty()) return std::make_unique<PatternSource>(settings);
    if (is_y4m(settings.file_path)) return std::make_unique<Y4mSource>(settings);
    return std::make_unique<FileSource>(settings);
}

std::string in_words(const GError& error, const char* detail) {
    std::string words = error.message;
    if (detail == nullptr) return words;
    // "../sys/v4l2/gstv4l2object.c(4252): gst_v4l2_object_set_format_full (): /GstPipeline:...:\nCall to S_FMT failed":
    // what follows the object's path is what helps.
    const char* line = std::strrchr(detail, '\n');
    const std::string more = line != nullptr ? line + 1 : detail;
    if (!more.empty() && more != words) words += " (" + more + ")";
    return words;
}

}  // namespace rtcagent
