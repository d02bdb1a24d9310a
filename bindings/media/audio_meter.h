// Tells how loud sound is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

namespace rtcagent {

struct AudioLevel {
    static constexpr double kSilenceDbfs = -127;

    double peak_dbfs = kSilenceDbfs;  // 0 at the most
    double rms_dbfs = kSilenceDbfs;
    int linear = 0;  // of rms, 0-255: 255 is full scale
};

// Of whole windows of a tenth of a second. push() comes from one thread, level() from any.
class AudioMeter {
  public:
    // `count` samples of all channels together.
    void push(const std::int16_t* samples, std::size_t count);
    AudioLevel level() const;
    void reset();

  private:
    static constexpr int kPushesPerWindow = 10;  // frames of 10 ms

    int peak_ = 0;
    double squares_ = 0;
    std::size_t count_ = 0;
    int pushes_ = 0;
    mutable std::mutex mutex_;
    AudioLevel level_;
};

}  // namespace rtcagent
