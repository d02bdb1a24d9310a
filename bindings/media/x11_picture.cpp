#include "media/x11_picture.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xcb/xfixes.h>

namespace rtcagent {

X11Picture::~X11Picture() {
    unshare();
}

bool X11Picture::read(xcb_drawable_t drawable, const Rect& area) {
    auto* c = connection_.get();
    const auto x = static_cast<std::int16_t>(area.x), y = static_cast<std::int16_t>(area.y);
    const auto width = static_cast<std::uint16_t>(area.width), height = static_cast<std::uint16_t>(area.height);
    const std::size_t size = std::size_t{4} * width * height;
    width_ = area.width;
    height_ = area.height;
    if (share(size)) {
        const XReply<xcb_shm_get_image_reply_t> answer(xcb_shm_get_image_reply(
            c, xcb_shm_get_image(c, drawable, x, y, width, height, ~0U, XCB_IMAGE_FORMAT_Z_PIXMAP, segment_, 0),
            nullptr));
        return answer && connection_.has_plain_pixels(answer->depth);
    }
    copy_.reset(xcb_get_image_reply(c, xcb_get_image(c, XCB_IMAGE_FORMAT_Z_PIXMAP, drawable, x, y, width, height, ~0U),
                                    nullptr));
    if (!copy_ || !connection_.has_plain_pixels(copy_->depth) ||
        static_cast<std::size_t>(xcb_get_image_data_length(copy_.get())) < size) {
        return false;
    }
    copy_data_ = xcb_get_image_data(copy_.get());
    return true;
}

void X11Picture::draw_pointer(int origin_x, int origin_y) {
    auto* c = connection_.get();
    const XReply<xcb_xfixes_get_cursor_image_reply_t> cursor(
        xcb_xfixes_get_cursor_image_reply(c, xcb_xfixes_get_cursor_image(c), nullptr));
    if (!cursor) return;
    const auto* pixels = xcb_xfixes_get_cursor_image_cursor_image(cursor.get());
    auto* picture = shared_ != nullptr ? shared_ : copy_data_;
    const Rect place{cursor->x - cursor->xhot - origin_x, cursor->y - cursor->yhot - origin_y, cursor->width,
                     cursor->height};
    const Rect seen = intersection(place, {0, 0, width_, height_});
    for (int y = seen.y; y < seen.y + seen.height; ++y) {
        for (int x = seen.x; x < seen.x + seen.width; ++x) {
            const std::uint32_t over = pixels[(y - place.y) * place.width + (x - place.x)];
            auto* under = picture + 4 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) +
                                         static_cast<std::size_t>(x));
            const std::uint32_t rest = 255 - (over >> 24);  // the pointer's colours are multiplied by its alpha already
            for (int part = 0; part < 3; ++part) {
                const std::uint32_t mixed = ((over >> (8 * part)) & 255) + under[part] * rest / 255;
                under[part] = static_cast<std::uint8_t>(mixed > 255 ? 255 : mixed);
            }
        }
    }
}

bool X11Picture::share(std::size_t size) {
    if (!can_share_) return false;
    if (shared_ != nullptr && shared_size_ >= size) return true;
    unshare();
    can_share_ = false;  // until it has worked
    auto* c = connection_.get();
    const auto* extension = xcb_get_extension_data(c, &xcb_shm_id);
    if (extension == nullptr || extension->present == 0) return false;
    const XReply<xcb_shm_query_version_reply_t> version(
        xcb_shm_query_version_reply(c, xcb_shm_query_version(c), nullptr));
    if (!version || version->major_version < 1 || (version->major_version == 1 && version->minor_version < 2)) {
        return false;
    }
    // Memory without a name, handed over with the request: no System V segment that a killed engine would leave behind.
    const int fd = memfd_create("rtcagent-screen", MFD_CLOEXEC);
    if (fd < 0) return false;
    void* memory = ftruncate(fd, static_cast<off_t>(size)) == 0
                       ? mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                       : MAP_FAILED;
    if (memory == MAP_FAILED) {
        close(fd);
        return false;
    }
    segment_ = xcb_generate_id(c);
    const auto attached = xcb_shm_attach_fd_checked(c, segment_, fd, 0);  // takes the descriptor
    if (const XReply<xcb_generic_error_t> error{xcb_request_check(c, attached)}) {
        munmap(memory, size);  // the server is on another machine
        return false;
    }
    shared_ = static_cast<std::uint8_t*>(memory);
    shared_size_ = size;
    return can_share_ = true;
}

void X11Picture::unshare() {
    if (shared_ == nullptr) return;
    xcb_shm_detach(connection_.get(), segment_);
    munmap(shared_, shared_size_);
    shared_ = nullptr;
    shared_size_ = 0;
}

}  // namespace rtcagent
