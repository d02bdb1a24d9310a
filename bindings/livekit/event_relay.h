// Passes the FFI's events on to Python, from a thread of its own.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>

namespace rtcagent {

// The FFI calls back on the few threads that also carry its media: one that waits for the GIL there holds up frames of
// all streams, and as many events as the machine has processors hold up all of them. So put() only copies. Order is
// kept. What waits is bounded by how long the interpreter can be stalled, since a process that does not answer for long
// is replaced. Never ends, as the FFI may call back until the process ends.
class EventRelay {
  public:
    using Callback = void (*)(const std::uint8_t*, std::size_t);

    explicit EventRelay(Callback python);
    EventRelay(const EventRelay&) = delete;
    EventRelay& operator=(const EventRelay&) = delete;

    void put(const std::uint8_t* data, std::size_t size);
    Callback python() const { return python_; }

  private:
    [[noreturn]] void run();

    const Callback python_;
    std::mutex mutex_;
    std::condition_variable waiting_;
    std::deque<std::string> events_;
};

}  // namespace rtcagent
