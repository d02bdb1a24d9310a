#include "media/audio_mixer.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace rtcagent {

namespace {

constexpr float kFull = 32'767.0F;
constexpr float kRelease = 1.0F / 50;  // the limiter is open again after half a second

float between(float from, float to, std::size_t frame) {
    return from + (to - from) * static_cast<float>(frame + 1) / static_cast<float>(kMixFrames);
}

}  // namespace

void MixerInput::push(const std::int16_t* samples, std::size_t frames, int channels) {
    if (samples == nullptr || frames == 0 || channels < 1) return;
    double square_sum = 0;
    double peak = 0;
    const std::lock_guard lock(mutex_);
    for (std::size_t frame = 0; frame < frames; ++frame) {
        const auto* at = samples + frame * static_cast<std::size_t>(channels);
        auto* to = &ring_[(written_ + frame) % kRingFrames * kMixChannels];
        for (int channel = 0; channel < kMixChannels; ++channel) {
            const float value = static_cast<float>(at[std::min(channel, channels - 1)]) / 32'768.0F;
            to[channel] = value;
            square_sum += static_cast<double>(value) * value;
            peak = std::max(peak, static_cast<double>(std::abs(value)));
        }
    }
    written_ += frames;
    meter_.add(square_sum, peak, frames * kMixChannels);
    ++stats_.frames;
    if (first_ && peak > 0) std::exchange(first_, nullptr)->put({.key = key_, .kind = "first_frame"});
    if (written_ - read_ > kRingFrames) {  // nobody takes it, or far too slowly
        if (is_playing_) stats_.dropped += static_cast<std::int64_t>((written_ - read_ - wait_) / kMixFrames);
        read_ = written_ - wait_;
    }
}

void MixerInput::tell_first(std::string key, std::shared_ptr<EventQueue> events) {
    const std::lock_guard lock(mutex_);
    key_ = std::move(key);
    first_ = std::move(events);
}

void MixerInput::take(std::array<float, kMixSamples>& sum) {
    const std::lock_guard lock(mutex_);
    const auto waiting = written_ - read_;
    const float from = gain_;
    gain_ = next_gain_;
    bool begins = false;
    if (!is_playing_) {
        if (waiting < std::max(wait_, kMixFrames)) return;
        is_playing_ = begins = true;
    }
    if (waiting < kMixFrames) {  // what is left fades out, so that a gap does not crack
        for (std::size_t frame = 0; frame < waiting; ++frame) {
            const auto fade = 1 - static_cast<float>(frame + 1) / static_cast<float>(waiting);
            for (int channel = 0; channel < kMixChannels; ++channel)
                sum[frame * kMixChannels + channel] += from * fade * sample(read_ + frame, channel);
        }
        read_ = written_;
        is_playing_ = false;
        ++stats_.gaps;
        wait_ = std::min(wait_ + kMixFrames, kMostWait);
        return;
    }
    least_left_ = std::min(least_left_, waiting - kMixFrames);
    bool shorten = false;
    if (++taken_ >= kLookEvery) {
        // In all of this time so much was never needed. One that is quiet for long may come closer again.
        shorten = least_left_ >= kMixFrames * 3;
        if (wait_ > kLeastWait && least_left_ >= kMixFrames) wait_ -= kMixFrames;
        taken_ = 0;
        least_left_ = kRingFrames;
    }
    for (std::size_t frame = 0; frame < kMixFrames; ++frame) {
        const float part = static_cast<float>(frame + 1) / static_cast<float>(kMixFrames);
        const float gain = between(from, gain_, frame) * (begins ? part : 1.0F);
        for (int channel = 0; channel < kMixChannels; ++channel) {
            float value = sample(read_ + frame, channel);
            if (shorten) value = (1 - part) * value + part * sample(read_ + kMixFrames + frame, channel);
            sum[frame * kMixChannels + channel] += gain * value;
        }
    }
    read_ += shorten ? 2 * kMixFrames : kMixFrames;
    if (shorten) ++stats_.dropped;
}

void MixerInput::set_gain(double gain) {
    const std::lock_guard lock(mutex_);
    next_gain_ = static_cast<float>(gain);
    if (!is_playing_) gain_ = next_gain_;  // nothing of it was heard yet: it begins as asked for
}

RemoteLevel MixerInput::level() {
    const std::lock_guard lock(mutex_);
    return meter_.take();
}

MixerInputStats MixerInput::stats() const {
    const std::lock_guard lock(mutex_);
    auto stats = stats_;
    stats.waiting_ms = static_cast<std::int64_t>((written_ - read_) * 1000 / kMixRate);
    return stats;
}

std::shared_ptr<MixerInput> AudioMixer::add() {
    auto input = std::make_shared<MixerInput>();
    const std::lock_guard lock(mutex_);
    inputs_.push_back(input);
    return input;
}

void AudioMixer::remove(const std::shared_ptr<MixerInput>& input) {
    const std::lock_guard lock(mutex_);
    std::erase(inputs_, input);
}

void AudioMixer::set_gain(double gain) {
    const std::lock_guard lock(mutex_);
    next_gain_ = static_cast<float>(gain);
}

void AudioMixer::set_tone(double frequency, double amplitude) {
    const std::lock_guard lock(mutex_);
    tone_step_ = 2 * std::numbers::pi * frequency / kMixRate;
    tone_amplitude_ = static_cast<float>(amplitude);
}

void AudioMixer::mix(std::int16_t* out) {
    std::array<float, kMixSamples> sum{};
    const std::lock_guard lock(mutex_);
    for (const auto& input : inputs_) input->take(sum);
    if (tone_amplitude_ > 0) {
        for (std::size_t frame = 0; frame < kMixFrames; ++frame) {
            const auto value = tone_amplitude_ * static_cast<float>(std::sin(tone_phase_));
            tone_phase_ = std::fmod(tone_phase_ + tone_step_, 2 * std::numbers::pi);
            for (int channel = 0; channel < kMixChannels; ++channel) sum[frame * kMixChannels + channel] += value;
        }
    }
    const float from = gain_;
    gain_ = next_gain_;
    float peak = 0;
    for (std::size_t frame = 0; frame < kMixFrames; ++frame) {
        const float gain = between(from, gain_, frame);
        for (int channel = 0; channel < kMixChannels; ++channel) {
            auto& value = sum[frame * kMixChannels + channel];
            value *= gain;
            peak = std::max(peak, std::abs(value));
        }
    }
    const float limit_from = limit_;
    limit_ = std::min(peak > 1 ? 1 / peak : 1.0F, limit_ + kRelease);
    for (std::size_t frame = 0; frame < kMixFrames; ++frame) {
        // Turned down at once, within 1 ms, and up again slowly.
        const float part = std::min(1.0F, static_cast<float>(frame + 1) / (limit_ < limit_from ? 48.0F : kMixFrames));
        const float limit = limit_from + (limit_ - limit_from) * part;
        for (int channel = 0; channel < kMixChannels; ++channel) {
            const auto at = frame * kMixChannels + channel;
            out[at] = static_cast<std::int16_t>(std::clamp(sum[at] * limit, -1.0F, 1.0F) * kFull);
        }
    }
}

}  // namespace rtcagent
