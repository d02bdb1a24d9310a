// Plays what a mixer gives, on a speaker of the sound server.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "media/audio_mixer.h"
#include "media/event_queue.h"
#include "media/frame_clock.h"
#include "media/gst_ptr.h"

namespace rtcagent {

struct OutputSettings {
    std::string device;       // the sound server's name of the speaker
    std::string stream;       // what the stream is found by again: the property rtcagent.stream
    std::string description;  // of the stream, for people: "call"
    int buffer_ms = 50;
    bool is_reference = false;  // what it plays is taken out of what the microphones hear
};

struct OutputStats {
    std::int64_t frames = 0;  // of 10 ms, that were taken from the mixer
    std::int64_t longest_gap_us = 0;
};

// The speaker sets the pace: its streaming thread asks the mixer for the next 10 ms whenever there is room for them. A
// failure while it plays comes as an event "failed" of its key. start() and stop() wait for the sound server.
class AudioOutput {
  public:
    AudioOutput(std::string key, OutputSettings settings, std::shared_ptr<AudioMixer> mixer,
                std::shared_ptr<EventQueue> events);
    ~AudioOutput();
    AudioOutput(const AudioOutput&) = delete;
    AudioOutput& operator=(const AudioOutput&) = delete;

    // Returns when it plays. NativeError: CAPTURE_FAILED with the sound server's own reason, and nothing is open.
    void start();
    // Afterwards the mixer is not asked any more. Any number of times.
    void stop();
    OutputStats stats() const;

  private:
    struct Graph;  // the callbacks of GStreamer

    void build();
    void push_next();

    const std::string key_;
    const OutputSettings settings_;
    const std::shared_ptr<AudioMixer> mixer_;
    const std::shared_ptr<EventQueue> events_;

    std::mutex life_;  // of the pipeline: start and stop
    GstPtr<GstElement> pipeline_;
    GstElement* source_ = nullptr;  // in the pipeline
    std::uint64_t pushed_ = 0;      // by the streaming thread

    mutable std::mutex stats_mutex_;
    FrameClock frames_;
};

}  // namespace rtcagent
