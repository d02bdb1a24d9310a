#include "media/canvas_stage.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include "media/frame_clock.h"
#include "media/native_error.h"

namespace rtcagent {

namespace {

// No display shows more, and pictures of several streams that come at odd times go onto it together.
constexpr std::int64_t kShortestUs = 1'000'000 / 60;

bool is_same(const CanvasSpec& a, const CanvasSpec& b) {
    return a.canvas_id == b.canvas_id && a.display == b.display && a.rect == b.rect && a.fit == b.fit &&
           a.mirror == b.mirror && a.background_rgb == b.background_rgb && a.tap == b.tap && a.label == b.label &&
           a.title == b.title && a.border_rgb == b.border_rgb && a.border == b.border;
}

}  // namespace

// Outlives the stage in the taps that may still call it.
struct CanvasStage::Wake {
    Wake() : fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
        if (fd < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    }
    ~Wake() { close(fd); }
    Wake(const Wake&) = delete;
    Wake& operator=(const Wake&) = delete;
    void call() const {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = write(fd, &one, sizeof one);
    }
    const int fd;
};

CanvasStage::CanvasStage(std::string key, const std::string& wayland, const std::string& x11,
                         std::shared_ptr<EventQueue> events)
    : key_(std::move(key)),
      events_(std::move(events)),
      wake_(std::make_shared<Wake>()),
      screen_(open_screen(wayland, x11)),
      displays_(screen_->displays()) {
    thread_ = std::thread(&CanvasStage::run, this);
}

CanvasStage::~CanvasStage() {
    stop();
}

void CanvasStage::stop() {
    const std::lock_guard lock(stopping_);
    stop_ = true;
    wake_->call();
    if (thread_.joinable()) thread_.join();
}

std::vector<DisplayInfo> CanvasStage::displays() const {
    const std::lock_guard lock(mutex_);
    return displays_;
}

StageStats CanvasStage::stats() const {
    const std::lock_guard lock(mutex_);
    return stats_;
}

void CanvasStage::set_scene(std::vector<CanvasSpec> canvases) {
    for (const auto& canvas : canvases) {
        (void)fit_of(canvas.fit);
        if (canvas.tap) canvas.tap->on_picture([wake = wake_] { wake->call(); });
    }
    {
        const std::lock_guard lock(mutex_);
        next_scene_ = std::make_unique<std::vector<CanvasSpec>>(std::move(canvases));
    }
    wake_->call();
}

void CanvasStage::run() {
    try {
        run_until_stopped();
    } catch (const NativeError& error) {
        events_->put({.key = key_, .kind = "failed", .reason = error.reason(), .message = error.what()});
    } catch (const std::exception& error) {
        events_->put({.key = key_, .kind = "failed", .reason = "INTERNAL", .message = error.what()});
    }
    canvases_.clear();
    screen_.reset();
}

void CanvasStage::run_until_stopped() {
    std::int64_t composed_at_us = 0;
    bool is_due = false;  // something may have changed since
    while (!stop_) {
        screen_->flush();
        const auto wait_us = is_due ? std::max<std::int64_t>(0, composed_at_us + kShortestUs - monotonic_us()) : -1;
        pollfd waited[] = {{wake_->fd, POLLIN, 0}, {screen_->fd(), POLLIN, 0}};
        const timespec time{.tv_sec = 0, .tv_nsec = wait_us * 1000};
        ppoll(waited, 2, wait_us < 0 ? nullptr : &time, nullptr);
        if ((waited[0].revents & POLLIN) != 0) {
            std::uint64_t count = 0;
            [[maybe_unused]] const auto got = read(wake_->fd, &count, sizeof count);
            is_due = true;
        }
        if (screen_->dispatch()) {
            {
                const std::lock_guard lock(mutex_);
                displays_ = screen_->displays();
            }
            events_->put({.key = key_, .kind = "displays", .reason = {}, .message = {}});
            is_due = true;
        }
        if (waited[1].revents != 0) is_due = is_due || !stale_.empty();  // it may be ready for more now
        if (!is_due || monotonic_us() - composed_at_us < kShortestUs) continue;
        take_scene();
        composed_at_us = monotonic_us();
        compose();
        is_due = false;
    }
}

void CanvasStage::take_scene() {
    std::unique_ptr<std::vector<CanvasSpec>> next;
    {
        const std::lock_guard lock(mutex_);
        next = std::move(next_scene_);
    }
    if (!next) return;
    std::vector<std::shared_ptr<CanvasPicture>> canvases;
    for (auto& spec : *next) {
        const auto same = std::find_if(canvases_.begin(), canvases_.end(),
                                       [&](const auto& old) { return old && is_same(old->spec(), spec); });
        if (same != canvases_.end()) {
            canvases.push_back(std::move(*same));
        } else {
            canvases.push_back(std::make_shared<CanvasPicture>(std::move(spec)));
        }
    }
    // Where something has gone, come or changed its order, everything is drawn: scenes change seldom.
    for (const auto& display : displays_) stale_[display.display_id] = {{0, 0, display.width, display.height}};
    canvases_ = std::move(canvases);
}

bool CanvasStage::compose() {
    bool all = true;
    for (const auto& display : screen_->displays()) all = compose(display) && all;
    return all;
}

bool CanvasStage::compose(const DisplayInfo& display) {
    const Rect whole{0, 0, display.width, display.height};
    auto& stale = stale_[display.display_id];
    std::vector<std::shared_ptr<CanvasPicture>> shown;
    std::vector<Rect> shape;
    std::vector<CanvasPicture*> fresh;
    for (const auto& canvas : canvases_) {
        if (canvas->spec().display != display.display_id) continue;
        const Rect part = intersection(canvas->spec().rect, whole);
        if (part.is_empty()) continue;
        shown.push_back(canvas);
        shape.push_back(part);
        if (canvas->update()) {
            stale.push_back(part);
            fresh.push_back(canvas.get());
        }
    }
    if (shown.empty()) {
        screen_->hide(display.display_id);
        stale_.erase(display.display_id);
        return true;
    }
    if (stale.empty()) {
        stale_.erase(display.display_id);
        return true;
    }
    const bool is_covered = std::find(shape.begin(), shape.end(), whole) != shape.end();
    bool is_new = false;
    const CanvasSurface surface = screen_->begin(display, &is_new);
    if (surface.pixels == nullptr) return false;  // what is stale stays so, until the server takes more
    if (is_new) stale = {whole};
    for (const auto& area : stale) {
        if (area == whole && !is_covered)  // where no canvas is, nothing is covered
            std::fill_n(surface.pixels, static_cast<std::size_t>(surface.stride) * surface.height, 0U);
        for (const auto& canvas : shown) canvas->blit(surface, area);
    }
    screen_->show(display, stale, shape);
    stale_.erase(display.display_id);
    const std::lock_guard lock(mutex_);
    ++stats_.presented;
    for (const auto& canvas : shown) {
        const auto& picture = canvas->picture();
        if (!picture) continue;
        canvas->spec().tap->shown(*picture);
        if (std::find(fresh.begin(), fresh.end(), canvas.get()) != fresh.end())
            stats_.latency_us = monotonic_us() - picture->frame.timestamp_us;
    }
    return true;
}

}  // namespace rtcagent
