#include "media/camera_choice.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <sstream>
#include <tuple>

#include "media/native_error.h"

namespace rtcagent {

namespace {

bool same_rate(double a, double b) {
    return std::abs(a - b) <= 0.005 * std::max(a, b);
}

// The slowest rate that is fast enough, else the fastest; nothing when a rate is asked that is not offered.
std::optional<double> pick_rate(const std::vector<double>& offered, double asked, double wanted) {
    if (asked > 0) {
        if (offered.empty()) return asked;
        for (const double fps : offered) {
            if (same_rate(fps, asked)) return fps;
        }
        return std::nullopt;
    }
    if (offered.empty()) return 0.0;
    std::optional<double> enough;
    for (const double fps : offered) {
        if ((fps >= wanted || same_rate(fps, wanted)) && fps < enough.value_or(1e9)) enough = fps;
    }
    return enough.value_or(*std::max_element(offered.begin(), offered.end()));
}

// Cheap to turn into I420 first.
int cost_of(const std::string& pixel_format) {
    const auto order = {"I420", "NV12", "YUYV", "UYVY", "GREY", "RGB24", "BGR24", "MJPEG"};
    return static_cast<int>(std::find(order.begin(), order.end(), pixel_format) - order.begin());
}

std::string asked_in_words(const CaptureSettings& s) {
    std::ostringstream text;
    if (!s.pixel_format.empty()) text << s.pixel_format << ' ';
    if (s.device_width > 0 || s.device_height > 0) text << s.device_width << 'x' << s.device_height << ' ';
    if (s.device_fps > 0) text << "at " << s.device_fps << " fps ";
    return text.str();
}

}  // namespace

CameraChoice choose(const std::vector<CameraFormat>& formats, const CaptureSettings& s) {
    if (formats.empty()) return {s.pixel_format, s.device_width, s.device_height, s.device_fps};
    const int width = s.width_before_turn() > 0 ? s.width_before_turn() : s.height_before_turn() > 0 ? 1 : 1280;
    const int height = s.height_before_turn() > 0 ? s.height_before_turn() : s.width_before_turn() > 0 ? 1 : 720;
    const double wanted_fps = s.fps > 0 ? s.fps : 30;
    const double wanted_area = static_cast<double>(width) * height;

    // Less is better, from the left: too slow or too small by how much, MJPEG, the work per frame, the price of the
    // format.
    using Rank = std::tuple<double, bool, double, int>;
    std::optional<std::pair<Rank, CameraChoice>> best;
    for (const auto& format : formats) {
        if (format.pixel_format == "OTHER" || (!s.pixel_format.empty() && format.pixel_format != s.pixel_format))
            continue;
        if (s.device_width > 0 && format.width != s.device_width) continue;
        if (s.device_height > 0 && format.height != s.device_height) continue;
        const auto fps = pick_rate(format.fps, s.device_fps, wanted_fps);
        if (!fps) continue;
        const double area = static_cast<double>(format.width) * format.height;
        const double reached_fps = *fps > 0 ? std::min(1.0, *fps / wanted_fps * 1.005) : 1.0;
        const bool covers = format.width >= width && format.height >= height;
        // By the length of its edges, not its area: a smooth picture of half the size beats a jerky one.
        const double reached_area = covers ? 1.0 : std::min(0.99, std::sqrt(area / wanted_area));
        const Rank rank{1.0 - reached_fps * reached_area, format.pixel_format == "MJPEG", area,
                        cost_of(format.pixel_format)};
        if (!best || rank < best->first) {
            best.emplace(rank, CameraChoice{format.pixel_format, format.width, format.height, *fps});
        }
    }
    if (!best) {
        throw NativeError("FORMAT_UNSUPPORTED",
                          s.device_path + " does not offer " + asked_in_words(s) + "(see its list of formats)");
    }
    return best->second;
}

}  // namespace rtcagent
