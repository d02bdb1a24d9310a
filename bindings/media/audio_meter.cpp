#include "media/audio_meter.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace rtcagent {

namespace {

constexpr double kFullScale = 32'768;

double dbfs(double amplitude) {
    if (amplitude <= 0) return AudioLevel::kSilenceDbfs;
    return std::clamp(20 * std::log10(amplitude / kFullScale), AudioLevel::kSilenceDbfs, 0.0);
}

}  // namespace

void AudioMeter::push(const std::int16_t* samples, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        const int sample = samples[i];
        peak_ = std::max(peak_, std::abs(sample));
        squares_ += static_cast<double>(sample) * sample;
    }
    count_ += count;
    if (++pushes_ < kPushesPerWindow) return;
    const double rms = count_ > 0 ? std::sqrt(squares_ / static_cast<double>(count_)) : 0;
    const AudioLevel level{.peak_dbfs = dbfs(peak_),
                           .rms_dbfs = dbfs(rms),
                           .linear = static_cast<int>(std::lround(std::min(rms / kFullScale, 1.0) * 255))};
    peak_ = pushes_ = 0;
    squares_ = 0;
    count_ = 0;
    const std::lock_guard lock(mutex_);
    level_ = level;
}

AudioLevel AudioMeter::level() const {
    const std::lock_guard lock(mutex_);
    return level_;
}

void AudioMeter::reset() {
    peak_ = pushes_ = 0;
    squares_ = 0;
    count_ = 0;
    const std::lock_guard lock(mutex_);
    level_ = {};
}

}  // namespace rtcagent
