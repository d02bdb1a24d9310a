#include "media/recording_part.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "media/frame_clock.h"
#include "media/native_error.h"

namespace rtcagent {

namespace {

using namespace std::chrono_literals;

constexpr auto kTick = 250ms;
constexpr std::int64_t kPieceUs = 1'000'000;
constexpr std::int64_t kSyncUs = 2'000'000;
// Encoders are that late: what is younger waits for the next piece, so that pieces are in the order of time.
constexpr std::int64_t kSettleUs = 400'000;
constexpr std::int64_t kHeaderUs = 5'000'000;  // an encoder that gave nothing by then gives nothing
constexpr std::int64_t kFinishUs = 2'000'000;
constexpr std::size_t kMaxWaiting = 64 << 20;
// What a container adds, at the most: with these no limit is gone past, and the end has room.
constexpr std::int64_t kPieceOverhead = 8192;
constexpr std::int64_t kPacketOverhead = 24;

Failure disk_failure(const std::string& path, int error) {
    const std::string text = std::strerror(error);
    if (error == ENOSPC || error == EDQUOT) return {"DISK_LOW", "no space is left to write " + path};
    return {"FOLDER_UNUSABLE", "cannot write the recording " + path + ": " + text};
}

}  // namespace

RecordingPart::RecordingPart(std::string key, RecordingSettings settings, std::vector<RecordedTrackSpec> specs,
                             std::shared_ptr<EventQueue> events)
    : key_(std::move(key)), settings_(std::move(settings)), specs_(std::move(specs)), events_(std::move(events)) {
}

RecordingPart::~RecordingPart() {
    stop();
    tracks_.clear();  // their encoders' threads use what is destroyed before
}

void RecordingPart::start() {
    if (writer_.joinable() || fd_ >= 0) return;
    open();
    container_ = settings_.is_mp4 ? make_mp4() : make_matroska();
    begin_us_ = monotonic_us();
    try {
        make_tracks();
    } catch (...) {
        release_taps();
        tracks_.clear();
        ::close(std::exchange(fd_, -1));
        ::unlink(settings_.path.c_str());
        throw;
    }
    writer_ = std::thread([this] { run(); });
}

void RecordingPart::stop() {
    release_taps();
    if (!writer_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    wake_.notify_all();
    writer_.join();
    {
        const std::lock_guard lock(mutex_);
        packets_.clear();
    }
    ::close(std::exchange(fd_, -1));
    if (bytes_ == 0) ::unlink(settings_.path.c_str());  // there was nothing to be written
}

RecordingStats RecordingPart::stats() const {
    RecordingStats stats{.bytes = bytes_, .duration_us = end_us_, .tracks = {}};
    for (const auto& track : tracks_)
        stats.tracks.push_back(std::visit([](const auto& one) { return one->stats(); }, track));
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < stats.tracks.size(); ++i) stats.tracks[i].dropped += dropped_[i];
    return stats;
}

void RecordingPart::open() {
    struct statvfs disk {};
    const std::string folder = std::filesystem::path(settings_.path).parent_path();
    if (statvfs(folder.c_str(), &disk) != 0) throw NativeError(disk_failure(settings_.path, errno));
    if (static_cast<std::int64_t>(disk.f_bavail * disk.f_frsize) < settings_.min_free_bytes)
        throw NativeError("DISK_LOW", "the disk of " + folder + " has less free space than recordings must leave");
    // The group is the daemon's, which reads and deletes.
    fd_ = ::open(settings_.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd_ < 0) throw NativeError(disk_failure(settings_.path, errno));
    // The name must be on the disk too.
    if (const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); directory >= 0) {
        fsync(directory);
        ::close(directory);
    }
}

void RecordingPart::make_tracks() {
    needs_key_.resize(specs_.size());
    dropped_.resize(specs_.size());
    for (std::size_t i = 0; i < specs_.size(); ++i) {
        const auto on_packet = [this, i](Packet packet) { take(i, std::move(packet)); };
        const auto made = std::visit(
            [&](const auto& tap) -> Track { return tap->begin_track(settings_.is_mp4, begin_us_, on_packet); },
            specs_[i].tap);
        if (std::visit([](const auto& track) { return track == nullptr; }, made))
            throw NativeError("INTERNAL", "a stream is to be recorded before its first frame");
        const std::lock_guard lock(mutex_);
        tracks_.push_back(made);
    }
}

