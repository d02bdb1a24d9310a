// One connection to an X server, and what the server says of its monitors and windows.
#pragma once

#include <xcb/xcb.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "media/rect.h"

namespace rtcagent {

struct FreeReply {
    void operator()(void* reply) const { std::free(reply); }
};

// Answers and events of XCB are the receiver's to free.
template <typename T>
using XReply = std::unique_ptr<T, FreeReply>;

struct X11Monitor {
    std::string name;
    Rect area;
    bool is_primary = false;
};

struct X11Window {
    std::uint32_t id = 0;
    std::string tag;  // tells this window from a later one of the same number
    std::string title;
    std::string application;
    Rect area;  // on the screen, without its frame
    bool is_minimised = false;
};

// XCB, since Xlib ends the process when the server goes away. One thread at a time.
class X11Connection {
  public:
    // `display` as in $DISPLAY. NativeError NO_DISPLAY.
    explicit X11Connection(const std::string& display);
    ~X11Connection();
    X11Connection(const X11Connection&) = delete;
    X11Connection& operator=(const X11Connection&) = delete;

    xcb_connection_t* get() const { return connection_; }
    xcb_window_t root() const { return screen_->root; }
    Rect root_area() const;
    bool is_alive() const { return xcb_connection_has_error(connection_) == 0; }
    // Whether pictures of this depth are 32 bits of blue, green, red and padding for each pixel.
    bool has_plain_pixels(int depth) const;

    // The primary one first.
    std::vector<X11Monitor> monitors() const;
    // From the topmost down: those that the window manager manages; without one, what is shown.
    std::vector<X11Window> windows() const;
    // False: there is no such window (any more).
    bool describe(xcb_window_t window, X11Window& into) const;
    // The child of the root that the window is, or is in.
    xcb_window_t top_level_of(xcb_window_t window) const;

  private:
    xcb_atom_t atom(const char* name) const;
    std::string property(xcb_window_t window, xcb_atom_t name) const;
    std::vector<std::uint32_t> numbers(xcb_window_t window, const char* name) const;
    std::string tag_of(xcb_window_t window, const std::string& wm_class) const;

    xcb_connection_t* connection_;
    const xcb_screen_t* screen_ = nullptr;
};

}  // namespace rtcagent
