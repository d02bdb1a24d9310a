// Recordings as fragmented MP4: each piece is a fragment that says by itself when its samples are.
#include <algorithm>
#include <optional>

#include "media/recording_container.h"

namespace rtcagent {

namespace {

constexpr std::int64_t kMovieScale = 1000;
constexpr std::int64_t kVideoScale = 90'000;
constexpr std::int64_t kAudioScale = 48'000;
constexpr std::int64_t kEpochS = 2'082'844'800;  // 1904-01-01, where MP4's dates begin, before 1970

std::string big_endian(std::uint64_t value, int bytes) {
    std::string out;
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
    return out;
}

std::string u16(std::uint64_t value) {
    return big_endian(value, 2);
}

std::string u32(std::uint64_t value) {
    return big_endian(value, 4);
}

std::string u64(std::uint64_t value) {
    return big_endian(value, 8);
}

std::string box(const char* name, const std::string& content) {
    return u32(content.size() + 8) + name + content;
}

std::string full_box(const char* name, int version, std::uint32_t flags, const std::string& content) {
    return box(name, u32(static_cast<std::uint32_t>(version) << 24 | flags) + content);
}

const std::string kMatrix =
    u32(0x10000) + u32(0) + u32(0) + u32(0) + u32(0x10000) + u32(0) + u32(0) + u32(0) + u32(0x40000000);

std::string descriptor(char tag, const std::string& content) {
    return tag + std::string("\x80\x80\x80") + static_cast<char>(content.size()) + content;  // less than 128
}

std::string sample_entry(const TrackInfo& track) {
    const std::string begin = std::string(6, '\0') + u16(1);
    if (track.is_video) {
        return box("avc1", begin + std::string(16, '\0') + u16(track.width) + u16(track.height) + u32(0x480000) +
                               u32(0x480000) + u32(0) + u16(1) + std::string(32, '\0') + u16(24) + u16(0xffff) +
                               box("avcC", track.codec_private));
    }
    const std::string decoder =
        std::string("\x40\x15") + std::string(3, '\0') + u32(0) + u32(0) + descriptor('\x05', track.codec_private);
    const std::string esds =
        descriptor('\x03', u16(1) + std::string(1, '\0') + descriptor('\x04', decoder) + descriptor('\x06', "\x02"));
    return box("mp4a", begin + u64(0) + u16(track.channels) + u16(16) + u32(0) + u32(kAudioScale << 16) +
                           full_box("esds", 0, 0, esds));
}

std::int64_t scale_of(const TrackInfo& track) {
    return track.is_video ? kVideoScale : kAudioScale;
}

std::string trak(const TrackInfo& track, std::size_t index, std::uint64_t created) {
    const std::string header = full_box("tkhd", 1, 3,
                                        u64(created) + u64(created) + u32(index + 1) + u32(0) + u64(0) + u64(0) +
                                            u16(0) + u16(0) + u16(track.is_video ? 0 : 0x100) + u16(0) + kMatrix +
                                            u32(static_cast<std::uint64_t>(track.width) << 16) +
                                            u32(static_cast<std::uint64_t>(track.height) << 16));
    const std::string media_header =
        full_box("mdhd", 1, 0,
                 u64(created) + u64(created) + u32(static_cast<std::uint64_t>(scale_of(track))) + u64(0) + u16(0x55c4) +
                     u16(0));  // "und"
    const std::string handler = full_box(
        "hdlr", 0, 0,
        u32(0) + (track.is_video ? "vide" : "soun") + std::string(12, '\0') + track.title + std::string(1, '\0'));
    const std::string tables =
        box("stbl", full_box("stsd", 0, 0, u32(1) + sample_entry(track)) + full_box("stts", 0, 0, u32(0)) +
                        full_box("stsc", 0, 0, u32(0)) + full_box("stsz", 0, 0, u32(0) + u32(0)) +
                        full_box("stco", 0, 0, u32(0)));
    const std::string kind = track.is_video ? full_box("vmhd", 0, 1, u64(0)) : full_box("smhd", 0, 0, u32(0));
    const std::string data = box("dinf", full_box("dref", 0, 0, u32(1) + full_box("url ", 0, 1, "")));
    return box("trak", header + box("mdia", media_header + handler + box("minf", kind + data + tables)));
}

class Mp4 : public RecordingContainer {
  public:
    std::string begin(const std::vector<TrackInfo>& tracks, const std::string& /*title*/,
                      std::int64_t at_wall_us) override {
        const auto created = static_cast<std::uint64_t>(at_wall_us / 1'000'000 + kEpochS);
        std::string out = box("ftyp", "iso5" + u32(512) + "iso5iso6mp41");
        std::string traks, trexs;
        for (std::size_t i = 0; i < tracks.size(); ++i) {
            traks += trak(tracks[i], i, created);
            trexs += full_box("trex", 0, 0, u32(i + 1) + u32(1) + u32(0) + u32(0) + u32(0));
            scales_.push_back(scale_of(tracks[i]));
        }
        held_.resize(tracks.size());
        const std::string movie =
            full_box("mvhd", 1, 0,
                     u64(created) + u64(created) + u32(kMovieScale) + u64(0) + u32(0x10000) + u16(0x100) +
                         std::string(10, '\0') + kMatrix + std::string(24, '\0') + u32(tracks.size() + 1));
        const std::string whole = box("moov", movie + traks + box("mvex", full_box("mehd", 1, 0, u64(0)) + trexs));
        // The length is the first thing in mvex: 8 of its header, 12 of mehd's.
        duration_at_ = out.size() + 8 + movie.size() + traks.size() + 8 + 12;
        return out + whole;
    }

