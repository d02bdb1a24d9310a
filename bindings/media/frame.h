// What a capture hands to those who take its frames.
#pragma once

#include <array>
#include <cstdint>

namespace rtcagent {

// An I420 picture in somebody else's memory, valid during the call that it is given to.
struct I420Frame {
    std::array<const std::uint8_t*, 3> planes{};
    std::array<int, 3> strides{};
    int width = 0;
    int height = 0;
    std::int64_t timestamp_us = 0;  // monotonic
    bool is_slate = false;          // stands in for pictures that are not there
};

class FrameConsumer {
  public:
    virtual ~FrameConsumer() = default;
    // A capture begins to deliver: the time before it is no gap.
    virtual void begin() = 0;
    // Called on the streaming thread of the capture; what it takes long for, the capture loses.
    virtual void push(const I420Frame& frame) = 0;
};

}  // namespace rtcagent
