#include "media/screen_x11_source.h"

#include <gst/video/video.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <xcb/composite.h>
#include <xcb/damage.h>
#include <xcb/randr.h>
#include <xcb/xfixes.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "media/frame_clock.h"
#include "media/gstreamer.h"

namespace rtcagent {

namespace {

constexpr std::int64_t kStillUs = 500'000;  // between two pictures of a screen on which nothing is drawn
constexpr int kSmallest = 16;               // pixels, of what can be encoded

std::string in_words(const Rect& r) {
    return std::to_string(r.width) + "x" + std::to_string(r.height) + "+" + std::to_string(r.x) + "+" +
           std::to_string(r.y);
}

std::string in_hex(std::uint32_t number) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "0x%x", number);
    return text.data();
}

}  // namespace

ScreenX11Source::ScreenX11Source(CaptureSettings settings)
    : settings_(std::move(settings)),
      wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      view_{settings_.region, settings_.pointer, settings_.fps} {
}

ScreenX11Source::~ScreenX11Source() {
    end();
    if (pool_) gst_buffer_pool_set_active(pool_.get(), FALSE);
    if (wake_fd_ >= 0) close(wake_fd_);
}

void ScreenX11Source::add_to(GstBin* graph, GstElement* head) {
    x_ = std::make_unique<X11Connection>(settings_.x11_display);
    picture_ = std::make_unique<X11Picture>(*x_);
    auto* c = x_->get();
    damage_event_ = xcb_get_extension_data(c, &xcb_damage_id)->first_event;
    fixes_event_ = xcb_get_extension_data(c, &xcb_xfixes_id)->first_event;
    randr_event_ = xcb_get_extension_data(c, &xcb_randr_id)->first_event;
    if (settings_.window != 0) {
        choose_window();
    } else {
        xcb_randr_select_input(c, x_->root(), XCB_RANDR_NOTIFY_MASK_SCREEN_CHANGE);
        choose_monitor();
    }
    damage_ = xcb_generate_id(c);
    xcb_damage_create(c, damage_, settings_.window != 0 ? settings_.window : x_->root(),
                      XCB_DAMAGE_REPORT_LEVEL_NON_EMPTY);
    xcb_xfixes_select_cursor_input(c, x_->root(), XCB_XFIXES_CURSOR_NOTIFY_MASK_DISPLAY_CURSOR);
    xcb_flush(c);

    GstElement* appsrc = add_element(graph, "appsrc");
    g_object_set(appsrc, "is-live", TRUE, "do-timestamp", TRUE, "format", GST_FORMAT_TIME, "max-buffers",
                 static_cast<guint64>(2), "max-bytes", static_cast<guint64>(0), nullptr);
    gst_util_set_object_arg(G_OBJECT(appsrc), "leaky-type", "downstream");
    appsrc_ = GST_APP_SRC(appsrc);
    link_elements(appsrc, head);
}

void ScreenX11Source::begin(GstElement* /*graph*/) {
    thread_ = std::jthread([this](const std::stop_token& stopping) { run(stopping); });
}

void ScreenX11Source::end() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    eventfd_write(wake_fd_, 1);
    thread_.join();
}

Failure ScreenX11Source::explain(const GError& error, const char* detail, bool /*had_frames*/) const {
    const std::lock_guard lock(mutex_);
    return failure_.value_or(Failure{"CAPTURE_FAILED", rtcagent::in_words(error, detail)});
}

bool ScreenX11Source::update(const CaptureSettings& /*before*/, const CaptureSettings& settings) {
    if (!is_same_target(settings)) return false;
    {
        const std::lock_guard lock(mutex_);
        view_ = {settings.region, settings.pointer, settings.fps};
    }
    eventfd_write(wake_fd_, 1);
    return true;
}

bool ScreenX11Source::is_same_target(const CaptureSettings& other) const {
    const auto& mine = settings_;
    return mine.x11_display == other.x11_display && mine.monitor == other.monitor && mine.window == other.window &&
           mine.window_tag == other.window_tag;
}

