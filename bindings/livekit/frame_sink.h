// Hands frames to one LiveKit video source, through a gate.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "ffi_frames.pb.h"
#include "livekit/ffi.h"
#include "media/event_queue.h"
#include "media/fair_mutex.h"
#include "media/frame.h"
#include "media/frame_clock.h"

namespace rtcagent {

struct FrameSinkStats {
    std::int64_t frames_pushed = 0;
    std::int64_t frames_gated = 0;
    std::int64_t longest_gap_us = 0;
    std::int64_t slate_frames_pushed = 0;  // in no other number
    std::int64_t last_pushed_us = 0;       // of both, on the monotonic clock; 0: none was
};

// push() comes from the streaming thread of the capture that it is attached to; the rest from anywhere.
class FrameSink : public FrameConsumer {
  public:
    FrameSink(std::string key, std::shared_ptr<const Ffi> ffi, Ffi::Handle source, std::shared_ptr<EventQueue> events);

    // Closed at first. After set_open(false) returned, no frame is handed on, nor being handed on.
    void set_open(bool is_open);
    FrameSinkStats stats() const;

    void begin() override;
    void push(const I420Frame& frame) override;

  private:
    bool hand_on(const I420Frame& frame);

    const std::string key_;
    const std::shared_ptr<const Ffi> ffi_;
    const std::shared_ptr<EventQueue> events_;

    mutable FairMutex gate_;  // held during a push, which copies one frame: about a millisecond
    bool open_ = false;
    bool first_told_ = false;
    bool refusal_told_ = false;
    FrameClock frames_;
    std::int64_t gated_ = 0;
    std::int64_t slates_ = 0;
    std::int64_t last_us_ = 0;
    livekit_ffi::FfiRequest request_;  // used again for every frame
    std::string serialised_;
};

}  // namespace rtcagent
