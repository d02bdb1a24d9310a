// What of an X server's screens can be shared.
#pragma once

#include <string>
#include <vector>

#include "media/x11_connection.h"

namespace rtcagent {

struct ScreenEntry {
    bool is_window = false;
    std::string id;
    std::string title;
    std::string application;
    Rect area;
    bool is_primary = false;
    bool is_minimised = false;
    std::string thumbnail;  // PNG
};

// `thumbnail_width`: 0 for none. Displays first, then windows from the topmost down. NativeError NO_DISPLAY.
std::vector<ScreenEntry> list_screens(const std::string& display, int thumbnail_width);

}  // namespace rtcagent
