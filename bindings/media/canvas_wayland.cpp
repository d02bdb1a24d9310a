// A Wayland compositor: one surface over each output. With wlr-layer-shell above everything, transparent beside the
// canvases; without, a full-screen window.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>
#include <viewporter-client-protocol.h>
#include <wayland-client.h>
#include <xdg-shell-client-protocol.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "media/canvas_screen.h"
#include "media/layer_shell.h"
#include "media/native_error.h"

namespace rtcagent {

namespace {

struct Output {
    wl_output* proxy = nullptr;
    std::uint32_t global = 0;
    std::string name;
    std::string description;
    int x = 0;
    int y = 0;
    int width = 0;
    int height = 0;
    int scale = 1;
    bool sideways = false;
};

// Pixels that the compositor reads until it says that it is done with them.
struct Buffer {
    wl_buffer* proxy = nullptr;
    std::uint32_t* pixels = nullptr;
    std::size_t bytes = 0;
    bool is_busy = false;
    std::vector<Rect> missing;  // what was drawn since it was last shown

    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() {
        if (proxy != nullptr) wl_buffer_destroy(proxy);
        if (pixels != nullptr) munmap(pixels, bytes);
    }
};

struct Cover {
    wl_surface* surface = nullptr;
    wl_proxy* layer = nullptr;
    xdg_surface* window = nullptr;
    xdg_toplevel* toplevel = nullptr;
    wp_viewport* viewport = nullptr;
    bool is_configured = false;
    bool is_closed = false;
    int logical_width = 0;
    int logical_height = 0;
    int width = 0;
    int height = 0;
    std::vector<std::uint32_t> pixels;
    std::array<Buffer, 2> buffers;
    std::vector<Rect> shape;

    Cover() = default;
    Cover(const Cover&) = delete;
    Cover& operator=(const Cover&) = delete;
    ~Cover() {
        if (viewport != nullptr) wp_viewport_destroy(viewport);
        if (layer != nullptr) layer_shell::destroy(layer);
        if (toplevel != nullptr) xdg_toplevel_destroy(toplevel);
        if (window != nullptr) xdg_surface_destroy(window);
        if (surface != nullptr) wl_surface_destroy(surface);
    }
};

constexpr wl_buffer_listener kBufferListener = {
    [](void* data, wl_buffer*) { static_cast<Buffer*>(data)->is_busy = false; }};

constexpr layer_shell::Listener kLayerListener = {
    [](void* data, wl_proxy* layer, std::uint32_t serial, std::uint32_t width, std::uint32_t height) {
        auto* cover = static_cast<Cover*>(data);
        layer_shell::ack(layer, serial);
        cover->logical_width = static_cast<int>(width);
        cover->logical_height = static_cast<int>(height);
        cover->is_configured = true;
    },
    [](void* data, wl_proxy*) { static_cast<Cover*>(data)->is_closed = true; }};

constexpr xdg_surface_listener kWindowListener = {[](void* data, xdg_surface* window, std::uint32_t serial) {
    xdg_surface_ack_configure(window, serial);
    static_cast<Cover*>(data)->is_configured = true;
}};

constexpr xdg_toplevel_listener kToplevelListener = {
    [](void* data, xdg_toplevel*, std::int32_t width, std::int32_t height, wl_array*) {
        auto* cover = static_cast<Cover*>(data);
        cover->logical_width = width;
        cover->logical_height = height;
    },
    [](void* data, xdg_toplevel*) { static_cast<Cover*>(data)->is_closed = true; },
    [](void*, xdg_toplevel*, std::int32_t, std::int32_t) {}, [](void*, xdg_toplevel*, wl_array*) {}};

constexpr xdg_wm_base_listener kBaseListener = {
    [](void*, xdg_wm_base* base, std::uint32_t serial) { xdg_wm_base_pong(base, serial); }};

constexpr wl_output_listener kOutputListener = {
    [](void* data, wl_output*, std::int32_t x, std::int32_t y, std::int32_t, std::int32_t, std::int32_t,
       const char* make, const char* model, std::int32_t transform) {
        auto* output = static_cast<Output*>(data);
        output->x = x;
        output->y = y;
        output->sideways = (transform & 1) != 0;
        if (output->description.empty()) output->description = std::string(make) + " " + model;
    },
    [](void* data, wl_output*, std::uint32_t flags, std::int32_t width, std::int32_t height, std::int32_t) {
        if ((flags & WL_OUTPUT_MODE_CURRENT) == 0) return;
        static_cast<Output*>(data)->width = width;
        static_cast<Output*>(data)->height = height;
    },
    [](void*, wl_output*) {},
    [](void* data, wl_output*, std::int32_t scale) { static_cast<Output*>(data)->scale = scale; },
    [](void* data, wl_output*, const char* name) { static_cast<Output*>(data)->name = name; },
    [](void* data, wl_output*, const char* description) { static_cast<Output*>(data)->description = description; }};

class WaylandScreen : public Screen {
  public:
    explicit WaylandScreen(const std::string& address) : address_(address) {
        connection_ = wl_display_connect(address.c_str());
        if (connection_ == nullptr)
            throw NativeError("NO_DISPLAY",
                              "the Wayland compositor " + address +
                                  " does not let the engine in, or does not run: " + std::strerror(errno));
        registry_ = wl_display_get_registry(connection_);
        wl_registry_add_listener(registry_, &kRegistryListener, this);
        wl_display_roundtrip(connection_);  // what there is
        wl_display_roundtrip(connection_);  // what the outputs say of themselves
        if (wl_display_get_error(connection_) != 0 || compositor_ == nullptr || shm_ == nullptr ||
            (base_ == nullptr && shell_ == nullptr)) {
            close();
            throw NativeError("NO_DISPLAY",
                              "the Wayland compositor " + address +
                                  " lacks wl_compositor, wl_shm, or both xdg_wm_base and zwlr_layer_shell_v1");
        }
        displays_ = read_displays();
    }
    ~WaylandScreen() override { close(); }

