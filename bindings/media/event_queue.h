// Carries what happens on media threads to the event loop, without the GIL.
#pragma once

#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

namespace rtcagent {

struct Event {
    std::string key;
    std::string kind;  // "first_frame" | "format" | "failed" | "ended" | "hidden" | "shown"
    int width = 0;
    int height = 0;
    double fps = 0;
    std::string reason;
    std::string message;
};

// put() is called on any thread and never waits for Python. Holds at most kLimit events; beyond it the oldest "format"
// goes first, since the next one says more. The others tell of a change of state and are few per source: they are kept.
class EventQueue {
  public:
    static constexpr std::size_t kLimit = 10'000;

    EventQueue();
    ~EventQueue();
    EventQueue(const EventQueue&) = delete;
    EventQueue& operator=(const EventQueue&) = delete;

    void put(Event event);
    std::vector<Event> drain();
    int fd() const { return fd_; }

  private:
    int fd_;  // an eventfd, readable while events wait
    std::mutex mutex_;
    std::deque<Event> events_;
};

}  // namespace rtcagent
