// What viewers see of a source that has no pictures now.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "media/event_queue.h"
#include "media/fair_mutex.h"
#include "media/frame.h"
#include "media/picture_file.h"

namespace rtcagent {

struct SlateSettings {
    std::string title;
    std::string text;
    std::string picture_path;  // in place of title, text and time
    int width = 1280;          // until set_size says what the source has
    int height = 720;
};

// One source's slate, over all its captures: a capture that fails shows it itself, on the thread that it failed on,
// and the first frame of the next one hides it. Its frames are made and handed on by a thread of its own, which waits
// while it is hidden. Without the GIL; any thread but that of its consumers' callbacks.
class Slate {
  public:
    // A picture that cannot be read is told by one "failed" event with the key, and the text is shown.
    Slate(std::string key, SlateSettings settings, std::shared_ptr<EventQueue> events);
    ~Slate();
    Slate(const Slate&) = delete;
    Slate& operator=(const Slate&) = delete;

    void show();
    // When this returns no frame of it is being handed on.
    void hide();
    bool is_shown() const { return shown_; }
    void set_size(int width, int height);
    std::pair<int, int> size() const;
    void attach(std::shared_ptr<FrameConsumer> consumer);
    void detach(const std::shared_ptr<FrameConsumer>& consumer);
    // For good; joins the thread. Any number of times.
    void close();

  private:
    void run(const std::stop_token& stopping);
    void prepare(int width, int height);
    void draw(StillPicture& picture) const;
    void hand_round();

    const std::string key_;
    const SlateSettings settings_;
    const std::shared_ptr<EventQueue> events_;

    std::atomic<bool> shown_ = false;
    mutable std::mutex mutex_;  // of the size, and with changed_ of shown_ for who waits; held for moments only
    std::condition_variable_any changed_;
    int width_;
    int height_;
    bool closed_ = false;

    FairMutex consumers_mutex_;  // held while a frame is handed round, so that hide and detach return after it
    std::vector<std::shared_ptr<FrameConsumer>> consumers_;

    // Of the thread alone.
    std::optional<StillPicture> base_;   // without the time
    std::optional<StillPicture> drawn_;  // with it
    bool shows_picture_ = false;
    bool failure_told_ = false;

    std::jthread thread_;  // last: it uses all of the above
};

}  // namespace rtcagent
