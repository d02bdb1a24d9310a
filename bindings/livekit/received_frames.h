// Takes the frames of remote video and audio out of the FFI's events, before Python sees them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ffi_frames.pb.h"
#include "livekit/event_relay.h"
#include "livekit/ffi.h"
#include "media/audio_frame.h"
#include "media/audio_mixer.h"
#include "media/frame.h"
#include "media/frame_clock.h"
#include "media/snapshot.h"

namespace rtcagent {

struct ReceivedStats {
    std::int64_t frames_received = 0;
    int width = 0;
    int height = 0;
    std::int64_t longest_gap_us = 0;
};

// There is one for the process, as the FFI has one callback, and it is never freed: LiveKit's threads may call it until
// the process ends. Its callback never waits for the GIL: video and audio are taken here, all other events are relayed
// to Python.
class ReceivedFrames {
  public:
    // NativeError INTERNAL when it was made before with other addresses.
    static ReceivedFrames& instance(const Ffi& ffi, std::uintptr_t python_callback_address);

    static std::uintptr_t callback_address();
    void watch(Ffi::Handle stream);
    void unwatch(Ffi::Handle stream);
    // The sound of an audio stream goes to `input` from here on, and after unlisten() not any more.
    void listen(Ffi::Handle stream, std::shared_ptr<MixerInput> input);
    void unlisten(Ffi::Handle stream);
    // Gives the stream's frames to `consumer` too, on the thread that they come on; once more, perhaps, after detach.
    void attach(Ffi::Handle stream, std::shared_ptr<FrameConsumer> consumer);
    void detach(Ffi::Handle stream, const std::shared_ptr<FrameConsumer>& consumer);
    // Likewise of a stream of sound, until detach_sound or unlisten.
    void attach_sound(Ffi::Handle stream, std::shared_ptr<AudioConsumer> consumer);
    void detach_sound(Ffi::Handle stream, const std::shared_ptr<AudioConsumer>& consumer);
    std::optional<ReceivedStats> stats(Ffi::Handle stream) const;
    std::optional<Snapshot> snapshot(Ffi::Handle stream, const std::string& image_format) const;

  private:
    // The newest frame of a stream, given back to LiveKit when the last who looks at it is done.
    struct Frame {
        Frame(const Ffi& ffi, livekit_ffi::VideoFrameReceived message) : ffi_(ffi), message_(std::move(message)) {}
        ~Frame() { ffi_.drop(message_.buffer().handle().id()); }
        Frame(const Frame&) = delete;
        Frame& operator=(const Frame&) = delete;

        const Ffi ffi_;
        const livekit_ffi::VideoFrameReceived message_;
        const std::int64_t at_us_ = wall_us();
    };
    struct Stream {
        FrameClock frames;
        std::shared_ptr<const Frame> newest;
        std::vector<std::shared_ptr<FrameConsumer>> consumers;
    };

    struct Sound {
        std::shared_ptr<MixerInput> input;
        std::vector<std::shared_ptr<AudioConsumer>> consumers;
    };

    ReceivedFrames(const Ffi& ffi, EventRelay::Callback python) : ffi_(ffi), relay_(python) {}
    static void on_event(const std::uint8_t* data, std::size_t size);
    void take(const std::uint8_t* data, std::size_t size);
    void take_audio(const std::uint8_t* data, std::size_t size);

    static ReceivedFrames* instance_;
    const Ffi ffi_;
    EventRelay relay_;
    mutable std::mutex mutex_;  // held for moments only, never while a buffer is given back or a picture encoded
    std::unordered_map<Ffi::Handle, Stream> streams_;
    std::unordered_map<Ffi::Handle, Sound> sounds_;
};

}  // namespace rtcagent
