#include "media/event_queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <iterator>
#include <system_error>
#include <utility>

namespace rtcagent {

EventQueue::EventQueue() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

EventQueue::~EventQueue() {
    close(fd_);
}

void EventQueue::put(Event event) {
    const std::lock_guard lock(mutex_);
    if (events_.size() >= kLimit) {
        const auto oldest =
            std::find_if(events_.begin(), events_.end(), [](const Event& e) { return e.kind == "format"; });
        if (oldest != events_.end()) {
            events_.erase(oldest);
        } else if (event.kind == "format") {
            return;
        }
    }
    events_.push_back(std::move(event));
    const std::uint64_t one = 1;
    // Fails only when the counter is at its maximum, and then the descriptor is readable all the same.
    [[maybe_unused]] const auto written = write(fd_, &one, sizeof one);
}

std::vector<Event> EventQueue::drain() {
    const std::lock_guard lock(mutex_);
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = read(fd_, &count, sizeof count);  // EAGAIN: nothing waits
    std::vector<Event> events(std::make_move_iterator(events_.begin()), std::make_move_iterator(events_.end()));
    events_.clear();
    return events;
}

}  // namespace rtcagent