void RecordingPart::release_taps() {
    for (std::size_t i = 0; i < tracks_.size(); ++i) {
        if (const auto* video = std::get_if<std::shared_ptr<VideoTrack>>(&tracks_[i])) {
            std::get<std::shared_ptr<VideoRecordTap>>(specs_[i].tap)->end_track(*video);
        } else {
            std::get<std::shared_ptr<AudioRecordTap>>(specs_[i].tap)
                ->end_track(std::get<std::shared_ptr<AudioTrack>>(tracks_[i]));
        }
    }
}

RecordingEncoder& RecordingPart::encoder(std::size_t track) {
    return std::visit([](const auto& one) -> RecordingEncoder& { return one->encoder(); }, tracks_[track]);
}

void RecordingPart::take(std::size_t track, Packet packet) {
    packet.track = track;
    const std::lock_guard lock(mutex_);
    if (is_over_) return;
    if (waiting_bytes_ + packet.data.size() > kMaxWaiting) needs_key_[track] = true;
    if (needs_key_[track] && (!packet.is_key || waiting_bytes_ + packet.data.size() > kMaxWaiting)) {
        ++dropped_[track];
        return;
    }
    needs_key_[track] = false;
    waiting_bytes_ += packet.data.size();
    packets_.push_back(std::move(packet));
}

void RecordingPart::run() {
    std::int64_t piece_us = begin_us_, sync_us = begin_us_;
    while (true) {
        {
            std::unique_lock lock(mutex_);
            wake_.wait_for(lock, kTick, [this] { return is_stopping_; });
            if (is_stopping_) break;
            if (is_over_) continue;
        }
        const auto now_us = monotonic_us();
        keep_alive(now_us);
        if (!is_begun_ && !write_header()) continue;
        if (settings_.max_duration_us > 0 && now_us - begin_us_ >= settings_.max_duration_us) {
            complete("duration");
            continue;
        }
        if (now_us - piece_us < kPieceUs) continue;
        piece_us = now_us;
        std::vector<Packet> packets;
        {
            const std::lock_guard lock(mutex_);
            const auto until_us = now_us - begin_us_ - kSettleUs;
            std::stable_sort(packets_.begin(), packets_.end(),
                             [](const Packet& a, const Packet& b) { return a.at_us < b.at_us; });
            const auto end = std::find_if(packets_.begin(), packets_.end(),
                                          [&](const Packet& packet) { return packet.at_us > until_us; });
            packets.assign(std::make_move_iterator(packets_.begin()), std::make_move_iterator(end));
            packets_.erase(packets_.begin(), end);
            for (const auto& packet : packets) waiting_bytes_ -= packet.data.size();
        }
        if (!write_piece(std::move(packets))) continue;
        if (now_us - sync_us >= kSyncUs) {
            sync_us = now_us;
            if (fdatasync(fd_) != 0) fail(disk_failure(settings_.path, errno));
        }
    }
    if (!is_over()) complete(nullptr);
}

bool RecordingPart::is_over() const {
    const std::lock_guard lock(mutex_);
    return is_over_;
}

void RecordingPart::keep_alive(std::int64_t now_us) {
    for (std::size_t i = 0; i < tracks_.size(); ++i) {
        if (const auto failure = encoder(i).failure()) return fail(*failure);
        if (const auto* video = std::get_if<std::shared_ptr<VideoTrack>>(&tracks_[i])) {
            if (std::get<std::shared_ptr<VideoRecordTap>>(specs_[i].tap)->is_live()) (*video)->repeat(now_us);
        } else {
            std::get<std::shared_ptr<AudioTrack>>(tracks_[i])->fill(now_us);
        }
    }
}

