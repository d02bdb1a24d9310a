// One track of a recording's file: frames in, as they come, encoded packets out, with times since the file's beginning.
#pragma once

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "media/audio_frame.h"
#include "media/frame.h"
#include "media/gst_ptr.h"
#include "media/native_error.h"
#include "media/recording_container.h"

namespace rtcagent {

struct RecordedStats {
    std::int64_t frames = 0;   // that were encoded; of sound: of 10 ms
    std::int64_t dropped = 0;  // that came while too many waited for the encoder or the disk
};

// The encoder of one track, a GStreamer graph with threads of its own, at a lower priority than everything live. Frames
// that come while its bounded queue is full are dropped and counted: whoever pushes never waits.
class RecordingEncoder {
  public:
    using OnPacket = std::function<void(Packet)>;

    // `what`: the encoder's element and those behind it. NativeError when an element is missing.
    RecordingEncoder(GstCaps* caps, const std::string& what, const std::string& codec, std::uint64_t max_waiting,
                     OnPacket on_packet);
    ~RecordingEncoder();
    RecordingEncoder(const RecordingEncoder&) = delete;
    RecordingEncoder& operator=(const RecordingEncoder&) = delete;

    bool is_full() const;
    void push(GstPtr<GstBuffer> buffer);
    // No more frames; returns when the last packet is out, or after so long.
    void finish(std::int64_t timeout_us);
    // What the file needs to know before the first packet; empty until then.
    std::optional<std::string> codec_private() const;
    std::optional<Failure> failure() const;

  private:
    static GstFlowReturn on_sample(GstAppSink* appsink, gpointer self);
    static void on_eos(GstAppSink* appsink, gpointer self);
    static GstBusSyncReply on_message(GstBus* bus, GstMessage* message, gpointer self);
    void take(GstSample* sample);

    const std::string codec_;
    const std::uint64_t max_waiting_;
    const OnPacket on_packet_;
    GstPtr<GstElement> pipeline_;
    GstElement* source_ = nullptr;

    mutable std::mutex mutex_;
    std::condition_variable ended_;
    bool is_over_ = false;
    std::optional<std::string> private_;
    std::optional<Failure> failure_;
};

// Pictures of one size: others are scaled into it, with bars. push() comes from a media thread.
class VideoTrack {
  public:
    VideoTrack(bool is_h264, int width, int height, std::int64_t begin_us, RecordingEncoder::OnPacket on_packet);

    void push(const I420Frame& frame);
    // Shows the newest picture once more, where none has come for a while: a still screen, a muted camera.
    void repeat(std::int64_t now_us);
    RecordingEncoder& encoder() { return encoder_; }
    TrackInfo info() const;
    RecordedStats stats() const;

  private:
    void put(GstBuffer* picture, std::int64_t at_us);
    GstPtr<GstBuffer> scaled(const I420Frame& frame) const;

    const bool is_h264_;
    const int width_;
    const int height_;
    const std::int64_t begin_us_;
    RecordingEncoder encoder_;
    mutable std::mutex mutex_;
    GstPtr<GstBuffer> newest_;
    std::int64_t last_us_ = -1;  // since the beginning
    RecordedStats stats_;
};

// Sound without a hole: what is missing is silence, so that whatever comes later is at its time.
class AudioTrack {
  public:
    AudioTrack(bool is_aac, int channels, std::int64_t begin_us, RecordingEncoder::OnPacket on_packet);

    void push(const AudioFrame& frame, std::int64_t now_us);
    // Fills up with silence to a little before now, where nothing came for a while.
    void fill(std::int64_t now_us);
    // Likewise, to the end.
    void fill_up(std::int64_t end_us);
    RecordingEncoder& encoder() { return encoder_; }
    TrackInfo info() const;
    RecordedStats stats() const;

  private:
    void silence(std::int64_t us);
    void put(const std::int16_t* samples, std::int64_t count);
    std::int64_t position_us() const { return samples_ * 1'000'000 / kAudioRate; }

    const bool is_aac_;
    const int channels_;
    const std::int64_t begin_us_;
    RecordingEncoder encoder_;
    mutable std::mutex mutex_;
    std::int64_t samples_ = 0;        // of one channel, ever
    std::int64_t least_late_us_ = 0;  // of the frames of this window
    int in_window_ = 0;
    int to_drop_ = 0;
    RecordedStats stats_;
};

}  // namespace rtcagent
