// The Wayland protocol wlr-layer-shell, as far as it is used: surfaces over everything else, on an output of choice.
// Described here by hand, since distributions do not ship its file.
#pragma once

#include <wayland-client.h>

#include <cstdint>

namespace rtcagent::layer_shell {

inline constexpr const char* kShellName = "zwlr_layer_shell_v1";
inline constexpr std::uint32_t kVersion = 1;

struct Listener {
    // `surface` of its size in the compositor's own units; to be answered with ack.
    void (*configure)(void* data, wl_proxy* surface, std::uint32_t serial, std::uint32_t width, std::uint32_t height);
    void (*closed)(void* data, wl_proxy* surface);
};

const wl_interface* shell_interface();
// A layer surface that covers `output` whole, over full-screen windows, panels and all, and takes no keyboard.
wl_proxy* cover(wl_proxy* shell, wl_surface* surface, wl_output* output);
void listen(wl_proxy* layer_surface, const Listener* listener, void* data);
void ack(wl_proxy* layer_surface, std::uint32_t serial);
void destroy(wl_proxy* layer_surface);

}  // namespace rtcagent::layer_shell
