// An X server: one window for each monitor, shaped as its canvases, above all others, through which input passes.
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>
#include <xcb/randr.h>
#include <xcb/shape.h>
#include <xcb/shm.h>
#include <xcb/xcb.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "media/canvas_screen.h"
#include "media/frame_clock.h"
#include "media/native_error.h"

namespace rtcagent {

namespace {

// Somebody who wants to be on top, too, is not fought for every frame.
constexpr std::int64_t kRaiseUs = 500'000;

struct Freed {
    void operator()(void* reply) const { std::free(reply); }
};

template <typename T>
using Reply = std::unique_ptr<T, Freed>;

// Memory that the X server reads, or, where it cannot (over a network), memory of our own.
class Pixels {
  public:
    Pixels(xcb_connection_t* connection, bool can_share, int width, int height)
        : connection_(connection), width_(width), height_(height) {
        const auto bytes = static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 4;
        if (can_share) {
            const int id = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);
            if (id < 0) throw std::system_error(errno, std::generic_category(), "shmget");
            shared_ = shmat(id, nullptr, 0);
            segment_ = xcb_generate_id(connection);
            const Reply<xcb_generic_error_t> refused(
                xcb_request_check(connection, xcb_shm_attach_checked(connection, segment_, id, 0)));
            shmctl(id, IPC_RMID, nullptr);  // it goes when both have let go
            if (refused || shared_ == reinterpret_cast<void*>(-1)) segment_ = 0;
        }
        if (segment_ == 0) own_.resize(bytes / 4);
    }
    ~Pixels() {
        if (segment_ != 0) xcb_shm_detach(connection_, segment_);
        if (shared_ != nullptr && shared_ != reinterpret_cast<void*>(-1)) shmdt(shared_);
    }
    Pixels(const Pixels&) = delete;
    Pixels& operator=(const Pixels&) = delete;

    int width() const { return width_; }
    int height() const { return height_; }
    std::uint32_t* data() { return segment_ != 0 ? static_cast<std::uint32_t*>(shared_) : own_.data(); }

    void put(xcb_window_t window, xcb_gcontext_t gc, const Rect& area) {
        if (segment_ != 0) {
            xcb_shm_put_image(connection_, window, gc, width_, height_, area.x, area.y, area.width, area.height, area.x,
                              area.y, 24, XCB_IMAGE_FORMAT_Z_PIXMAP, 0, segment_, 0);
            return;
        }
        const auto limit = static_cast<std::size_t>(xcb_get_maximum_request_length(connection_)) * 4 - 64;
        const int rows_at_once = std::max<int>(1, static_cast<int>(limit / (static_cast<std::size_t>(area.width) * 4)));
        std::vector<std::uint32_t> packed;
        for (int y = area.y; y < area.y + area.height; y += rows_at_once) {
            const int rows = std::min(rows_at_once, area.y + area.height - y);
            packed.clear();
            for (int row = y; row < y + rows; ++row) {
                const auto* from = own_.data() + static_cast<std::size_t>(row) * width_ + area.x;
                packed.insert(packed.end(), from, from + area.width);
            }
            xcb_put_image(connection_, XCB_IMAGE_FORMAT_Z_PIXMAP, window, gc, area.width, rows, area.x, y, 0, 24,
                          packed.size() * 4, reinterpret_cast<const std::uint8_t*>(packed.data()));
        }
    }

  private:
    xcb_connection_t* const connection_;
    const int width_;
    const int height_;
    xcb_shm_seg_t segment_ = 0;
    void* shared_ = nullptr;
    std::vector<std::uint32_t> own_;
};

struct Window {
    xcb_window_t id = 0;
    xcb_gcontext_t gc = 0;
    Rect place;
    std::unique_ptr<Pixels> pixels;
    std::vector<Rect> shape;
    bool is_mapped = false;
};

class X11Screen : public Screen {
  public:
    explicit X11Screen(const std::string& address) : address_(address) {
        int number = 0;
        connection_ = xcb_connect(address.c_str(), &number);
        if (xcb_connection_has_error(connection_) != 0) {
            xcb_disconnect(connection_);
            throw NativeError("NO_DISPLAY", "the X server " + address + " does not let the engine in, or does not run");
        }
        try {
            set_up(number);
        } catch (...) {
            xcb_disconnect(connection_);
            throw;
        }
    }
    ~X11Screen() override {
        windows_.clear();  // their memory; the windows go with the connection
        xcb_disconnect(connection_);
    }

    int fd() const override { return xcb_get_file_descriptor(connection_); }

    void flush() override {
        xcb_flush(connection_);
        check();
    }

