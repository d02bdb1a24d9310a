// One file of a recording, from its first byte to its last.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "media/event_queue.h"
#include "media/recording_container.h"
#include "media/recording_tap.h"
#include "media/recording_track.h"

namespace rtcagent {

struct RecordingSettings {
    std::string path;  // of a file that is not there yet
    std::string title;
    bool is_mp4 = false;
    // 0: no limit. A piece that would go past one is not written.
    std::int64_t max_bytes = 0;
    std::int64_t max_duration_us = 0;
    std::int64_t min_free_bytes = 0;  // that stay free on the disk
};

struct RecordedTrackSpec {
    std::variant<std::shared_ptr<VideoRecordTap>, std::shared_ptr<AudioRecordTap>> tap;
    std::string title;
    std::vector<std::pair<std::string, std::string>> tags;
};

struct RecordingStats {
    std::int64_t bytes = 0;
    std::int64_t duration_us = 0;
    std::vector<RecordedStats> tracks;  // as in the specs
};

// start() and stop() wait, and are called without the GIL, by one thread at a time. A thread of its own writes: about
// once in a second what was encoded, in one piece, and brings it to the disk every two. What it does not get written in
// time waits in memory up to a bound, past which packets are dropped and counted.
class RecordingPart {
  public:
    // `events` gets, with `key`: "failed" with the reason when nothing more can be written, "limit" with which one in
    // `message`. After either the file is complete, and takes nothing more; stop() is called all the same.
    RecordingPart(std::string key, RecordingSettings settings, std::vector<RecordedTrackSpec> specs,
                  std::shared_ptr<EventQueue> events);
    ~RecordingPart();
    RecordingPart(const RecordingPart&) = delete;
    RecordingPart& operator=(const RecordingPart&) = delete;

    // From here on the taps feed this file. NativeError DISK_LOW or FOLDER_UNUSABLE.
    void start();
    // Completes the file. Any number of times.
    void stop();
    RecordingStats stats() const;

  private:
    using Track = std::variant<std::shared_ptr<VideoTrack>, std::shared_ptr<AudioTrack>>;

    void open();
    void make_tracks();
    void take(std::size_t track, Packet packet);
    void run();
    bool write_header();
    bool write_piece(std::vector<Packet> packets);
    bool write_all(const std::string& bytes);
    void keep_alive(std::int64_t now_us);
    void complete(const char* limit);
    void write_end();
    bool is_over() const;
    void fail(Failure failure);
    void over(Event event);
    RecordingEncoder& encoder(std::size_t track);
    void release_taps();

    const std::string key_;
    const RecordingSettings settings_;
    const std::vector<RecordedTrackSpec> specs_;
    const std::shared_ptr<EventQueue> events_;

    int fd_ = -1;
    std::int64_t begin_us_ = 0;
    std::unique_ptr<RecordingContainer> container_;
    std::vector<Track> tracks_;
    bool is_begun_ = false;  // the header is written
    std::thread writer_;

    std::atomic<std::int64_t> bytes_ = 0;
    std::atomic<std::int64_t> end_us_ = 0;  // of what was written, since the beginning

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<Packet> packets_;
    std::size_t waiting_bytes_ = 0;
    std::vector<bool> needs_key_;  // of tracks of which a packet was dropped
    std::vector<std::int64_t> dropped_;
    bool is_stopping_ = false;
    bool is_over_ = false;  // failed, or at its limit
};

}  // namespace rtcagent
