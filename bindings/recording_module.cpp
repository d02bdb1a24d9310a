// The Python objects of recordings; see module.cpp.
#include "recording_module.h"

#include <pybind11/stl.h>

#include <memory>
#include <string_view>
#include <utility>

#include "media/recording_part.h"
#include "media/recording_tap.h"

namespace py = pybind11;

namespace rtcagent {

namespace {

using NoGil = py::call_guard<py::gil_scoped_release>;

// Completing a file joins threads, and waits for the disk.
struct DeleteWithoutGil {
    void operator()(RecordingPart* part) const {
        const py::gil_scoped_release nogil;
        delete part;
    }
};

}  // namespace

void bind_recordings(py::module_& m) {
    py::class_<VideoRecordTap, std::shared_ptr<VideoRecordTap>>(m, "VideoRecordTap")
        .def(py::init<std::string, std::shared_ptr<EventQueue>>(), py::arg("key"), py::arg("events").none(false))
        .def("forget_newest", &VideoRecordTap::forget_newest, NoGil());
    py::class_<AudioRecordTap, std::shared_ptr<AudioRecordTap>>(m, "AudioRecordTap")
        .def(py::init<std::string, std::shared_ptr<EventQueue>>(), py::arg("key"), py::arg("events").none(false));
    py::class_<RecordedStats>(m, "RecordedStats")
        .def_readonly("frames", &RecordedStats::frames)
        .def_readonly("dropped", &RecordedStats::dropped);
    py::class_<RecordingStats>(m, "RecordingStats")
        .def_readonly("bytes", &RecordingStats::bytes)
        .def_readonly("duration_us", &RecordingStats::duration_us)
        .def_readonly("tracks", &RecordingStats::tracks);
    py::class_<RecordedTrackSpec>(m, "RecordedTrackSpec")
        .def(py::init([](decltype(RecordedTrackSpec::tap) tap, std::string title,
                         std::vector<std::pair<std::string, std::string>> tags) {
                 return RecordedTrackSpec{std::move(tap), std::move(title), std::move(tags)};
             }),
             py::arg("tap"), py::arg("title"), py::arg("tags"));
    py::class_<RecordingPart, std::unique_ptr<RecordingPart, DeleteWithoutGil>>(m, "RecordingPart")
        .def(py::init([](std::string key, std::string path, std::string title, bool is_mp4, std::int64_t max_bytes,
                         std::int64_t max_duration_us, std::int64_t min_free_bytes,
                         std::vector<RecordedTrackSpec> tracks, std::shared_ptr<EventQueue> events) {
                 RecordingSettings settings{.path = std::move(path),
                                            .title = std::move(title),
                                            .is_mp4 = is_mp4,
                                            .max_bytes = max_bytes,
                                            .max_duration_us = max_duration_us,
                                            .min_free_bytes = min_free_bytes};
                 return std::unique_ptr<RecordingPart, DeleteWithoutGil>(
                     new RecordingPart(std::move(key), std::move(settings), std::move(tracks), std::move(events)));
             }),
             py::kw_only(), py::arg("key"), py::arg("path"), py::arg("title"), py::arg("is_mp4"), py::arg("max_bytes"),
             py::arg("max_duration_us"), py::arg("min_free_bytes"), py::arg("tracks"), py::arg("events").none(false))
        .def("start", &RecordingPart::start, NoGil())
        .def("stop", &RecordingPart::stop, NoGil())
        .def("stats", &RecordingPart::stats, NoGil());
}

}  // namespace rtcagent
