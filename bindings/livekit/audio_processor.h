// libwebrtc's processing of a microphone's sound, through the FFI: echo cancellation, noise suppression, gain control.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ffi_frames.pb.h"
#include "livekit/echo_reference.h"
#include "livekit/ffi.h"
#include "media/audio_frame.h"

namespace rtcagent {

// Owner of one of the FFI's processing modules. process() comes from the capture's thread, played() from the one that
// plays; the module allows both at once.
class AudioProcessor : public AudioProcessing, public PlayedSound {
  public:
    // `module`: a handle of the FFI's that nobody else gives back. `cancels_echo`: it takes what is played.
    AudioProcessor(std::shared_ptr<const Ffi> ffi, Ffi::Handle module, bool cancels_echo);
    ~AudioProcessor() override;
    AudioProcessor(const AudioProcessor&) = delete;
    AudioProcessor& operator=(const AudioProcessor&) = delete;

    void process(std::int16_t* samples, int channels) override;
    void played(const std::int16_t* samples, int rate, int channels) override;

  private:
    const std::shared_ptr<const Ffi> ffi_;
    const Ffi::Handle module_;
    const bool cancels_echo_;

    livekit_ffi::FfiRequest request_;  // of the capture's thread
    std::string serialised_, answer_;

    livekit_ffi::FfiRequest played_request_;  // of the thread that plays
    std::string played_serialised_;
    std::vector<std::int16_t> played_;  // the module writes into what it is given
};

}  // namespace rtcagent
