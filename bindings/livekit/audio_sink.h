// Hands frames of sound to one LiveKit audio source, through a gate.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "ffi_frames.pb.h"
#include "livekit/ffi.h"
#include "media/audio_frame.h"
#include "media/event_queue.h"
#include "media/fair_mutex.h"
#include "media/frame_clock.h"

namespace rtcagent {

// Marks the requests made here: their answers are of no interest, and go no further than the FFI's callback.
inline constexpr std::uint64_t kOwnAsyncId = std::uint64_t{1} << 62;

struct AudioSinkStats {
    std::int64_t frames_pushed = 0;
    std::int64_t frames_gated = 0;
    std::int64_t longest_gap_us = 0;
    std::int64_t last_pushed_us = 0;  // on the monotonic clock; 0: none was
};

// push() comes from the streaming thread of the capture that it is attached to; the rest from anywhere.
class AudioSink : public AudioConsumer {
  public:
    // `channels` of the LiveKit source, which must have a queue of 0 ms: then frames are copied and handed on at once.
    AudioSink(std::string key, std::shared_ptr<const Ffi> ffi, Ffi::Handle source, int channels,
              std::shared_ptr<EventQueue> events);

    // Closed at first. After set_open(false) returned, no frame is handed on, nor being handed on.
    void set_open(bool is_open);
    AudioSinkStats stats() const;

    void begin() override;
    void push(const AudioFrame& frame) override;

  private:
    bool hand_on(const AudioFrame& frame);

    const std::string key_;
    const std::shared_ptr<const Ffi> ffi_;
    const int channels_;
    const std::shared_ptr<EventQueue> events_;

    mutable FairMutex gate_;
    bool open_ = false;
    bool first_told_ = false;
    bool refusal_told_ = false;
    FrameClock frames_;
    std::int64_t gated_ = 0;
    std::int64_t last_us_ = 0;
    std::array<std::int16_t, 2 * kSamplesPerFrame> mixed_{};
    livekit_ffi::FfiRequest request_;  // used again for every frame
    std::string serialised_;
};

}  // namespace rtcagent
