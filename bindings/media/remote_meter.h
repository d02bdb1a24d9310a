// How loud sound was since one looked last.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace rtcagent {

inline constexpr double kSilenceDbfs = -127.0;  // as low as it is told: ByteRTC's own scale ends here

struct RemoteLevel {
    double rms_dbfs = kSilenceDbfs;
    double peak_dbfs = kSilenceDbfs;
    bool voice = false;       // a fifth of the time or more was louder than speech is at its softest
    std::int64_t frames = 0;  // of 10 ms; 0: nothing came
};

inline double dbfs(double amplitude) {
    return amplitude <= 0 ? kSilenceDbfs : std::clamp(20 * std::log10(amplitude), kSilenceDbfs, 0.0);
}

// Not thread-safe: its owner guards it. One reader, as reading begins anew.
class RemoteMeter {
  public:
    // One frame of about 10 ms, all channels as they come; samples are -1 to 1.
    void add(double square_sum, double peak, std::size_t samples) {
        if (samples == 0) return;
        square_sum_ += square_sum;
        samples_ += samples;
        peak_ = std::max(peak_, peak);
        ++frames_;
        if (square_sum / static_cast<double>(samples) > kVoicePower) ++voiced_;
    }

    RemoteLevel take() {
        RemoteLevel level{.frames = frames_};
        if (samples_ > 0) {
            level.rms_dbfs = dbfs(std::sqrt(square_sum_ / static_cast<double>(samples_)));
            level.peak_dbfs = dbfs(peak_);
            level.voice = voiced_ * 5 >= frames_;
        }
        *this = RemoteMeter();
        return level;
    }

  private:
    static constexpr double kVoicePower = 1e-5;  // -50 dBFS

    double square_sum_ = 0;
    std::size_t samples_ = 0;
    double peak_ = 0;
    std::int64_t frames_ = 0;
    std::int64_t voiced_ = 0;
};

}  // namespace rtcagent
