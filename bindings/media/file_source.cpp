#include "media/file_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>

#include "media/gstreamer.h"

namespace rtcagent {

void require_readable_file(const std::string& path) {
    // O_NONBLOCK: opening a pipe must not wait for its other end.
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) throw NativeError("URL_INVALID", path + ": " + std::generic_category().message(errno));
    struct stat status {};
    const bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    close(fd);
    if (!regular) throw NativeError("URL_INVALID", path + " is not a regular file");
}

void FileSource::add_to(GstBin* graph, GstElement* head) {
    require_readable_file(settings_.file_path);
    GstElement* file = add_element(graph, "filesrc");
    g_object_set(file, "location", settings_.file_path.c_str(), nullptr);
    link_elements(file, add_decoder(graph, head, media_));
}

Failure FileSource::explain(const GError& error, const char* detail, bool had_frames) const {
    const bool unknown_kind = error.domain == GST_STREAM_ERROR && (error.code == GST_STREAM_ERROR_TYPE_NOT_FOUND ||
                                                                   error.code == GST_STREAM_ERROR_WRONG_TYPE);
    const bool no_decoder = error.domain == GST_CORE_ERROR && error.code == GST_CORE_ERROR_MISSING_PLUGIN;
    const std::string words = settings_.file_path + ": " + in_words(error, detail);
    // What is not looked for counts as undecodable here.
    const char* looked_for = media_ == Media::kVideo ? "video" : "sound";
    if (no_decoder) return {"URL_INVALID", words + "; it has no " + looked_for + " that this machine can decode"};
    const bool not_media = unknown_kind || (!had_frames && error.domain == GST_STREAM_ERROR);
    return {not_media ? "URL_INVALID" : "CAPTURE_FAILED", words};
}

void FileSource::begin(GstElement* graph) {
    if (!settings_.loop) return;
    rewinder_ = std::jthread([this, graph](const std::stop_token& stopping) { rewind_on_demand(stopping, graph); });
}

void FileSource::end() {
    if (!rewinder_.joinable()) return;
    rewinder_.request_stop();
    rewinder_.join();
}

bool FileSource::restarts(End end) {
    if (!settings_.loop) return false;
    {
        const std::lock_guard lock(mutex_);
        request_ = end;
    }
    asked_.notify_one();
    return true;
}

void FileSource::rewind_on_demand(const std::stop_token& stopping, GstElement* graph) {
    using namespace std::chrono_literals;
    auto last = std::chrono::steady_clock::time_point{};
    std::unique_lock lock(mutex_);
    while (asked_.wait(lock, stopping, [this] { return request_.has_value(); })) {
        const auto end = *request_;
        request_.reset();
        // A file of a single frame would otherwise be read as fast as the processor can.
        asked_.wait_until(lock, stopping, last + 30ms, [] { return false; });
        if (stopping.stop_requested()) return;
        last = std::chrono::steady_clock::now();
        lock.unlock();
        // With SEGMENT the next end is told when all is read, so that the beginning joins on without a flush and
        // without a gap. What does not know segments ends by being shown, and is flushed.
        const int flags = GST_SEEK_FLAG_SEGMENT | (end == End::kShown ? GST_SEEK_FLAG_FLUSH : GST_SEEK_FLAG_NONE);
        const bool done =
            gst_element_seek(graph, 1.0, GST_FORMAT_TIME, static_cast<GstSeekFlags>(flags), GST_SEEK_TYPE_SET, 0,
                             GST_SEEK_TYPE_NONE, static_cast<gint64>(GST_CLOCK_TIME_NONE));
        if (!done)
            GST_ELEMENT_ERROR(graph, STREAM, FAILED, ("It cannot be played again from its beginning."), (nullptr));
        lock.lock();
    }
}

}  // namespace rtcagent