    int fd() const override { return wl_display_get_fd(connection_); }

    void flush() override {
        wl_display_flush(connection_);
        check();
    }

    bool dispatch() override {
        while (wl_display_prepare_read(connection_) != 0) wl_display_dispatch_pending(connection_);
        wl_display_flush(connection_);
        pollfd readable{fd(), POLLIN, 0};
        if (poll(&readable, 1, 0) > 0) {
            wl_display_read_events(connection_);
        } else {
            wl_display_cancel_read(connection_);
        }
        wl_display_dispatch_pending(connection_);
        check();
        std::erase_if(covers_, [](const auto& each) { return each.second.is_closed; });
        auto now = read_displays();
        if (now == displays_) return false;
        displays_ = std::move(now);
        std::erase_if(covers_, [this](const auto& each) { return output(each.first) == nullptr; });
        return true;
    }

    std::vector<DisplayInfo> displays() override { return displays_; }

    CanvasSurface begin(const DisplayInfo& display, bool* is_new) override {
        *is_new = false;
        auto& cover = covers_[display.display_id];
        if (cover.surface == nullptr) create(cover, display.display_id);
        if (!cover.is_configured) return {};
        if (cover.width != display.width || cover.height != display.height) {
            resize(cover, display.width, display.height);
            *is_new = true;
        }
        if (free_buffer(cover) == nullptr) return {};
        return {cover.pixels.data(), cover.width, cover.width, cover.height};
    }

    void show(const DisplayInfo& display, const std::vector<Rect>& drawn, const std::vector<Rect>& shape) override {
        auto& cover = covers_.at(display.display_id);
        for (auto& buffer : cover.buffers) buffer.missing.insert(buffer.missing.end(), drawn.begin(), drawn.end());
        auto* buffer = free_buffer(cover);
        if (buffer->proxy == nullptr) fill(*buffer, cover.width, cover.height);
        const Rect whole{0, 0, cover.width, cover.height};
        if (std::find(buffer->missing.begin(), buffer->missing.end(), whole) != buffer->missing.end())
            buffer->missing = {whole};
        for (const auto& area : buffer->missing) {
            for (int y = area.y; y < area.y + area.height; ++y) {
                const auto at = static_cast<std::size_t>(y) * cover.width + area.x;
                std::copy_n(cover.pixels.data() + at, area.width, buffer->pixels + at);
            }
        }
        buffer->missing.clear();
        if (shape != cover.shape) {
            cover.shape = shape;
            set_opaque(cover, whole);
        }
        fit_to_output(cover, display.display_id);
        wl_surface_attach(cover.surface, buffer->proxy, 0, 0);
        for (const auto& area : drawn) wl_surface_damage_buffer(cover.surface, area.x, area.y, area.width, area.height);
        buffer->is_busy = true;
        wl_surface_commit(cover.surface);
        flush();
    }

    void hide(const std::string& display_id) override {
        covers_.erase(display_id);
        wl_display_flush(connection_);
    }

  private:
    static const wl_registry_listener kRegistryListener;

