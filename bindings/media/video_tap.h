// The newest picture of one stream, for the canvas that shows it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "media/event_queue.h"
#include "media/frame.h"

namespace rtcagent {

// An I420 picture in memory of its own.
struct Picture {
    std::vector<std::uint8_t> data;
    I420Frame frame;          // points into `data`
    std::int64_t number = 0;  // rises with each picture of a tap
};

// push() comes from a media thread: it copies the picture and wakes who shows it. The rest may be called from anywhere.
class VideoTap : public FrameConsumer {
  public:
    // `events` gets, with `key`: "first_frame" when the first picture is on a display, "format" when one of another
    // size is.
    VideoTap(std::string key, std::shared_ptr<EventQueue> events);

    void begin() override {}
    void push(const I420Frame& frame) override;
    // No picture any more: what shows it shows its background.
    void clear();

    std::shared_ptr<const Picture> newest() const;
    // Called at each new picture, on the thread that pushes it; nullptr: no longer.
    void on_picture(std::function<void()> wake);
    // Told by the stage's thread when a picture has come onto a display.
    void shown(const Picture& picture);

  private:
    const std::string key_;
    const std::shared_ptr<EventQueue> events_;
    mutable std::mutex mutex_;  // held for moments only
    std::shared_ptr<Picture> newest_;
    std::shared_ptr<Picture> spare_;
    std::function<void()> wake_;
    std::int64_t count_ = 0;
    int shown_width_ = 0;
    int shown_height_ = 0;
};

}  // namespace rtcagent
