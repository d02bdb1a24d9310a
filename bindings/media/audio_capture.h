// One open source of sound: its graph, its frames, its end.
#pragma once

#include <gst/app/gstappsink.h>
#include <gst/gst.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "media/audio_frame.h"
#include "media/audio_meter.h"
#include "media/audio_settings.h"
#include "media/event_queue.h"
#include "media/fair_mutex.h"
#include "media/frame_clock.h"
#include "media/gst_ptr.h"
#include "media/source.h"

namespace rtcagent {

struct AudioCaptureStats {
    std::int64_t frames_captured = 0;
    std::int64_t longest_gap_us = 0;
    double fps = 0;
};

// All methods may be called on any thread but a streaming thread, without the GIL: start, stop, attach, detach and
// set_processing wait for the streaming thread, which never waits for Python.
//
// Each frame is processed, then made louder or softer, then measured, then handed round. The volume comes last: gain
// control would undo it, and an echo canceller learns best from what the microphone heard.
class AudioCapture {
  public:
    AudioCapture(std::string key, AudioSettings settings, std::shared_ptr<EventQueue> events);
    ~AudioCapture();
    AudioCapture(const AudioCapture&) = delete;
    AudioCapture& operator=(const AudioCapture&) = delete;

    void start();
    void stop();
    void attach(std::shared_ptr<AudioConsumer> consumer);
    void detach(const std::shared_ptr<AudioConsumer>& consumer);
    // Null: none. In force from the next frame on.
    void set_processing(std::shared_ptr<AudioProcessing> processing);
    void set_volume(int percent);
    AudioCaptureStats stats() const;
    AudioLevel level() const { return meter_.level(); }

  private:
    void build();
    void take_apart();
    static GstFlowReturn on_sample(GstAppSink* appsink, gpointer self);
    static GstBusSyncReply on_message(GstBus* bus, GstMessage* message, gpointer self);
    void take(GstSample* sample);
    void hand_round(std::int16_t* samples);
    void scale(std::int16_t* samples, std::size_t count);
    void on_device(const std::string& device);
    bool had_frames() const;
    void fail(Failure failure);
    void finish();

    const std::string key_;
    const AudioSettings settings_;
    const std::shared_ptr<EventQueue> events_;

    std::mutex lifecycle_;  // held by start and stop, never by a streaming thread
    std::unique_ptr<Source> source_;
    GstPtr<GstElement> pipeline_;

    FairMutex consumers_mutex_;  // held while a frame is processed and handed round, so that detach returns after it
    std::vector<std::shared_ptr<AudioConsumer>> consumers_;
    std::shared_ptr<AudioProcessing> processing_;

    std::atomic<int> volume_ = 100;

    // Of the streaming thread alone.
    std::vector<std::int16_t> waiting_;  // samples that make no whole frame yet
    float gain_ = 1;

    AudioMeter meter_;

    mutable std::mutex state_mutex_;  // held for moments only
    FrameClock frames_;
    std::string device_;
    bool first_told_ = false;
    bool starting_ = false;
    bool over_ = false;  // failed or ended: told once
    std::optional<Failure> start_failure_;
};

}  // namespace rtcagent
