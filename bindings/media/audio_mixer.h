// Adds up the sound of others, each with a volume of its own, in frames of 10 ms. No sample waits for the GIL.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "media/event_queue.h"
#include "media/remote_meter.h"

namespace rtcagent {

inline constexpr int kMixRate = 48'000;
inline constexpr int kMixChannels = 2;
inline constexpr std::size_t kMixFrames = kMixRate / 100;  // 10 ms, of one channel
inline constexpr std::size_t kMixSamples = kMixFrames * kMixChannels;

struct MixerInputStats {
    std::int64_t frames = 0;   // of 10 ms, that came
    std::int64_t gaps = 0;     // times that nothing was there to play after something was
    std::int64_t dropped = 0;  // 10 ms each, left out because too much waited
    std::int64_t waiting_ms = 0;
};

// The sound of one stream between who receives it and the mixer. push() comes from LiveKit's threads, take() from the
// output's; they share a ring of 200 ms. What is late by jitter is waited for once, and the wait grows with what is
// needed; what piles up, since two clocks never agree, is shortened by blending two frames into one.
class MixerInput {
  public:
    // Interleaved, at kMixRate, of one or two channels. When the ring is full the oldest goes.
    void push(const std::int16_t* samples, std::size_t frames, int channels);
    // Puts "first_frame" with this key once, when the first sound comes that is more than silence.
    void tell_first(std::string key, std::shared_ptr<EventQueue> events);
    // Adds the next 10 ms to `sum`.
    void take(std::array<float, kMixSamples>& sum);

    // 0 is silent, 4 is 400 %. In force with the next 10 ms, blended over.
    void set_gain(double gain);
    RemoteLevel level();  // as received, whatever the gain; see RemoteMeter
    MixerInputStats stats() const;

  private:
    static constexpr std::size_t kRingFrames = kMixFrames * 20;
    static constexpr std::size_t kLeastWait = kMixFrames * 2;
    static constexpr std::size_t kMostWait = kMixFrames * 12;
    static constexpr int kLookEvery = 500;  // 5 s

    float sample(std::size_t frame, int channel) const { return ring_[(frame % kRingFrames) * kMixChannels + channel]; }

    mutable std::mutex mutex_;  // held for microseconds
    std::array<float, kRingFrames * kMixChannels> ring_{};
    std::size_t written_ = 0;  // in frames of one channel, ever
    std::size_t read_ = 0;
    std::size_t wait_ = kMixFrames * 3;  // how much must be there to begin
    bool is_playing_ = false;
    std::size_t least_left_ = kRingFrames;  // since the last look
    int taken_ = 0;
    float gain_ = 1;
    float next_gain_ = 1;
    RemoteMeter meter_;
    MixerInputStats stats_;
    std::string key_;
    std::shared_ptr<EventQueue> first_;  // until it was told
};

// mix() comes from the output's thread, the rest from anywhere.
class AudioMixer {
  public:
    std::shared_ptr<MixerInput> add();
    void remove(const std::shared_ptr<MixerInput>& input);
    void set_gain(double gain);  // of all of it: 0 to 4
    // A test tone beside the rest; an amplitude of 0 ends it.
    void set_tone(double frequency, double amplitude);
    // The next 10 ms, interleaved. A sum that is too loud is turned down as a whole, so that nothing is clipped.
    void mix(std::int16_t* out);

  private:
    std::mutex mutex_;
    std::vector<std::shared_ptr<MixerInput>> inputs_;
    float gain_ = 1;
    float next_gain_ = 1;
    float limit_ = 1;  // what the limiter multiplies with
    double tone_step_ = 0;
    double tone_phase_ = 0;
    float tone_amplitude_ = 0;
};

}  // namespace rtcagent
