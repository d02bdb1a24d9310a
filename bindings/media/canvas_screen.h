// A connection to a display server, as the stage needs it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "media/canvas_picture.h"

namespace rtcagent {

struct DisplayInfo {
    std::string display_id;
    std::string kind;  // "X11" | "WAYLAND"
    std::string description;
    int x = 0;
    int y = 0;
    int width = 0;
    int height = 0;
    bool has_geometry = false;
    bool has_order = false;
    std::string missing;
    bool is_primary = false;  // what is shared where no display is named; of X11 only

    bool operator==(const DisplayInfo&) const = default;
};

// Used by one thread at a time. Every method throws NativeError NO_DISPLAY once the connection is lost.
class Screen {
  public:
    virtual ~Screen() = default;
    virtual int fd() const = 0;
    // To be called before waiting for `fd`.
    virtual void flush() = 0;
    // Takes what has come; true when displays() says something else than before.
    virtual bool dispatch() = 0;
    virtual std::vector<DisplayInfo> displays() = 0;
    // Where to draw what the display is to show; what was drawn stays there. No pixels while the server is not ready
    // for more: it says so on `fd`. `is_new`: everything is to be drawn.
    virtual CanvasSurface begin(const DisplayInfo& display, bool* is_new) = 0;
    // Shows the parts of the surface that were drawn. Nothing but `shape` is covered by it.
    virtual void show(const DisplayInfo& display, const std::vector<Rect>& drawn, const std::vector<Rect>& shape) = 0;
    // Takes everything away from the display.
    virtual void hide(const std::string& display_id) = 0;
};

// To the Wayland compositor or the X server of this address; empty: the environment's, Wayland before X.
std::unique_ptr<Screen> open_screen(const std::string& wayland, const std::string& x11);

std::unique_ptr<Screen> open_x11(const std::string& address);
std::unique_ptr<Screen> open_wayland(const std::string& address);

}  // namespace rtcagent