void ScreenX11Source::choose_monitor() {
    const auto monitors = x_->monitors();
    const auto found = std::find_if(monitors.begin(), monitors.end(), [this](const auto& each) {
        return settings_.monitor.empty() ? each.is_primary : each.name == settings_.monitor;
    });
    if (found == monitors.end()) {
        std::string names;
        for (const auto& each : monitors) names += (names.empty() ? "" : ", ") + each.name;
        throw NativeError("NO_DISPLAY", "there is no display " + settings_.monitor + " now; there are: " + names);
    }
    whole_ = found->area;
    Rect region;
    {
        const std::lock_guard lock(mutex_);
        region = view_.region;
    }
    const Rect part = part_of(whole_, region);
    if (part.width < kSmallest || part.height < kSmallest) {
        throw NativeError("FORMAT_UNSUPPORTED", "the region " + in_words(region) + " is outside of display " +
                                                    found->name + ", which is " + std::to_string(whole_.width) + "x" +
                                                    std::to_string(whole_.height));
    }
}

void ScreenX11Source::choose_window() {
    auto* c = x_->get();
    // First the events, then a look: what happens between the two is told.
    const std::uint32_t events = XCB_EVENT_MASK_STRUCTURE_NOTIFY;
    xcb_change_window_attributes(c, settings_.window, XCB_CW_EVENT_MASK, &events);
    X11Window window;
    if (!x_->describe(settings_.window, window) ||
        (!settings_.window_tag.empty() && window.tag != settings_.window_tag)) {
        throw NativeError("WINDOW_CLOSED", "window " + in_hex(settings_.window) + " is closed");
    }
    // From here on the server keeps the window's own pixels, whatever covers it.
    xcb_composite_redirect_window(c, settings_.window, XCB_COMPOSITE_REDIRECT_AUTOMATIC);
    top_level_ = x_->top_level_of(settings_.window);
    on_screen_ = window.area;
    take_window_pixels();
}

void ScreenX11Source::take_window_pixels() {
    auto* c = x_->get();
    const XReply<xcb_get_geometry_reply_t> geometry(
        xcb_get_geometry_reply(c, xcb_get_geometry(c, settings_.window), nullptr));
    if (!geometry) return;  // closed: the event follows
    whole_ = {geometry->border_width, geometry->border_width, geometry->width, geometry->height};
    const xcb_pixmap_t pixels = xcb_generate_id(c);
    const auto named = xcb_composite_name_window_pixmap_checked(c, settings_.window, pixels);
    if (const XReply<xcb_generic_error_t> error{xcb_request_check(c, named)}) {
        set_hidden(true);  // not shown now: the pixels that it had last are still ours
        return;
    }
    if (pixels_ != XCB_NONE) xcb_free_pixmap(c, pixels_);
    pixels_ = pixels;
    is_dirty_ = true;
    set_hidden(false);
}

void ScreenX11Source::run(const std::stop_token& stopping) {
    std::int64_t due_us = monotonic_us(), sent_us = 0;
    try {
        while (!stopping.stop_requested()) {
            take_events();
            if (is_unmapped_) set_hidden(true);  // and not closed, which begins like that
            const View view = [this] {
                const std::lock_guard lock(mutex_);
                return view_;
            }();
            const auto now_us = monotonic_us();
            const auto still_due_us = sent_us + kStillUs;
            if (now_us < due_us) {
                wait(due_us);
                continue;
            }
            if (view.pointer && pointer_changed()) is_dirty_ = true;
            if (!is_dirty_ && now_us < still_due_us && sent_us != 0) {
                // Only the pointer must be asked after; all else is told.
                const auto period_us = static_cast<std::int64_t>(1e6 / view.fps);
                wait(view.pointer ? std::min(now_us + period_us, still_due_us) : still_due_us);
                continue;
            }
            send_picture();
            sent_us = now_us;
            due_us = std::max(due_us + static_cast<std::int64_t>(1e6 / view.fps), now_us);
        }
    } catch (const NativeError& error) {
        fail(error.reason(), error.what());
    }
    if (x_->is_alive() && settings_.window != 0) {
        xcb_composite_unredirect_window(x_->get(), settings_.window, XCB_COMPOSITE_REDIRECT_AUTOMATIC);
        xcb_flush(x_->get());
    }
}

