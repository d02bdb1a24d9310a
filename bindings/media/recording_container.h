// The file formats of recordings: what the encoders made, as bytes of a file that is playable up to any piece of it.
//
// Written here rather than by GStreamer's muxers: those wait for the next frame of every track before they write one,
// so that a single stream which falls silent would hold up the file of all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace rtcagent {

// One track of a file, as its encoder describes it.
struct TrackInfo {
    bool is_video = false;
    std::string codec;          // "vp8" | "h264" | "opus" | "aac"
    std::string codec_private;  // as the container wants it: OpusHead, avcC, AudioSpecificConfig
    int width = 0;
    int height = 0;
    int channels = 0;
    std::string title;
    std::vector<std::pair<std::string, std::string>> tags;
};

// One encoded frame. `track` counts from 0.
struct Packet {
    std::size_t track = 0;
    std::int64_t at_us = 0;  // since the beginning of the file
    std::int64_t duration_us = 0;
    bool is_key = false;
    std::string data;
};

// A change of bytes that were written before, made when the file is complete.
struct Patch {
    std::size_t offset = 0;
    std::string bytes;
};

// Of one file; one thread. Each piece is to be written in one go: a file that ends with a whole piece is playable.
class RecordingContainer {
  public:
    virtual ~RecordingContainer() = default;
    virtual std::string begin(const std::vector<TrackInfo>& tracks, const std::string& title,
                              std::int64_t at_wall_us) = 0;
    // The next piece, of packets in the order of their times, about a second of them. May be empty.
    virtual std::string piece(const std::vector<Packet>& packets) = 0;
    // What comes last, and what of the beginning is better told now.
    virtual std::string end(std::int64_t duration_us, std::vector<Patch>& patches) = 0;
};

std::unique_ptr<RecordingContainer> make_matroska();
std::unique_ptr<RecordingContainer> make_mp4();  // fragmented

}  // namespace rtcagent
