#include "livekit/event_relay.h"

#include <pthread.h>

#include <thread>
#include <utility>

namespace rtcagent {

EventRelay::EventRelay(Callback python) : python_(python) {
    std::thread thread([this] { run(); });
    pthread_setname_np(thread.native_handle(), "ffi-events");
    thread.detach();
}

void EventRelay::put(const std::uint8_t* data, std::size_t size) {
    {
        const std::lock_guard lock(mutex_);
        events_.emplace_back(reinterpret_cast<const char*>(data), size);
    }
    waiting_.notify_one();
}

void EventRelay::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        waiting_.wait(lock, [this] { return !events_.empty(); });
        const std::string event = std::exchange(events_.front(), {});
        events_.pop_front();
        lock.unlock();
        python_(reinterpret_cast<const std::uint8_t*>(event.data()), event.size());  // takes the GIL by itself
        lock.lock();
    }
}

}  // namespace rtcagent
