#include "media/layer_shell.h"

#include <array>

namespace rtcagent::layer_shell {

namespace {

// Requests by their place in the protocol.
enum ShellRequest : std::uint32_t { kGetLayerSurface = 0 };
enum SurfaceRequest : std::uint32_t {
    kSetAnchor = 1,
    kSetExclusiveZone = 2,
    kAckConfigure = 6,
    kDestroy = 7,
};

constexpr std::uint32_t kOverlay = 3;
constexpr std::uint32_t kAllEdges = 1 | 2 | 4 | 8;

struct Protocol {
    Protocol() {
        shell_types = {&surface, &wl_surface_interface, &wl_output_interface, nullptr, nullptr};
        shell_requests = {{{"get_layer_surface", "no?ous", shell_types.data()}}};
        surface_requests = {{{"set_size", "uu", none.data()},
                             {"set_anchor", "u", none.data()},
                             {"set_exclusive_zone", "i", none.data()},
                             {"set_margin", "iiii", none.data()},
                             {"set_keyboard_interactivity", "u", none.data()},
                             {"get_popup", "o", none.data()},
                             {"ack_configure", "u", none.data()},
                             {"destroy", "", none.data()}}};
        surface_events = {{{"configure", "uuu", none.data()}, {"closed", "", none.data()}}};
        shell = {kShellName, kVersion, static_cast<int>(shell_requests.size()), shell_requests.data(), 0, nullptr};
        surface = {"zwlr_layer_surface_v1",
                   kVersion,
                   static_cast<int>(surface_requests.size()),
                   surface_requests.data(),
                   static_cast<int>(surface_events.size()),
                   surface_events.data()};
    }
    Protocol(const Protocol&) = delete;
    Protocol& operator=(const Protocol&) = delete;

    wl_interface shell{};
    wl_interface surface{};
    std::array<const wl_interface*, 4> none{};
    std::array<const wl_interface*, 5> shell_types{};
    std::array<wl_message, 1> shell_requests{};
    std::array<wl_message, 8> surface_requests{};
    std::array<wl_message, 2> surface_events{};
};

const Protocol& protocol() {
    static const Protocol the;
    return the;
}

}  // namespace

const wl_interface* shell_interface() {
    return &protocol().shell;
}

wl_proxy* cover(wl_proxy* shell, wl_surface* surface, wl_output* output) {
    auto* layer = wl_proxy_marshal_flags(shell, kGetLayerSurface, &protocol().surface, wl_proxy_get_version(shell), 0,
                                         nullptr, surface, output, kOverlay, "rtcagent");
    wl_proxy_marshal_flags(layer, kSetAnchor, nullptr, wl_proxy_get_version(layer), 0, kAllEdges);
    // -1: over panels too, which keep their room.
    wl_proxy_marshal_flags(layer, kSetExclusiveZone, nullptr, wl_proxy_get_version(layer), 0, -1);
    return layer;
}

void listen(wl_proxy* layer_surface, const Listener* listener, void* data) {
    wl_proxy_add_listener(layer_surface, reinterpret_cast<void (**)()>(const_cast<Listener*>(listener)), data);
}

void ack(wl_proxy* layer_surface, std::uint32_t serial) {
    wl_proxy_marshal_flags(layer_surface, kAckConfigure, nullptr, wl_proxy_get_version(layer_surface), 0, serial);
}

void destroy(wl_proxy* layer_surface) {
    wl_proxy_marshal_flags(layer_surface, kDestroy, nullptr, wl_proxy_get_version(layer_surface),
                           WL_MARSHAL_FLAG_DESTROY);
}

}  // namespace rtcagent::layer_shell