    bool dispatch() override {
        bool changed = false;
        while (const Reply<xcb_generic_event_t> event{xcb_poll_for_event(connection_)}) {
            const int kind = event->response_type & 0x7f;
            if (kind == XCB_EXPOSE) {
                exposed(reinterpret_cast<const xcb_expose_event_t*>(event.get()));
            } else if (kind == XCB_VISIBILITY_NOTIFY) {
                const auto* seen = reinterpret_cast<const xcb_visibility_notify_event_t*>(event.get());
                if (seen->state != XCB_VISIBILITY_UNOBSCURED) raise(seen->window);
            } else if (kind == randr_event_ || kind == XCB_CONFIGURE_NOTIFY) {
                changed = true;
            }
        }
        check();
        if (!changed) return false;
        auto now = read_displays();
        if (now == displays_) return false;
        displays_ = std::move(now);
        for (auto it = windows_.begin(); it != windows_.end();)
            it = is_there(it->first) ? std::next(it) : (destroy(it->second), windows_.erase(it));
        return true;
    }

    std::vector<DisplayInfo> displays() override { return displays_; }

    CanvasSurface begin(const DisplayInfo& display, bool* is_new) override {
        auto& window = windows_[display.display_id];
        const Rect place{display.x, display.y, display.width, display.height};
        *is_new = window.id == 0 || window.place != place;
        if (*is_new) {
            destroy(window);
            window = make(place);
        }
        return {window.pixels->data(), display.width, display.width, display.height};
    }

    void show(const DisplayInfo& display, const std::vector<Rect>& drawn, const std::vector<Rect>& shape) override {
        auto& window = windows_.at(display.display_id);
        if (shape != window.shape) {
            std::vector<xcb_rectangle_t> parts;
            for (const auto& part : shape)
                parts.push_back({static_cast<std::int16_t>(part.x), static_cast<std::int16_t>(part.y),
                                 static_cast<std::uint16_t>(part.width), static_cast<std::uint16_t>(part.height)});
            xcb_shape_rectangles(connection_, XCB_SHAPE_SO_SET, XCB_SHAPE_SK_BOUNDING, XCB_CLIP_ORDERING_UNSORTED,
                                 window.id, 0, 0, parts.size(), parts.data());
            window.shape = shape;
        }
        if (!window.is_mapped) {
            xcb_map_window(connection_, window.id);
            window.is_mapped = true;
            raise(window.id);
        }
        for (const auto& area : drawn) window.pixels->put(window.id, window.gc, area);
        // The server has read it all when it answers: then it may be drawn into again.
        const Reply<xcb_get_input_focus_reply_t> answer(
            xcb_get_input_focus_reply(connection_, xcb_get_input_focus(connection_), nullptr));
        check();
    }

    void hide(const std::string& display_id) override {
        if (const auto it = windows_.find(display_id); it != windows_.end()) {
            destroy(it->second);
            windows_.erase(it);
            xcb_flush(connection_);
        }
    }

  private:
    void set_up(int number) {
        auto screens = xcb_setup_roots_iterator(xcb_get_setup(connection_));
        for (; screens.rem > 1 && number > 0; --number) xcb_screen_next(&screens);
        screen_ = screens.data;
        if (screen_->root_depth != 24)
            throw NativeError("NO_DISPLAY", "the X server " + address_ + " has a depth of " +
                                                std::to_string(screen_->root_depth) + ", where 24 is needed");
        const Reply<xcb_randr_query_version_reply_t> randr(
            xcb_randr_query_version_reply(connection_, xcb_randr_query_version(connection_, 1, 5), nullptr));
        has_monitors_ = randr && (randr->major_version > 1 || randr->minor_version >= 5);
        const Reply<xcb_shape_query_version_reply_t> shape(
            xcb_shape_query_version_reply(connection_, xcb_shape_query_version(connection_), nullptr));
        if (!shape || shape->minor_version < 1)
            throw NativeError("NO_DISPLAY", "the X server " + address_ + " lacks the extension SHAPE 1.1");
        const Reply<xcb_shm_query_version_reply_t> shm(
            xcb_shm_query_version_reply(connection_, xcb_shm_query_version(connection_), nullptr));
        can_share_ = shm != nullptr;
        const std::uint32_t wanted[] = {XCB_EVENT_MASK_STRUCTURE_NOTIFY};
        xcb_change_window_attributes(connection_, screen_->root, XCB_CW_EVENT_MASK, wanted);
        if (has_monitors_) {
            const auto* extension = xcb_get_extension_data(connection_, &xcb_randr_id);
            randr_event_ = extension->first_event + XCB_RANDR_SCREEN_CHANGE_NOTIFY;
            xcb_randr_select_input(connection_, screen_->root, XCB_RANDR_NOTIFY_MASK_SCREEN_CHANGE);
        }
        displays_ = read_displays();
    }

