// Counts frames as they pass: how many, the longest gap between two, the rate over the last second.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace rtcagent {

inline std::int64_t monotonic_us() {
    using namespace std::chrono;
    return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

inline std::int64_t wall_us() {
    using namespace std::chrono;
    return duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
}

// Not thread-safe: its owner guards it.
class FrameClock {
  public:
    void tick(std::int64_t now_us) {
        if (last_us_ != 0) longest_gap_us_ = std::max(longest_gap_us_, now_us - last_us_);
        last_us_ = now_us;
        recent_[count_ % recent_.size()] = now_us;
        ++count_;
    }

    // The time until the next frame is no gap: a gate was closed, or another capture begins.
    void pause() { last_us_ = 0; }

    std::int64_t count() const { return count_; }
    std::int64_t longest_gap_us() const { return longest_gap_us_; }

    double fps(std::int64_t now_us) const {
        const auto kept = std::min<std::size_t>(static_cast<std::size_t>(count_), recent_.size());
        std::int64_t oldest_us = now_us;
        int in_window = 0;
        for (std::size_t i = 0; i < kept; ++i) {
            if (now_us - recent_[i] > 1'000'000) continue;
            ++in_window;
            oldest_us = std::min(oldest_us, recent_[i]);
        }
        if (in_window < 2) return in_window;
        // From the oldest to the newest there are in_window - 1 periods. Network sources begin with a burst: a rate is
        // not judged by less than half a second.
        const auto newest_us = recent_[static_cast<std::size_t>(count_ - 1) % recent_.size()];
        const auto span_us = std::max<std::int64_t>(newest_us - oldest_us, 500'000);
        // A source that has stopped falls to 0 within the second instead of keeping its last rate.
        const auto silent_us = now_us - newest_us;
        const auto period_us = span_us / (in_window - 1);
        return 1e6 * (in_window - 1) / static_cast<double>(silent_us > 2 * period_us ? span_us + silent_us : span_us);
    }

  private:
    std::array<std::int64_t, 512> recent_{};  // more than a second at the highest rate, 240
    std::int64_t count_ = 0;
    std::int64_t last_us_ = 0;
    std::int64_t longest_gap_us_ = 0;
};

}  // namespace rtcagent
