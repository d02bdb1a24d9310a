#include "media/canvas_screen.h"

#include <cstdlib>
#include <string>

#include "media/native_error.h"

namespace rtcagent {

namespace {

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

}  // namespace

std::unique_ptr<Screen> open_screen(const std::string& wayland, const std::string& x11) {
    if (!wayland.empty()) return open_wayland(wayland);
    if (!x11.empty()) return open_x11(x11);
    if (const auto address = variable("WAYLAND_DISPLAY"); !address.empty()) return open_wayland(address);
    if (const auto address = variable("DISPLAY"); !address.empty()) return open_x11(address);
    throw NativeError("NO_DISPLAY",
                      "the engine has neither WAYLAND_DISPLAY nor DISPLAY, and [display] names no display server");
}

}  // namespace rtcagent
