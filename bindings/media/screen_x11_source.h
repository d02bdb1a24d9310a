// A display or a window of an X server.
#pragma once

#include <gst/app/gstappsrc.h>

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include "media/gst_ptr.h"
#include "media/source.h"
#include "media/x11_connection.h"
#include "media/x11_picture.h"

namespace rtcagent {

// A thread of its own reads pictures when the server tells that something was drawn, at most `fps` times a second, and
// sends the last one twice a second while nothing is: who joins later sees it too, and a still screen can be told from
// a dead one. Waits for the X server alone; two pictures at most wait for the graph, the older is dropped.
class ScreenX11Source : public Source {
  public:
    explicit ScreenX11Source(CaptureSettings settings);
    ~ScreenX11Source() override;
    void add_to(GstBin* graph, GstElement* head) override;
    void begin(GstElement* graph) override;
    void end() override;
    Failure explain(const GError& error, const char* detail, bool had_frames) const override;
    bool update(const CaptureSettings& before, const CaptureSettings& after) override;
    void on_notice(std::function<void(const char* kind)> tell) override { tell_ = std::move(tell); }

  private:
    // What may be changed while it runs.
    struct View {
        Rect region;
        bool pointer = true;
        double fps = 15;
    };

    void run(const std::stop_token& stopping);
    void wait(std::int64_t until_us);
    void choose_monitor();
    void choose_window();
    void take_window_pixels();
    void take_events();
    void take_event(const xcb_generic_event_t& event);
    bool pointer_changed();
    bool pointer_is_on_it() const;
    void send_picture();
    void send(GstPtr<GstBuffer> buffer);
    void set_format(int width, int height);
    void set_hidden(bool hidden);
    void fail(std::string reason, std::string message);
    bool is_same_target(const CaptureSettings& other) const;

    const CaptureSettings settings_;
    std::function<void(const char* kind)> tell_;
    GstAppSrc* appsrc_ = nullptr;  // the graph's
    int wake_fd_;                  // an eventfd: stop, or another view
    std::jthread thread_;

    mutable std::mutex mutex_;
    View view_;
    std::optional<Failure> failure_;

    // Of the thread, after begin().
    std::unique_ptr<X11Connection> x_;
    std::unique_ptr<X11Picture> picture_;
    Rect whole_;      // of the display on the screen, or of the window in its pixmap
    Rect on_screen_;  // where the window is
    xcb_window_t top_level_ = XCB_NONE;
    xcb_pixmap_t pixels_ = XCB_NONE;  // of the window
    std::uint32_t damage_ = XCB_NONE;
    std::uint8_t damage_event_ = 0, randr_event_ = 0, fixes_event_ = 0;
    bool is_dirty_ = true;
    bool is_hidden_ = false;
    bool is_unmapped_ = false;
    int pointer_x_ = -1, pointer_y_ = -1;
    bool pointer_seen_ = false;
    GstPtr<GstBufferPool> pool_;
    int width_ = 0, height_ = 0;
    double format_fps_ = 0;
    GstPtr<GstBuffer> last_;
};

}  // namespace rtcagent