// False while an encoder has not said yet what the header must tell.
bool RecordingPart::write_header() {
    std::vector<TrackInfo> infos;
    for (std::size_t i = 0; i < tracks_.size(); ++i) {
        if (!encoder(i).codec_private()) {
            if (monotonic_us() - begin_us_ > kHeaderUs)
                fail({"INTERNAL", "the encoder of " + specs_[i].title + " gives nothing"});
            return false;
        }
        infos.push_back(std::visit([](const auto& track) { return track->info(); }, tracks_[i]));
        infos.back().title = specs_[i].title;
        infos.back().tags = specs_[i].tags;
    }
    is_begun_ = true;
    const auto began_ago_us = monotonic_us() - begin_us_;
    return write_all(container_->begin(infos, settings_.title, wall_us() - began_ago_us));
}

bool RecordingPart::write_piece(std::vector<Packet> packets) {
    if (packets.empty()) return true;
    const std::int64_t left = settings_.max_bytes > 0 ? settings_.max_bytes - bytes_ : INT64_MAX;
    std::int64_t size = kPieceOverhead;
    std::int64_t ends_us = end_us_;
    std::size_t count = 0;
    for (const auto& packet : packets) {
        const auto whole = static_cast<std::int64_t>(packet.data.size()) + kPacketOverhead;
        if (size + whole > left) break;
        size += whole;
        ends_us = std::max(ends_us, packet.at_us + packet.duration_us);
        ++count;
    }
    const bool is_at_limit = count < packets.size();
    packets.resize(count);
    struct statvfs disk {};
    if (fstatvfs(fd_, &disk) == 0 &&
        static_cast<std::int64_t>(disk.f_bavail * disk.f_frsize) - size < settings_.min_free_bytes) {
        write_end();
        fail({"DISK_LOW", "the disk of " + settings_.path + " has less free space than recordings must leave"});
        return false;
    }
    if (!write_all(container_->piece(packets))) return false;
    end_us_ = ends_us;
    if (!is_at_limit) return true;
    write_end();
    over({.key = key_, .kind = "limit", .reason = {}, .message = "bytes"});
    return false;
}

bool RecordingPart::write_all(const std::string& bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        const auto count = ::write(fd_, bytes.data() + done, bytes.size() - done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            const int error = errno;
            // Half a piece is worse than none.
            if (ftruncate(fd_, bytes_) != 0 || lseek(fd_, bytes_, SEEK_SET) < 0) done = 0;
            fail(disk_failure(settings_.path, error));
            return false;
        }
        done += static_cast<std::size_t>(count);
    }
    bytes_ += static_cast<std::int64_t>(bytes.size());
    return true;
}

// Takes what the encoders still have, and brings the file to its end, for this limit or because it is stopped.
void RecordingPart::complete(const char* limit) {
    const auto end_us = monotonic_us();
    release_taps();
    for (const auto& track : tracks_) {
        if (const auto* audio = std::get_if<std::shared_ptr<AudioTrack>>(&track)) (*audio)->fill_up(end_us);
    }
    for (std::size_t i = 0; i < tracks_.size(); ++i) encoder(i).finish(kFinishUs);
    if (!is_begun_ && !write_header()) return;
    std::vector<Packet> packets;
    {
        const std::lock_guard lock(mutex_);
        packets.swap(packets_);
        waiting_bytes_ = 0;
    }
    std::stable_sort(packets.begin(), packets.end(),
                     [](const Packet& a, const Packet& b) { return a.at_us < b.at_us; });
    if (!write_piece(std::move(packets))) return;
    write_end();
    if (limit != nullptr) over({.key = key_, .kind = "limit", .reason = {}, .message = limit});
}

void RecordingPart::write_end() {
    std::vector<Patch> patches;
    if (!write_all(container_->end(end_us_, patches))) return;
    for (const auto& [offset, bytes] : patches) {
        if (pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)) < 0)
            return fail(disk_failure(settings_.path, errno));
    }
    if (fdatasync(fd_) != 0) fail(disk_failure(settings_.path, errno));
}

void RecordingPart::fail(Failure failure) {
    over({.key = key_, .kind = "failed", .reason = failure.reason, .message = failure.message});
}

void RecordingPart::over(Event event) {
    {
        const std::lock_guard lock(mutex_);
        if (std::exchange(is_over_, true)) return;
        packets_.clear();
        waiting_bytes_ = 0;
    }
    release_taps();
    events_->put(std::move(event));
}

}  // namespace rtcagent
