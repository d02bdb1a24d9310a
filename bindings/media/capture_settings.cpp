#include "media/capture_settings.h"

#include <algorithm>
#include <array>
#include <stdexcept>

namespace rtcagent {

bool same_input(const CaptureSettings& one, const CaptureSettings& other) {
    CaptureSettings as_other = one;
    as_other.width = other.width;
    as_other.height = other.height;
    as_other.fps = other.fps;
    as_other.rotation = other.rotation;
    as_other.mirror = other.mirror;
    // Who gives the descriptor has it until the capture has started, and its number says nothing.
    as_other.pipewire_fd = other.pipewire_fd;
    return as_other == other;
}

void check(const CaptureSettings& s) {
    const std::array inputs = {&s.device_path, &s.rtsp_url, &s.file_path, &s.pattern, &s.x11_display};
    const auto set = std::count_if(inputs.begin(), inputs.end(), [](const auto* text) { return !text->empty(); });
    if (set + (s.pipewire_node != 0 ? 1 : 0) != 1) {
        throw std::invalid_argument(
            "exactly one of device_path, rtsp_url, file_path, pattern, x11_display and pipewire_node must be set");
    }
    const std::array patterns = {"bars_and_clock", "bars", "ball", "noise"};
    if (!s.pattern.empty() && std::find(patterns.begin(), patterns.end(), s.pattern) == patterns.end()) {
        throw std::invalid_argument("pattern: unknown name '" + s.pattern + "'");
    }
    if (s.rotation % 90 != 0 || s.rotation < 0 || s.rotation > 270) {
        throw std::invalid_argument("rotation: must be 0, 90, 180 or 270");
    }
    for (const int size : {s.width, s.height, s.device_width, s.device_height}) {
        if (size < 0 || size > 16384) throw std::invalid_argument("width and height: must be 0 to 16384");
    }
    for (const double fps : {s.fps, s.device_fps}) {
        if (!(fps >= 0 && fps <= 1000)) throw std::invalid_argument("fps: must be 0 to 1000");
    }
    if (s.is_screen() && s.fps <= 0) throw std::invalid_argument("fps: must be set for a screen");
    if (s.region.width < 0 || s.region.height < 0) throw std::invalid_argument("region: its size must not be negative");
    if (s.rtsp_latency_ms < 0 || s.rtsp_latency_ms > 60'000) {
        throw std::invalid_argument("rtsp_latency_ms: must be 0 to 60000");
    }
}

}  // namespace rtcagent