    std::vector<DisplayInfo> read_displays() {
        std::vector<DisplayInfo> found;
        if (has_monitors_) {
            const Reply<xcb_randr_get_monitors_reply_t> monitors(xcb_randr_get_monitors_reply(
                connection_, xcb_randr_get_monitors(connection_, screen_->root, 1), nullptr));
            auto each = monitors ? xcb_randr_get_monitors_monitors_iterator(monitors.get())
                                 : xcb_randr_monitor_info_iterator_t{};
            for (; each.rem > 0; xcb_randr_monitor_info_next(&each))
                found.push_back(display(name_of(each.data->name),
                                        {each.data->x, each.data->y, each.data->width, each.data->height},
                                        each.data->primary != 0));
        }
        if (found.empty()) {
            const Reply<xcb_get_geometry_reply_t> root(
                xcb_get_geometry_reply(connection_, xcb_get_geometry(connection_, screen_->root), nullptr));
            if (root) found.push_back(display("screen", {0, 0, root->width, root->height}, true));
        }
        check();
        // As screen sharing sees it: without a primary one it is the first.
        const auto is_primary = [](const DisplayInfo& one) { return one.is_primary; };
        if (!found.empty() && std::none_of(found.begin(), found.end(), is_primary)) found.front().is_primary = true;
        return found;
    }

    static DisplayInfo display(std::string name, const Rect& place, bool is_primary) {
        return {.display_id = std::move(name),
                .kind = "X11",
                .description = {},
                .x = place.x,
                .y = place.y,
                .width = place.width,
                .height = place.height,
                .has_geometry = true,
                .has_order = true,
                .missing = {},
                .is_primary = is_primary};
    }

    std::string name_of(xcb_atom_t atom) {
        const Reply<xcb_get_atom_name_reply_t> name(
            xcb_get_atom_name_reply(connection_, xcb_get_atom_name(connection_, atom), nullptr));
        if (!name) return "screen";
        return {xcb_get_atom_name_name(name.get()),
                static_cast<std::size_t>(xcb_get_atom_name_name_length(name.get()))};
    }

    bool is_there(const std::string& display_id) const {
        return std::any_of(displays_.begin(), displays_.end(),
                           [&](const DisplayInfo& one) { return one.display_id == display_id; });
    }

    Window make(const Rect& place) {
        Window window;
        window.place = place;
        window.id = xcb_generate_id(connection_);
        // No window manager has a say in its place, its order or its frame.
        const std::uint32_t values[] = {screen_->black_pixel, 1,
                                        XCB_EVENT_MASK_EXPOSURE | XCB_EVENT_MASK_VISIBILITY_CHANGE};
        xcb_create_window(connection_, XCB_COPY_FROM_PARENT, window.id, screen_->root, place.x, place.y, place.width,
                          place.height, 0, XCB_WINDOW_CLASS_INPUT_OUTPUT, XCB_COPY_FROM_PARENT,
                          XCB_CW_BACK_PIXEL | XCB_CW_OVERRIDE_REDIRECT | XCB_CW_EVENT_MASK, values);
        constexpr std::string_view kTitle = "rtcagent canvases";
        xcb_change_property(connection_, XCB_PROP_MODE_REPLACE, window.id, XCB_ATOM_WM_NAME, XCB_ATOM_STRING, 8,
                            kTitle.size(), kTitle.data());
        // An empty shape for input: pointer and touch reach what lies beneath.
        xcb_shape_rectangles(connection_, XCB_SHAPE_SO_SET, XCB_SHAPE_SK_INPUT, XCB_CLIP_ORDERING_UNSORTED, window.id,
                             0, 0, 0, nullptr);
        window.gc = xcb_generate_id(connection_);
        xcb_create_gc(connection_, window.gc, window.id, 0, nullptr);
        window.pixels = std::make_unique<Pixels>(connection_, can_share_, place.width, place.height);
        return window;
    }

    void destroy(Window& window) {
        if (window.id == 0) return;
        xcb_free_gc(connection_, window.gc);
        xcb_destroy_window(connection_, window.id);
        window = Window();
    }

    void exposed(const xcb_expose_event_t* event) {
        for (auto& [_, window] : windows_) {
            if (window.id == event->window)
                window.pixels->put(window.id, window.gc, {event->x, event->y, event->width, event->height});
        }
    }

    void raise(xcb_window_t id) {
        if (monotonic_us() - raised_at_us_ < kRaiseUs) return;
        raised_at_us_ = monotonic_us();
        const std::uint32_t above[] = {XCB_STACK_MODE_ABOVE};
        xcb_configure_window(connection_, id, XCB_CONFIG_WINDOW_STACK_MODE, above);
    }

    void check() const {
        if (xcb_connection_has_error(connection_) != 0)
            throw NativeError("NO_DISPLAY", "the connection to the X server " + address_ + " was lost");
    }

    const std::string address_;
    xcb_connection_t* connection_ = nullptr;
    xcb_screen_t* screen_ = nullptr;
    bool has_monitors_ = false;
    bool can_share_ = false;
    int randr_event_ = -1;
    std::int64_t raised_at_us_ = 0;
    std::vector<DisplayInfo> displays_;
    std::map<std::string, Window> windows_;
};

}  // namespace

std::unique_ptr<Screen> open_x11(const std::string& address) {
    return std::make_unique<X11Screen>(address);
}

}  // namespace rtcagent
