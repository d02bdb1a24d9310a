// A mutex that nobody waits for twice.
#pragma once

#include <mutex>

namespace rtcagent {

// A streaming thread that is behind locks again the moment it has unlocked, and with a plain mutex who waits to close
// the gate may wait for many frames. Here who waits holds the turn, so that it is next.
class FairMutex {
  public:
    void lock() {
        const std::lock_guard turn(turn_);
        held_.lock();
    }
    void unlock() { held_.unlock(); }

  private:
    std::mutex turn_;
    std::mutex held_;
};

}  // namespace rtcagent
