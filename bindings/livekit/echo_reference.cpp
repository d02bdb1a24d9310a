#include "livekit/echo_reference.h"

namespace rtcagent {

EchoReference& EchoReference::instance() {
    static EchoReference reference;
    return reference;
}

void EchoReference::push(const std::int16_t* samples, int rate, int channels) {
    const std::lock_guard lock(mutex_);
    for (auto* canceller : cancellers_) canceller->played(samples, rate, channels);
}

void EchoReference::add(PlayedSound* canceller) {
    const std::lock_guard lock(mutex_);
    cancellers_.push_back(canceller);
}

void EchoReference::remove(PlayedSound* canceller) {
    const std::lock_guard lock(mutex_);
    std::erase(cancellers_, canceller);
}

}  // namespace rtcagent
