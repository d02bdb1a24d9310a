#include "media/screen_list.h"

#include <gst/gst.h>
#include <gst/video/video.h>
#include <xcb/composite.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <vector>

#include "media/gst_ptr.h"
#include "media/gstreamer.h"
#include "media/native_error.h"
#include "media/snapshot.h"
#include "media/x11_picture.h"

namespace rtcagent {

namespace {

// A smaller picture of what was read, each of its pixels the mean of those that it stands for; as PNG.
std::string shrunk(const std::uint8_t* pixels, int width, int height, int most_width) {
    const int to_width = std::min(width, most_width);
    const int to_height = std::max(1, height * to_width / width);
    const auto size = static_cast<std::size_t>(to_width) * static_cast<std::size_t>(to_height) * 4;
    const GstPtr<GstBuffer> buffer(gst_buffer_new_allocate(nullptr, size, nullptr));
    GstMapInfo map;
    if (!gst_buffer_map(buffer.get(), &map, GST_MAP_WRITE)) return "";
    std::uint8_t* to = map.data;
    for (int y = 0; y < to_height; ++y) {
        const int top = y * height / to_height, bottom = std::max(top + 1, (y + 1) * height / to_height);
        for (int x = 0; x < to_width; ++x) {
            const int left = x * width / to_width, right = std::max(left + 1, (x + 1) * width / to_width);
            std::array<std::uint32_t, 4> sums{};
            for (int row = top; row < bottom; ++row) {
                const auto* from = pixels + 4 * (static_cast<std::size_t>(row) * static_cast<std::size_t>(width) +
                                                 static_cast<std::size_t>(left));
                for (int i = left; i < right; ++i, from += 4) {
                    for (std::size_t part = 0; part < 3; ++part) sums[part] += from[part];
                }
            }
            const auto count = static_cast<std::uint32_t>((bottom - top) * (right - left));
            for (const auto sum : sums) *to++ = static_cast<std::uint8_t>(sum / count);
        }
    }
    gst_buffer_unmap(buffer.get(), &map);
    const GstPtr<GstCaps> caps(gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, "BGRx", "width", G_TYPE_INT,
                                                   to_width, "height", G_TYPE_INT, to_height, "framerate",
                                                   GST_TYPE_FRACTION, 0, 1, nullptr));
    const GstPtr<GstSample> sample(gst_sample_new(buffer.get(), caps.get(), nullptr, nullptr));
    return encode_snapshot(sample.get(), "png", 0).image;
}

std::string thumbnail_of(const X11Connection& x, xcb_drawable_t drawable, const Rect& area, int most_width) {
    X11Picture picture(x);
    if (area.is_empty() || !picture.read(drawable, area)) return "";
    return shrunk(picture.data(), area.width, area.height, most_width);
}

// Of a window that has pixels of its own now, because a compositor runs or it is being shared: these. Of another one:
// what is to be seen at its place, since giving it some would make it flicker.
std::string thumbnail_of_window(const X11Connection& x, const X11Window& window, int most_width) {
    if (window.is_minimised) return "";
    auto* c = x.get();
    const xcb_pixmap_t pixels = xcb_generate_id(c);
    const auto named = xcb_composite_name_window_pixmap_checked(c, window.id, pixels);
    if (const XReply<xcb_generic_error_t> error{xcb_request_check(c, named)}) {
        return thumbnail_of(x, x.root(), intersection(window.area, x.root_area()), most_width);
    }
    const XReply<xcb_get_geometry_reply_t> geometry(xcb_get_geometry_reply(c, xcb_get_geometry(c, window.id), nullptr));
    std::string image;
    if (geometry) {
        const int border = geometry->border_width;
        image = thumbnail_of(x, pixels, {border, border, geometry->width, geometry->height}, most_width);
    }
    xcb_free_pixmap(c, pixels);
    return image;
}

std::string id_of(const X11Window& window) {
    std::array<char, 16> number{};
    std::snprintf(number.data(), number.size(), "0x%x", window.id);
    return std::string(number.data()) + "." + window.tag;
}

}  // namespace

std::vector<ScreenEntry> list_screens(const std::string& display, int thumbnail_width) {
    ensure_gstreamer();
    const X11Connection x(display);
    std::vector<ScreenEntry> entries;
    for (const auto& monitor : x.monitors()) {
        ScreenEntry entry{.is_window = false,
                          .id = monitor.name,
                          .title = monitor.name,
                          .application = {},
                          .area = monitor.area,
                          .is_primary = monitor.is_primary,
                          .is_minimised = false,
                          .thumbnail = {}};
        if (thumbnail_width > 0) entry.thumbnail = thumbnail_of(x, x.root(), monitor.area, thumbnail_width);
        entries.push_back(std::move(entry));
    }
    for (const auto& window : x.windows()) {
        ScreenEntry entry{.is_window = true,
                          .id = id_of(window),
                          .title = window.title,
                          .application = window.application,
                          .area = window.area,
                          .is_primary = false,
                          .is_minimised = window.is_minimised,
                          .thumbnail = {}};
        if (thumbnail_width > 0) entry.thumbnail = thumbnail_of_window(x, window, thumbnail_width);
        entries.push_back(std::move(entry));
    }
    if (!x.is_alive()) throw NativeError("NO_DISPLAY", "the X server of display " + display + " went away");
    return entries;
}

}  // namespace rtcagent
