// What is captured and how its picture is turned, in plain fields.
#pragma once

#include <cstdint>
#include <string>

#include "media/rect.h"

namespace rtcagent {

// Exactly one of device_path, rtsp_url, file_path, pattern, x11_display and pipewire_node is set. 0 and "" mean: chosen
// by us.
struct CaptureSettings {
    bool operator==(const CaptureSettings&) const = default;

    std::string device_path;
    std::string pixel_format;
    int device_width = 0;
    int device_height = 0;
    double device_fps = 0;
    std::string rtsp_url;
    int rtsp_latency_ms = 0;
    std::string file_path;
    bool loop = false;
    std::string pattern;
    // A screen: of an X server, or a stream of PipeWire that the desktop's portal gave.
    std::string x11_display;   // as in $DISPLAY
    std::string monitor;       // "": the primary one
    std::uint32_t window = 0;  // instead of a monitor
    std::string window_tag;    // "": whichever window has the number
    int pipewire_fd = -1;      // the caller's; used while the capture starts
    std::uint32_t pipewire_node = 0;
    Rect region;  // of the screen; empty: all of it
    bool pointer = true;
    int width = 0;
    int height = 0;
    double fps = 0;
    int rotation = 0;
    bool mirror = false;

    bool is_screen() const { return !x11_display.empty() || pipewire_node != 0; }
    bool turned_sideways() const { return rotation == 90 || rotation == 270; }
    // The size before rotation that gives the asked output.
    int width_before_turn() const { return turned_sideways() ? height : width; }
    int height_before_turn() const { return turned_sideways() ? width : height; }
};

// Whether two differ at most in the picture that leaves the capture: its size, rate and turn.
bool same_input(const CaptureSettings& one, const CaptureSettings& other);

// std::invalid_argument names the field that is wrong.
void check(const CaptureSettings& settings);

}  // namespace rtcagent