    void found(std::uint32_t name, std::string_view interface, std::uint32_t version) {
        const auto bind = [&](const wl_interface* kind, std::uint32_t highest) {
            return wl_registry_bind(registry_, name, kind, std::min(version, highest));
        };
        if (interface == wl_compositor_interface.name && version >= 4) {
            compositor_ = static_cast<wl_compositor*>(bind(&wl_compositor_interface, 4));
        } else if (interface == wl_shm_interface.name) {
            shm_ = static_cast<wl_shm*>(bind(&wl_shm_interface, 1));
        } else if (interface == xdg_wm_base_interface.name) {
            base_ = static_cast<xdg_wm_base*>(bind(&xdg_wm_base_interface, 1));
            xdg_wm_base_add_listener(base_, &kBaseListener, this);
        } else if (interface == wp_viewporter_interface.name) {
            viewporter_ = static_cast<wp_viewporter*>(bind(&wp_viewporter_interface, 1));
        } else if (interface == layer_shell::kShellName) {
            shell_ = static_cast<wl_proxy*>(bind(layer_shell::shell_interface(), layer_shell::kVersion));
        } else if (interface == wl_output_interface.name && version >= 2) {
            auto& output = outputs_.emplace_back();
            output.global = name;
            output.name = "output-" + std::to_string(name);
            output.proxy = static_cast<wl_output*>(bind(&wl_output_interface, 4));
            wl_output_add_listener(output.proxy, &kOutputListener, &output);
        }
    }

    void gone(std::uint32_t name) {
        outputs_.remove_if([&](Output& output) {
            if (output.global != name) return false;
            covers_.erase(output.name);
            destroy(output);
            return true;
        });
    }

    static void destroy(Output& output) { wl_output_destroy(output.proxy); }

    const Output* output(const std::string& display_id) const {
        const auto it =
            std::find_if(outputs_.begin(), outputs_.end(), [&](const Output& each) { return each.name == display_id; });
        return it == outputs_.end() ? nullptr : &*it;
    }

    std::vector<DisplayInfo> read_displays() const {
        std::vector<DisplayInfo> found;
        for (const auto& output : outputs_) {
            if (output.width == 0) continue;  // it has not said yet
            const bool has_shell = shell_ != nullptr;
            found.push_back({.display_id = output.name,
                             .kind = "WAYLAND",
                             .description = output.description,
                             .x = output.x,
                             .y = output.y,
                             .width = output.sideways ? output.height : output.width,
                             .height = output.sideways ? output.width : output.height,
                             .has_geometry = has_shell,
                             .has_order = has_shell,
                             .missing = has_shell ? ""
                                                  : "the compositor lacks the protocol wlr-layer-shell "
                                                    "(zwlr_layer_shell_v1)",
                             .is_primary = false});
        }
        return found;
    }

    void create(Cover& cover, const std::string& display_id) {
        auto* target = output(display_id);
        cover.surface = wl_compositor_create_surface(compositor_);
        if (viewporter_ != nullptr) cover.viewport = wp_viewporter_get_viewport(viewporter_, cover.surface);
        // An empty region for input: pointer and touch reach what lies beneath.
        auto* nothing = wl_compositor_create_region(compositor_);
        wl_surface_set_input_region(cover.surface, nothing);
        wl_region_destroy(nothing);
        if (shell_ != nullptr) {
            cover.layer = layer_shell::cover(shell_, cover.surface, target == nullptr ? nullptr : target->proxy);
            layer_shell::listen(cover.layer, &kLayerListener, &cover);
        } else {
            cover.window = xdg_wm_base_get_xdg_surface(base_, cover.surface);
            xdg_surface_add_listener(cover.window, &kWindowListener, &cover);
            cover.toplevel = xdg_surface_get_toplevel(cover.window);
            xdg_toplevel_add_listener(cover.toplevel, &kToplevelListener, &cover);
            xdg_toplevel_set_title(cover.toplevel, "rtcagent canvases");
            xdg_toplevel_set_app_id(cover.toplevel, "rtcagent");
            xdg_toplevel_set_fullscreen(cover.toplevel, target == nullptr ? nullptr : target->proxy);
        }
        wl_surface_commit(cover.surface);
        flush();
    }

    static void resize(Cover& cover, int width, int height) {
        cover.width = width;
        cover.height = height;
        cover.pixels.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), 0);
        cover.shape.clear();
        for (auto& buffer : cover.buffers) {
            if (buffer.proxy != nullptr) wl_buffer_destroy(buffer.proxy);
            if (buffer.pixels != nullptr) munmap(buffer.pixels, buffer.bytes);
            buffer.proxy = nullptr;
            buffer.pixels = nullptr;
            buffer.is_busy = false;
            buffer.missing.clear();
        }
    }

