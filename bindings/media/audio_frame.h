// What an audio capture hands to those who process and take its sound.
#pragma once

#include <cstdint>

namespace rtcagent {

inline constexpr int kAudioRate = 48'000;
inline constexpr int kSamplesPerFrame = kAudioRate / 100;  // frames are of 10 ms: libwebrtc takes no others

// 10 ms at 48 kHz of 16-bit samples, interleaved, in somebody else's memory: valid during the call that it is given to.
struct AudioFrame {
    const std::int16_t* samples = nullptr;
    int channels = 1;  // 1 or 2
};

class AudioConsumer {
  public:
    virtual ~AudioConsumer() = default;
    // A capture begins to deliver: the time before it is no gap.
    virtual void begin() = 0;
    // Called on the streaming thread of the capture; what it takes long for, the capture loses.
    virtual void push(const AudioFrame& frame) = 0;
};

// Changes frames in place: cancels echo, takes out noise.
class AudioProcessing {
  public:
    virtual ~AudioProcessing() = default;
    // Called on the streaming thread of the one capture that it belongs to. NativeError ends that capture.
    virtual void process(std::int16_t* samples, int channels) = 0;
};

}  // namespace rtcagent
