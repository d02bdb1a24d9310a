#include "media/x11_connection.h"

#include <glib.h>
#include <xcb/composite.h>
#include <xcb/damage.h>
#include <xcb/randr.h>
#include <xcb/xfixes.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "media/gst_ptr.h"
#include "media/native_error.h"

namespace rtcagent {

namespace {

constexpr std::uint32_t kIconic = 3;             // of WM_STATE
constexpr std::uint32_t kMostOfProperty = 4096;  // in words of 4 bytes

std::string in_utf8(const std::string& text, bool is_utf8) {
    if (is_utf8) {
        const GstPtr<gchar> valid(g_utf8_make_valid(text.c_str(), -1));
        return valid.get();
    }
    const GstPtr<gchar> converted(g_convert(text.c_str(), -1, "UTF-8", "ISO-8859-1", nullptr, nullptr, nullptr));
    return converted ? converted.get() : "";
}

// The server answers requests of an extension only after it was told which version the client speaks.
void speak_of_extensions(xcb_connection_t* c, const std::string& display) {
    struct Needed {
        xcb_extension_t* extension;
        const char* name;
    };
    for (const auto& [extension, name] : {Needed{&xcb_composite_id, "Composite"}, Needed{&xcb_damage_id, "DAMAGE"},
                                          Needed{&xcb_xfixes_id, "XFIXES"}, Needed{&xcb_randr_id, "RANDR"}}) {
        // asking a server for what it lacks would end the connection
        const auto* data = xcb_get_extension_data(c, extension);
        if (data != nullptr && data->present != 0) continue;
        throw NativeError("NO_DISPLAY", "the X server of display " + display + " lacks the extension " + name +
                                            ", without which its screens cannot be shared");
    }
    const auto composite = xcb_composite_query_version(c, 0, 4);
    const auto damage = xcb_damage_query_version(c, 1, 1);
    const auto fixes = xcb_xfixes_query_version(c, 5, 0);
    const auto randr = xcb_randr_query_version(c, 1, 5);
    const XReply<void> answers[] = {
        XReply<void>(xcb_composite_query_version_reply(c, composite, nullptr)),
        XReply<void>(xcb_damage_query_version_reply(c, damage, nullptr)),
        XReply<void>(xcb_xfixes_query_version_reply(c, fixes, nullptr)),
        XReply<void>(xcb_randr_query_version_reply(c, randr, nullptr)),
    };
}

}  // namespace

X11Connection::X11Connection(const std::string& display) {
    int number = 0;
    connection_ = xcb_connect(display.c_str(), &number);
    if (const int error = xcb_connection_has_error(connection_); error != 0) {
        xcb_disconnect(connection_);
        throw NativeError("NO_DISPLAY", "the X server of display " + display + " does not let the engine in; " +
                                            "it must run, and $XAUTHORITY must name a file that the engine may read");
    }
    auto screens = xcb_setup_roots_iterator(xcb_get_setup(connection_));
    while (number-- > 0 && screens.rem > 1) xcb_screen_next(&screens);
    screen_ = screens.data;
    try {
        speak_of_extensions(connection_, display);
    } catch (...) {
        xcb_disconnect(connection_);
        throw;
    }
}

X11Connection::~X11Connection() {
    xcb_disconnect(connection_);
}

Rect X11Connection::root_area() const {
    const XReply<xcb_get_geometry_reply_t> found(
        xcb_get_geometry_reply(connection_, xcb_get_geometry(connection_, root()), nullptr));
    return found ? Rect{0, 0, found->width, found->height} : Rect{};
}

bool X11Connection::has_plain_pixels(int depth) const {
    const auto* setup = xcb_get_setup(connection_);
    if (setup->image_byte_order != XCB_IMAGE_ORDER_LSB_FIRST || (depth != 24 && depth != 32)) return false;
    for (auto format = xcb_setup_pixmap_formats_iterator(setup); format.rem > 0; xcb_format_next(&format)) {
        if (format.data->depth == depth) return format.data->bits_per_pixel == 32;
    }
    return false;
}

std::vector<X11Monitor> X11Connection::monitors() const {
    std::vector<X11Monitor> found;
    const XReply<xcb_randr_get_monitors_reply_t> answer(
        xcb_randr_get_monitors_reply(connection_, xcb_randr_get_monitors(connection_, root(), 1), nullptr));
    if (answer) {
        for (auto each = xcb_randr_get_monitors_monitors_iterator(answer.get()); each.rem > 0;
             xcb_randr_monitor_info_next(&each)) {
            const XReply<xcb_get_atom_name_reply_t> name(
                xcb_get_atom_name_reply(connection_, xcb_get_atom_name(connection_, each.data->name), nullptr));
            if (!name) continue;
            found.push_back({.name = std::string(xcb_get_atom_name_name(name.get()),
                                                 static_cast<std::size_t>(xcb_get_atom_name_name_length(name.get()))),
                             .area = {each.data->x, each.data->y, each.data->width, each.data->height},
                             .is_primary = each.data->primary != 0});
        }
    }
    if (found.empty()) found.push_back({.name = "screen", .area = root_area(), .is_primary = true});
    std::stable_sort(found.begin(), found.end(),
                     [](const auto& a, const auto& b) { return a.is_primary && !b.is_primary; });
    found.front().is_primary = true;
    return found;
}

std::vector<X11Window> X11Connection::windows() const {
    auto ids = numbers(root(), "_NET_CLIENT_LIST_STACKING");
    const bool is_managed = !ids.empty() || !numbers(root(), "_NET_SUPPORTING_WM_CHECK").empty();
    if (ids.empty()) ids = numbers(root(), "_NET_CLIENT_LIST");
    if (!is_managed) {
        const XReply<xcb_query_tree_reply_t> tree(
            xcb_query_tree_reply(connection_, xcb_query_tree(connection_, root()), nullptr));
        if (tree) {
            const auto* first = xcb_query_tree_children(tree.get());
            ids.assign(first, first + xcb_query_tree_children_length(tree.get()));
        }
    }
    std::vector<X11Window> found;
    for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
        X11Window window;
        if (!describe(*id, window)) continue;
        if (!is_managed && (window.is_minimised || (window.title.empty() && window.application.empty()))) continue;
        found.push_back(std::move(window));
    }
    return found;
}