    static Buffer* free_buffer(Cover& cover) {
        for (auto& buffer : cover.buffers) {
            if (!buffer.is_busy) return &buffer;
        }
        return nullptr;
    }

    void fill(Buffer& buffer, int width, int height) {
        buffer.bytes = static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 4;
        const int file = memfd_create("rtcagent-canvas", MFD_CLOEXEC);
        if (file < 0 || ftruncate(file, static_cast<off_t>(buffer.bytes)) != 0) {
            if (file >= 0) ::close(file);
            throw std::system_error(errno, std::generic_category(), "memory for a Wayland buffer");
        }
        auto* mapped = mmap(nullptr, buffer.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (mapped == MAP_FAILED) {
            ::close(file);
            throw std::system_error(errno, std::generic_category(), "memory for a Wayland buffer");
        }
        buffer.pixels = static_cast<std::uint32_t*>(mapped);
        auto* pool = wl_shm_create_pool(shm_, file, static_cast<int>(buffer.bytes));
        buffer.proxy = wl_shm_pool_create_buffer(pool, 0, width, height, width * 4, WL_SHM_FORMAT_ARGB8888);
        wl_shm_pool_destroy(pool);
        ::close(file);
        wl_buffer_add_listener(buffer.proxy, &kBufferListener, &buffer);
        buffer.missing = {{0, 0, width, height}};
    }

    // So that the compositor need not blend where a canvas is. In its own units, hence only where those are pixels.
    void set_opaque(Cover& cover, const Rect& whole) {
        auto* region = wl_compositor_create_region(compositor_);
        if (std::find(cover.shape.begin(), cover.shape.end(), whole) != cover.shape.end()) {
            wl_region_add(region, 0, 0, cover.logical_width, cover.logical_height);
        } else if (cover.logical_width == cover.width && cover.logical_height == cover.height) {
            for (const auto& part : cover.shape) wl_region_add(region, part.x, part.y, part.width, part.height);
        }
        wl_surface_set_opaque_region(cover.surface, region);
        wl_region_destroy(region);
    }

    // One pixel of ours is one of the output's, whatever its scale.
    void fit_to_output(Cover& cover, const std::string& display_id) {
        const auto* target = output(display_id);
        if (cover.viewport != nullptr && cover.logical_width > 0 && cover.logical_height > 0) {
            wp_viewport_set_destination(cover.viewport, cover.logical_width, cover.logical_height);
        } else if (target != nullptr) {
            wl_surface_set_buffer_scale(cover.surface, target->scale);
        }
    }

    void check() const {
        if (wl_display_get_error(connection_) != 0)
            throw NativeError("NO_DISPLAY", "the connection to the Wayland compositor " + address_ + " was lost");
    }

    void close() {
        covers_.clear();
        for (auto& each : outputs_) destroy(each);
        outputs_.clear();
        if (viewporter_ != nullptr) wp_viewporter_destroy(viewporter_);
        if (shell_ != nullptr) wl_proxy_destroy(shell_);
        if (base_ != nullptr) xdg_wm_base_destroy(base_);
        if (shm_ != nullptr) wl_shm_destroy(shm_);
        if (compositor_ != nullptr) wl_compositor_destroy(compositor_);
        wl_registry_destroy(registry_);
        wl_display_flush(connection_);
        wl_display_disconnect(connection_);
    }

    const std::string address_;
    wl_display* connection_ = nullptr;
    wl_registry* registry_ = nullptr;
    wl_compositor* compositor_ = nullptr;
    wl_shm* shm_ = nullptr;
    xdg_wm_base* base_ = nullptr;
    wp_viewporter* viewporter_ = nullptr;
    wl_proxy* shell_ = nullptr;
    std::list<Output> outputs_;  // their addresses are the listeners' data
    std::map<std::string, Cover> covers_;
    std::vector<DisplayInfo> displays_;
};

const wl_registry_listener WaylandScreen::kRegistryListener = {
    [](void* data, wl_registry*, std::uint32_t name, const char* interface, std::uint32_t version) {
        static_cast<WaylandScreen*>(data)->found(name, interface, version);
    },
    [](void* data, wl_registry*, std::uint32_t name) { static_cast<WaylandScreen*>(data)->gone(name); }};

}  // namespace

std::unique_ptr<Screen> open_wayland(const std::string& address) {
    return std::make_unique<WaylandScreen>(address);
}

}  // namespace rtcagent
