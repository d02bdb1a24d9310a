// Draws canvases on the displays of one display server, in a thread of its own.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "media/canvas_picture.h"
#include "media/canvas_screen.h"
#include "media/event_queue.h"

namespace rtcagent {

struct StageStats {
    std::int64_t presented = 0;  // times that something was put onto a display
    // Of the newest pictures that were put on a display: from their timestamp until the display server had them.
    std::int64_t latency_us = 0;
};

// All methods may be called on any thread, without the GIL. The thread never waits for Python.
class CanvasStage {
  public:
    // Connects; NativeError NO_DISPLAY when that fails. `events` gets, with `key`: "displays" when they change, and
    // "failed" once when the connection is lost.
    CanvasStage(std::string key, const std::string& wayland, const std::string& x11,
                std::shared_ptr<EventQueue> events);
    ~CanvasStage();
    CanvasStage(const CanvasStage&) = delete;
    CanvasStage& operator=(const CanvasStage&) = delete;

    std::vector<DisplayInfo> displays() const;
    // Everything that is to be shown, from the bottom to the top, in place of what was before.
    void set_scene(std::vector<CanvasSpec> canvases);
    StageStats stats() const;
    // Takes everything away and joins the thread.
    void stop();

  private:
    struct Wake;

    void run();
    void run_until_stopped();
    void take_scene();
    bool compose();
    bool compose(const DisplayInfo& display);

    const std::string key_;
    const std::shared_ptr<EventQueue> events_;
    const std::shared_ptr<Wake> wake_;
    std::unique_ptr<Screen> screen_;  // of the thread alone, once it runs
    std::vector<std::shared_ptr<CanvasPicture>> canvases_;
    std::map<std::string, std::vector<Rect>> stale_;  // by display: what was changed and not drawn yet

    mutable std::mutex mutex_;  // held for moments only
    std::vector<DisplayInfo> displays_;
    std::unique_ptr<std::vector<CanvasSpec>> next_scene_;
    StageStats stats_;

    std::mutex stopping_;
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

}  // namespace rtcagent
