// Reads pixels from the X server, and draws the pointer over them.
#pragma once

#include <xcb/shm.h>
#include <xcb/xcb.h>

#include <cstddef>
#include <cstdint>

#include "media/rect.h"
#include "media/x11_connection.h"

namespace rtcagent {

// The pixels of a rectangle, 32 bits each (blue, green, red, padding), rows without gaps. They come through memory
// shared with the server where the two are on one machine, else over the connection.
class X11Picture {
  public:
    explicit X11Picture(const X11Connection& connection) : connection_(connection) {}
    ~X11Picture();
    X11Picture(const X11Picture&) = delete;
    X11Picture& operator=(const X11Picture&) = delete;

    // Reads `area` of a window or pixmap, with the windows in it. False: it cannot be read (now).
    bool read(xcb_drawable_t drawable, const Rect& area);
    // Draws the pointer, as the person at the machine sees it; `origin`: the place of the picture's corner on the
    // screen.
    void draw_pointer(int origin_x, int origin_y);
    const std::uint8_t* data() const { return shared_ != nullptr ? shared_ : copy_data_; }

  private:
    bool share(std::size_t size);
    void unshare();

    const X11Connection& connection_;
    bool can_share_ = true;
    std::uint8_t* shared_ = nullptr;
    std::size_t shared_size_ = 0;
    xcb_shm_seg_t segment_ = 0;
    XReply<xcb_get_image_reply_t> copy_;
    std::uint8_t* copy_data_ = nullptr;
    int width_ = 0;
    int height_ = 0;
};

}  // namespace rtcagent