void ScreenX11Source::wait(std::int64_t until_us) {
    xcb_flush(x_->get());
    std::array<pollfd, 2> waiting = {pollfd{xcb_get_file_descriptor(x_->get()), POLLIN, 0},
                                     pollfd{wake_fd_, POLLIN, 0}};
    const auto left_us = std::max<std::int64_t>(0, until_us - monotonic_us());
    poll(waiting.data(), waiting.size(), static_cast<int>((left_us + 999) / 1000));
    if ((waiting[1].revents & POLLIN) != 0) {
        eventfd_t woken = 0;
        eventfd_read(wake_fd_, &woken);
        is_dirty_ = true;  // another view of it, perhaps
    }
}

void ScreenX11Source::take_events() {
    while (const XReply<xcb_generic_event_t> event{xcb_poll_for_event(x_->get())}) take_event(*event);
    if (!x_->is_alive()) {
        throw NativeError("NO_DISPLAY", "the X server of display " + settings_.x11_display + " went away");
    }
}

void ScreenX11Source::take_event(const xcb_generic_event_t& event) {
    const auto kind = static_cast<std::uint8_t>(event.response_type & 0x7f);
    if (kind == damage_event_ + XCB_DAMAGE_NOTIFY || kind == fixes_event_ + XCB_XFIXES_CURSOR_NOTIFY) {
        is_dirty_ = true;
    } else if (kind == randr_event_ + XCB_RANDR_SCREEN_CHANGE_NOTIFY && settings_.window == 0) {
        choose_monitor();
        is_dirty_ = true;
    } else if (settings_.window == 0) {
        return;
    } else if (kind == XCB_DESTROY_NOTIFY) {
        const auto& destroyed = reinterpret_cast<const xcb_destroy_notify_event_t&>(event);
        if (destroyed.window != settings_.window) return;
        throw NativeError("WINDOW_CLOSED", "window " + in_hex(settings_.window) + " was closed");
    } else if (kind == XCB_UNMAP_NOTIFY) {
        is_unmapped_ = true;
    } else if (kind == XCB_MAP_NOTIFY) {
        is_unmapped_ = false;
        take_window_pixels();
    } else if (kind == XCB_REPARENT_NOTIFY) {
        top_level_ = x_->top_level_of(settings_.window);
    } else if (kind == XCB_CONFIGURE_NOTIFY) {
        const auto& changed = reinterpret_cast<const xcb_configure_notify_event_t&>(event);
        if (changed.width != whole_.width || changed.height != whole_.height) take_window_pixels();
    }
}

bool ScreenX11Source::pointer_changed() {
    auto* c = x_->get();
    const XReply<xcb_query_pointer_reply_t> pointer(
        xcb_query_pointer_reply(c, xcb_query_pointer(c, x_->root()), nullptr));
    if (!pointer) return false;
    if (settings_.window != 0) {  // where a frame moves the window, the window itself is told nothing
        const XReply<xcb_translate_coordinates_reply_t> place(xcb_translate_coordinates_reply(
            c, xcb_translate_coordinates(c, settings_.window, x_->root(), 0, 0), nullptr));
        if (place) {
            on_screen_.x = place->dst_x;
            on_screen_.y = place->dst_y;
        }
    }
    const Rect place = settings_.window != 0 ? Rect{on_screen_.x, on_screen_.y, whole_.width, whole_.height} : whole_;
    // The pointer belongs to the window that is seen under it, not to one that is covered there.
    const bool is_on_it = pointer->same_screen != 0 && place.contains(pointer->root_x, pointer->root_y) &&
                          (settings_.window == 0 || pointer->child == top_level_);
    const bool has_moved = pointer->root_x != pointer_x_ || pointer->root_y != pointer_y_;
    const bool changed = is_on_it != pointer_seen_ || (is_on_it && has_moved);
    pointer_x_ = pointer->root_x;
    pointer_y_ = pointer->root_y;
    pointer_seen_ = is_on_it;
    return changed;
}