    std::string piece(const std::vector<Packet>& packets) override {
        std::vector<std::vector<Sample>> samples(scales_.size());
        for (const auto& packet : packets) {
            // How long a sample lasts shows when the next one comes.
            auto& held = held_.at(packet.track);
            if (held) samples[packet.track].push_back({std::move(*held), packet.at_us});
            held = packet;
        }
        return fragment(samples);
    }

    std::string end(std::int64_t duration_us, std::vector<Patch>& patches) override {
        std::vector<std::vector<Sample>> samples(scales_.size());
        for (std::size_t i = 0; i < held_.size(); ++i) {
            if (!held_[i]) continue;
            const auto ends_us = std::max(held_[i]->at_us + held_[i]->duration_us, held_[i]->at_us + 1000);
            samples[i].push_back({std::move(*held_[i]), ends_us});
            held_[i].reset();
        }
        patches.push_back({duration_at_, u64(static_cast<std::uint64_t>(duration_us / 1000))});
        return fragment(samples);
    }

  private:
    struct Sample {
        Packet packet;
        std::int64_t ends_us;
    };

    std::uint64_t ticks(std::size_t track, std::int64_t us) const {
        return static_cast<std::uint64_t>((us * scales_[track] + 500'000) / 1'000'000);
    }

    std::string fragment(const std::vector<std::vector<Sample>>& samples) {
        std::string data;
        for (const auto& of_track : samples) {
            for (const auto& sample : of_track) data += sample.packet.data;
        }
        if (data.empty()) return {};
        ++number_;
        const std::size_t header = moof(samples, 0).size() + 8;  // its size does not depend on where the data is
        return moof(samples, header) + box("mdat", data);
    }

    std::string moof(const std::vector<std::vector<Sample>>& samples, std::size_t data_at) const {
        std::string content = full_box("mfhd", 0, 0, u32(number_));
        for (std::size_t i = 0; i < samples.size(); ++i) {
            if (samples[i].empty()) continue;
            std::string run = u32(samples[i].size()) + u32(data_at);
            for (const auto& [packet, ends_us] : samples[i]) {
                run += u32(ticks(i, ends_us) - ticks(i, packet.at_us)) + u32(packet.data.size()) +
                       u32(packet.is_key ? 0x02000000 : 0x01010000);
                data_at += packet.data.size();
            }
            content += box("traf", full_box("tfhd", 0, 0x020000, u32(i + 1)) +
                                       full_box("tfdt", 1, 0, u64(ticks(i, samples[i].front().packet.at_us))) +
                                       full_box("trun", 0, 0x000701, run));
        }
        return box("moof", content);
    }

    std::vector<std::int64_t> scales_;
    std::vector<std::optional<Packet>> held_;
    std::size_t duration_at_ = 0;
    std::uint32_t number_ = 0;
};

}  // namespace

std::unique_ptr<RecordingContainer> make_mp4() {
    return std::make_unique<Mp4>();
}

}  // namespace rtcagent
