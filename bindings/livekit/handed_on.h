// Received frames as those who take pictures know them: I420, upright.
#pragma once

#include "ffi_frames.pb.h"
#include "media/frame.h"

namespace rtcagent {

// Converts and turns where the frame is not so already. A frame of a kind that no decoder here gives is dropped.
void hand_on(const livekit_ffi::VideoFrameReceived& received, FrameConsumer& consumer);

}  // namespace rtcagent