void ScreenX11Source::send_picture() {
    const View view = [this] {
        const std::lock_guard lock(mutex_);
        return view_;
    }();
    auto* c = x_->get();
    const Rect part = part_of(whole_, view.region);
    const bool has_pixels = settings_.window == 0 || pixels_ != XCB_NONE;
    // A minimised window is as it was; of one that is too small now there is nothing to be seen.
    if (!is_hidden_ && has_pixels && part.width >= kSmallest && part.height >= kSmallest) {
        if (is_dirty_) xcb_damage_subtract(c, damage_, XCB_NONE, XCB_NONE);
        // Also while nothing was told: what some drivers draw, nobody tells.
        if (picture_->read(settings_.window != 0 ? pixels_ : x_->root(), part)) {
            is_dirty_ = false;
            if (view.pointer && pointer_seen_) {
                const int dx = settings_.window != 0 ? on_screen_.x - whole_.x : 0;
                const int dy = settings_.window != 0 ? on_screen_.y - whole_.y : 0;
                picture_->draw_pointer(part.x + dx, part.y + dy);
            }
            set_format(part.width, part.height);
            GstBuffer* raw = nullptr;
            if (gst_buffer_pool_acquire_buffer(pool_.get(), &raw, nullptr) != GST_FLOW_OK) return;
            GstPtr<GstBuffer> buffer(raw);
            gst_buffer_fill(
                raw, 0, picture_->data(),
                std::size_t{4} * static_cast<std::size_t>(part.width) * static_cast<std::size_t>(part.height));
            send(std::move(buffer));
            return;
        }
        if (!x_->is_alive()) return;
        if (settings_.window == 0 && !x_->has_plain_pixels(24)) {
            throw NativeError("FORMAT_UNSUPPORTED",
                              "the X server shows less than 24 bits of colour, which cannot be shared");
        }
    }
    is_dirty_ = false;
    if (last_) {
        send(GstPtr<GstBuffer>(gst_buffer_copy(last_.get())));
        return;
    }
    // Never seen since it is captured: black, of its size.
    set_format(std::max(part.width, kSmallest), std::max(part.height, kSmallest));
    GstBuffer* raw = nullptr;
    if (gst_buffer_pool_acquire_buffer(pool_.get(), &raw, nullptr) != GST_FLOW_OK) return;
    GstPtr<GstBuffer> buffer(raw);
    gst_buffer_memset(raw, 0, 0, gst_buffer_get_size(raw));
    send(std::move(buffer));
}

void ScreenX11Source::send(GstPtr<GstBuffer> buffer) {
    GST_BUFFER_PTS(buffer.get()) = GST_CLOCK_TIME_NONE;  // the time of now, as do-timestamp has it
    last_.reset(gst_buffer_ref(buffer.get()));
    gst_app_src_push_buffer(appsrc_, gst_buffer_copy(buffer.get()));
}

void ScreenX11Source::set_format(int width, int height) {
    double fps = 0;
    {
        const std::lock_guard lock(mutex_);
        fps = view_.fps;
    }
    if (width == width_ && height == height_ && fps == format_fps_) return;
    gint fps_n = 15, fps_d = 1;
    gst_util_double_to_fraction(fps, &fps_n, &fps_d);
    const GstPtr<GstCaps> caps(gst_caps_new_simple(
        "video/x-raw", "format", G_TYPE_STRING, "BGRx", "width", G_TYPE_INT, width, "height", G_TYPE_INT, height,
        "framerate", GST_TYPE_FRACTION, fps_n, fps_d, "pixel-aspect-ratio", GST_TYPE_FRACTION, 1, 1, nullptr));
    if (width != width_ || height != height_) {
        if (pool_) gst_buffer_pool_set_active(pool_.get(), FALSE);
        pool_.reset(gst_buffer_pool_new());
        GstStructure* config = gst_buffer_pool_get_config(pool_.get());
        gst_buffer_pool_config_set_params(config, caps.get(), static_cast<guint>(4 * width * height), 0, 0);
        if (!gst_buffer_pool_set_config(pool_.get(), config) || !gst_buffer_pool_set_active(pool_.get(), TRUE)) {
            throw NativeError("INTERNAL", "no memory for pictures of the screen");
        }
    }
    gst_app_src_set_caps(appsrc_, caps.get());
    width_ = width;
    height_ = height;
    format_fps_ = fps;
}

void ScreenX11Source::set_hidden(bool hidden) {
    if (hidden == is_hidden_) return;
    is_hidden_ = hidden;
    if (tell_) tell_(hidden ? "hidden" : "shown");
}

void ScreenX11Source::fail(std::string reason, std::string message) {
    {
        const std::lock_guard lock(mutex_);
        failure_ = Failure{std::move(reason), message};
    }
    GST_ELEMENT_ERROR(appsrc_, RESOURCE, READ, ("%s", message.c_str()), (nullptr));
}

}  // namespace rtcagent
