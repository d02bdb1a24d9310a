// Recordings as Matroska: clusters of known size in a segment whose size is unknown until the file is complete.
#include <algorithm>
#include <bit>
#include <limits>

#include "media/recording_container.h"

namespace rtcagent {

namespace {

constexpr std::int64_t kOpusDelayNs = 6'500'000;
constexpr std::int64_t kOpusPrerollNs = 80'000'000;
constexpr std::size_t kSeekHeadBytes = 64;  // kept free for where the cues are
constexpr std::size_t kDurationBytes = 11;
constexpr std::int64_t kEpochUs = 978'307'200'000'000;  // 2001-01-01, where Matroska's dates begin

std::string big_endian(std::uint64_t value, int bytes) {
    std::string out;
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
    return out;
}

std::string id(std::uint32_t value) {
    return big_endian(value, value > 0xffffff ? 4 : value > 0xffff ? 3 : value > 0xff ? 2 : 1);
}

std::string size_of(std::uint64_t value) {
    for (int bytes = 1; bytes < 8; ++bytes) {
        if (value < (std::uint64_t{1} << (7 * bytes)) - 1)
            return big_endian(value | std::uint64_t{1} << (7 * bytes), bytes);
    }
    return big_endian(value | std::uint64_t{1} << 56, 8);
}

std::string element(std::uint32_t name, const std::string& content) {
    return id(name) + size_of(content.size()) + content;
}

std::string number(std::uint32_t name, std::uint64_t value) {
    int bytes = 1;
    while (bytes < 8 && value >> (8 * bytes) != 0) ++bytes;
    return element(name, big_endian(value, bytes));
}

std::string real(std::uint32_t name, double value) {
    return element(name, big_endian(std::bit_cast<std::uint64_t>(value), 8));
}

// `bytes` in all, of nothing.
std::string space(std::size_t bytes) {
    return id(0xEC) + size_of(bytes - 2) + std::string(bytes - 2, '\0');  // less than 127
}

const char* codec_name(const std::string& codec) {
    if (codec == "vp8") return "V_VP8";
    if (codec == "h264") return "V_MPEG4/ISO/AVC";
    return codec == "opus" ? "A_OPUS" : "A_AAC";
}

std::string track_entry(const TrackInfo& track, std::size_t index) {
    std::string entry = number(0xD7, index + 1) + number(0x73C5, index + 1) + number(0x83, track.is_video ? 1 : 2) +
                        number(0x9C, 0) + element(0x22B59C, "und") + element(0x536E, track.title) +
                        element(0x86, codec_name(track.codec));
    if (!track.codec_private.empty()) entry += element(0x63A2, track.codec_private);
    if (track.codec == "opus") entry += number(0x56AA, kOpusDelayNs) + number(0x56BB, kOpusPrerollNs);
    if (track.is_video) {
        entry += element(0xE0, number(0xB0, track.width) + number(0xBA, track.height));
    } else {
        entry += element(0xE1, real(0xB5, 48'000) + number(0x9F, track.channels));
    }
    return element(0xAE, entry);
}

std::string tags_of(const TrackInfo& track, std::size_t index) {
    std::string tag = element(0x63C0, number(0x63C5, index + 1));
    for (const auto& [name, value] : track.tags) tag += element(0x67C8, element(0x45A3, name) + element(0x4487, value));
    return element(0x7373, tag);
}

class Matroska : public RecordingContainer {
  public:
    std::string begin(const std::vector<TrackInfo>& tracks, const std::string& title,
                      std::int64_t at_wall_us) override {
        for (const auto& track : tracks) is_opus_.push_back(track.codec == "opus");
        has_video_ = std::any_of(tracks.begin(), tracks.end(), [](const auto& track) { return track.is_video; });
        for (const auto& track : tracks) is_video_.push_back(track.is_video);
        std::string out =
            element(0x1A45DFA3, number(0x4286, 1) + number(0x42F7, 1) + number(0x42F2, 4) + number(0x42F3, 8) +
                                    element(0x4282, "matroska") + number(0x4287, 4) + number(0x4285, 2));
        out += id(0x18538067);
        segment_size_at_ = out.size();
        out += "\x01" + std::string(7, '\xff');  // unknown
        segment_at_ = out.size();
        out += space(kSeekHeadBytes);
        std::string info = number(0x2AD7B1, 1'000'000) + element(0x7BA9, title) + element(0x4D80, "rtcagent") +
                           element(0x5741, "rtcagent") +
                           element(0x4461, big_endian(static_cast<std::uint64_t>(at_wall_us - kEpochUs) * 1000, 8));
        const std::string whole = element(0x1549A966, info + space(kDurationBytes));
        duration_at_ = out.size() + whole.size() - kDurationBytes;
        out += whole;
        std::string entries, tags;
        for (std::size_t i = 0; i < tracks.size(); ++i) {
            entries += track_entry(tracks[i], i);
            tags += tags_of(tracks[i], i);
        }
        out += element(0x1654AE6B, entries) + element(0x1254C367, tags);
        written_ = out.size();
        return out;
    }

    std::string piece(const std::vector<Packet>& packets) override {
        std::string out, blocks;
        std::int64_t begin_ms = 0;
        const auto flush = [&] {
            if (!blocks.empty())
                out += element(0x1F43B675, number(0xE7, static_cast<std::uint64_t>(begin_ms)) + blocks);
            blocks.clear();
        };
        for (const auto& packet : packets) {
            const std::int64_t at_ms =
                (packet.at_us + (is_opus_.at(packet.track) ? kOpusDelayNs / 1000 : 0) + 500) / 1000;
            // A time in a cluster has 16 bits. After a pause that is longer, another one begins.
            if (blocks.empty() || at_ms - begin_ms > 30'000) {
                flush();
                begin_ms = at_ms;
            }
            if (packet.is_key && (is_video_.at(packet.track) || !has_video_) && at_ms >= next_cue_ms_) {
                cues_ += element(0xBB, number(0xB3, static_cast<std::uint64_t>(at_ms)) +
                                           element(0xB7, number(0xF7, packet.track + 1) +
                                                             number(0xF1, written_ + out.size() - segment_at_)));
                next_cue_ms_ = at_ms + kCueEveryMs;
            }
            const auto since = static_cast<std::uint16_t>(std::clamp<std::int64_t>(
                at_ms - begin_ms, std::numeric_limits<std::int16_t>::min(), std::numeric_limits<std::int16_t>::max()));
            blocks += element(0xA3, size_of(packet.track + 1) + big_endian(since, 2) +
                                        std::string(1, packet.is_key ? '\x80' : '\0') + packet.data);
        }
        flush();
        written_ += out.size();
        return out;
    }

    std::string end(std::int64_t duration_us, std::vector<Patch>& patches) override {
        std::string out;
        if (!cues_.empty()) {
            const std::string seek = element(
                0x114D9B74, element(0x4DBB, element(0x53AB, id(0x1C53BB6B)) + number(0x53AC, written_ - segment_at_)));
            patches.push_back({segment_at_, seek + space(kSeekHeadBytes - seek.size())});
            out = element(0x1C53BB6B, cues_);
        }
        patches.push_back({duration_at_, real(0x4489, static_cast<double>(duration_us) / 1000)});
        const std::uint64_t size = written_ + out.size() - segment_at_;
        patches.push_back({segment_size_at_, big_endian(size | std::uint64_t{1} << 56, 8)});
        return out;
    }

  private:
    static constexpr std::int64_t kCueEveryMs = 5000;

    std::vector<bool> is_opus_;
    std::vector<bool> is_video_;
    bool has_video_ = false;
    std::size_t segment_size_at_ = 0;
    std::size_t segment_at_ = 0;
    std::size_t duration_at_ = 0;
    std::size_t written_ = 0;
    std::string cues_;
    std::int64_t next_cue_ms_ = 0;
};

}  // namespace

std::unique_ptr<RecordingContainer> make_matroska() {
    return std::make_unique<Matroska>();
}

}  // namespace rtcagent