bool X11Connection::describe(xcb_window_t window, X11Window& into) const {
    const auto attributes_asked = xcb_get_window_attributes(connection_, window);
    const auto geometry_asked = xcb_get_geometry(connection_, window);
    const auto place_asked = xcb_translate_coordinates(connection_, window, root(), 0, 0);
    const XReply<xcb_get_window_attributes_reply_t> attributes(
        xcb_get_window_attributes_reply(connection_, attributes_asked, nullptr));
    const XReply<xcb_get_geometry_reply_t> geometry(xcb_get_geometry_reply(connection_, geometry_asked, nullptr));
    const XReply<xcb_translate_coordinates_reply_t> place(
        xcb_translate_coordinates_reply(connection_, place_asked, nullptr));
    if (!attributes || !geometry || !place || attributes->_class != XCB_WINDOW_CLASS_INPUT_OUTPUT) return false;
    const auto wm_class = property(window, XCB_ATOM_WM_CLASS);
    into.id = window;
    into.tag = tag_of(window, wm_class);
    into.area = {place->dst_x, place->dst_y, geometry->width, geometry->height};
    const auto states = numbers(window, "WM_STATE");
    into.is_minimised =
        attributes->map_state != XCB_MAP_STATE_VIEWABLE || (!states.empty() && states.front() == kIconic);
    into.title = in_utf8(property(window, atom("_NET_WM_NAME")), true);
    if (into.title.empty()) into.title = in_utf8(property(window, XCB_ATOM_WM_NAME), false);
    // Two names, each with an end: the instance's and the class's.
    const auto instance_end = wm_class.find('\0');
    if (instance_end != std::string::npos) into.application = in_utf8(wm_class.c_str() + instance_end + 1, false);
    return true;
}

xcb_window_t X11Connection::top_level_of(xcb_window_t window) const {
    for (int depth = 0; depth < 64; ++depth) {
        const XReply<xcb_query_tree_reply_t> tree(
            xcb_query_tree_reply(connection_, xcb_query_tree(connection_, window), nullptr));
        if (!tree || tree->parent == XCB_NONE || tree->parent == root()) break;
        window = tree->parent;
    }
    return window;
}

xcb_atom_t X11Connection::atom(const char* name) const {
    const auto length = static_cast<std::uint16_t>(std::strlen(name));
    const XReply<xcb_intern_atom_reply_t> found(
        xcb_intern_atom_reply(connection_, xcb_intern_atom(connection_, 0, length, name), nullptr));
    return found ? found->atom : static_cast<xcb_atom_t>(XCB_ATOM_NONE);
}

std::string X11Connection::property(xcb_window_t window, xcb_atom_t name) const {
    const XReply<xcb_get_property_reply_t> found(xcb_get_property_reply(
        connection_, xcb_get_property(connection_, 0, window, name, XCB_GET_PROPERTY_TYPE_ANY, 0, kMostOfProperty),
        nullptr));
    if (!found) return "";
    return {static_cast<const char*>(xcb_get_property_value(found.get())),
            static_cast<std::size_t>(xcb_get_property_value_length(found.get()))};
}

std::vector<std::uint32_t> X11Connection::numbers(xcb_window_t window, const char* name) const {
    const auto bytes = property(window, atom(name));
    std::vector<std::uint32_t> found(bytes.size() / sizeof(std::uint32_t));
    std::memcpy(found.data(), bytes.data(), found.size() * sizeof(std::uint32_t));
    return found;
}

std::string X11Connection::tag_of(xcb_window_t window, const std::string& wm_class) const {
    // Numbers of windows are used again: by another program, or after the server was started anew.
    std::string who = wm_class + property(window, XCB_ATOM_WM_CLIENT_MACHINE);
    for (const auto pid : numbers(window, "_NET_WM_PID")) who += "/" + std::to_string(pid);
    std::uint32_t hash = 2166136261U;  // FNV-1a: the same in every process
    for (const char c : who) hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619U;
    char text[9];
    std::snprintf(text, sizeof text, "%08x", hash);
    return text;
}

}  // namespace rtcagent
