// Where the frames of one stream leave for a recording: to the track of the file that is being written, if any.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "media/audio_frame.h"
#include "media/event_queue.h"
#include "media/frame.h"
#include "media/recording_track.h"

namespace rtcagent {

// Outlives the files that it feeds, one after another. push() comes from a media thread, the rest from anywhere.
class VideoRecordTap : public FrameConsumer {
  public:
    // `events` gets, with `key`: "first_frame" at the first picture.
    VideoRecordTap(std::string key, std::shared_ptr<EventQueue> events);

    void begin() override {}
    void push(const I420Frame& frame) override;
    // From now on, to this track; its first picture is the newest there is, in whose size it is made. nullptr: to none.
    std::shared_ptr<VideoTrack> begin_track(bool is_h264, std::int64_t begin_us,
                                            const RecordingEncoder::OnPacket& on_packet);
    void end_track(const std::shared_ptr<VideoTrack>& track);
    // Nothing comes any more, and the newest picture does not stand for it. The next one is a first one.
    void forget_newest();
    // Whether there is a picture that stands for the stream.
    bool is_live() const;

  private:
    const std::string key_;
    const std::shared_ptr<EventQueue> events_;
    mutable std::mutex mutex_;  // held while a frame is handed on
    std::shared_ptr<VideoTrack> track_;
    std::vector<std::uint8_t> newest_;
    I420Frame newest_frame_;
    bool first_told_ = false;
};

class AudioRecordTap : public AudioConsumer {
  public:
    AudioRecordTap(std::string key, std::shared_ptr<EventQueue> events);

    void begin() override {}
    void push(const AudioFrame& frame) override;
    std::shared_ptr<AudioTrack> begin_track(bool is_aac, std::int64_t begin_us,
                                            const RecordingEncoder::OnPacket& on_packet);
    void end_track(const std::shared_ptr<AudioTrack>& track);

  private:
    const std::string key_;
    const std::shared_ptr<EventQueue> events_;
    std::mutex mutex_;
    std::shared_ptr<AudioTrack> track_;
    int channels_ = 0;
};

}  // namespace rtcagent
