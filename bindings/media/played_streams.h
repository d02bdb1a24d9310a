// What the other programs of this machine play, added up in frames of 10 ms.
#pragma once

#include <pulse/pulseaudio.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "media/audio_mixer.h"
#include "media/audio_settings.h"
#include "media/native_error.h"
#include "media/pulse_ptr.h"

namespace rtcagent {

// Records each stream that plays (a "sink input" of PulseAudio and of PipeWire, which speaks its protocol) apart,
// before the speaker: so the sound of others in a call can be left out, which is played on the same speaker, and
// neither the speaker's volume nor another choice of speaker matters. Left out is whatever an agent of this project
// plays (the property rtcagent.stream), and what filters and combinations of speakers play on for somebody else: that
// is taken where it comes from.
//
// start() and stop() are called by one thread at a time. All else happens in the thread of libpulse's main loop, the
// frame clock too: a frame each 10 ms, silence when nothing plays.
class PlayedStreams {
  public:
    using OnFrame = std::function<void(const std::int16_t* samples)>;  // 10 ms, kMixRate, kMixChannels
    using OnEnd = std::function<void(const Failure& failure)>;         // once; there are no frames after it

    PlayedStreams(Application only, OnFrame on_frame, OnEnd on_end);
    ~PlayedStreams();
    PlayedStreams(const PlayedStreams&) = delete;
    PlayedStreams& operator=(const PlayedStreams&) = delete;

    // Returns once the sound server has answered. NativeError NO_SOUND_SERVER: it does not.
    void start();
    // Afterwards nothing is called any more. Any number of times.
    void stop();

  private:
    struct Played;     // one stream that is recorded
    struct Callbacks;  // libpulse's

    void connect();
    void look_at_all();
    void consider(const pa_sink_input_info& info);
    void open(std::uint32_t index);
    void look_again_soon();
    void next_frame();
    void end(const std::string& why);
    bool is_wanted(const pa_sink_input_info& info) const;

    const Application only_;
    const OnFrame on_frame_;
    const OnEnd on_end_;

    PulsePtr<pa_threaded_mainloop> loop_;
    PulsePtr<pa_context> context_;
    pa_time_event* clock_ = nullptr;  // of the loop
    pa_time_event* again_ = nullptr;  // likewise: while some stream is to be looked at again
    pa_usec_t next_at_ = 0;
    bool wait_is_over_ = false;
    bool is_running_ = false;
    std::map<std::uint32_t, std::unique_ptr<Played>> played_;  // by the server's index
    AudioMixer mixer_;
};

}  // namespace rtcagent
