#include "audio_module.h"

#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <stdexcept>

#include "livekit/audio_processor.h"
#include "livekit/audio_sink.h"
#include "livekit/echo_reference.h"
#include "livekit/ffi.h"
#include "media/audio_capture.h"
#include "media/event_queue.h"
#include "media/recording_tap.h"

namespace py = pybind11;

namespace rtcagent {

namespace {

using NoGil = py::call_guard<py::gil_scoped_release>;

// Closing a source joins its streaming threads, and LiveKit may make those wait for a thread that wants the GIL: who
// drops a capture, the garbage collector included, must not hold it meanwhile.
struct DeleteWithoutGil {
    void operator()(AudioCapture* capture) const {
        const py::gil_scoped_release nogil;
        delete capture;
    }
};

}  // namespace

void bind_audio(py::module_& m) {
    py::class_<AudioSettings>(m, "AudioSettings")
        .def(py::init<>())
        .def_readwrite("device", &AudioSettings::device)
        .def_readwrite("file_path", &AudioSettings::file_path)
        .def_readwrite("loop", &AudioSettings::loop)
        .def_readwrite("plays", &AudioSettings::plays)
        .def_property(
            "application", [](const AudioSettings& self) { return self.only.name; },
            [](AudioSettings& self, std::string name) { self.only.name = std::move(name); })
        .def_property(
            "binary", [](const AudioSettings& self) { return self.only.binary; },
            [](AudioSettings& self, std::string binary) { self.only.binary = std::move(binary); })
        .def_property(
            "process_id", [](const AudioSettings& self) { return self.only.process_id; },
            [](AudioSettings& self, std::string process_id) { self.only.process_id = std::move(process_id); })
        .def_readwrite("tone_hz", &AudioSettings::tone_hz)
        .def_readwrite("tone_level_dbfs", &AudioSettings::tone_level_dbfs)
        .def_readwrite("channels", &AudioSettings::channels);
    py::class_<AudioLevel>(m, "AudioLevel")
        .def_readonly("peak_dbfs", &AudioLevel::peak_dbfs)
        .def_readonly("rms_dbfs", &AudioLevel::rms_dbfs)
        .def_readonly("linear", &AudioLevel::linear);
    py::class_<AudioCaptureStats>(m, "AudioCaptureStats")
        .def_readonly("frames_captured", &AudioCaptureStats::frames_captured)
        .def_readonly("longest_gap_us", &AudioCaptureStats::longest_gap_us)
        .def_readonly("fps", &AudioCaptureStats::fps);
    py::class_<AudioProcessor, std::shared_ptr<AudioProcessor>>(m, "AudioProcessor")
        .def(py::init<std::shared_ptr<Ffi>, Ffi::Handle, bool>(), py::arg("ffi").none(false), py::arg("module_handle"),
             py::arg("cancels_echo"));
    py::class_<AudioSinkStats>(m, "AudioSinkStats")
        .def_readonly("frames_pushed", &AudioSinkStats::frames_pushed)
        .def_readonly("frames_gated", &AudioSinkStats::frames_gated)
        .def_readonly("longest_gap_us", &AudioSinkStats::longest_gap_us)
        .def_readonly("last_pushed_us", &AudioSinkStats::last_pushed_us);
    py::class_<AudioSink, std::shared_ptr<AudioSink>>(m, "AudioSink")
        .def(py::init<std::string, std::shared_ptr<Ffi>, Ffi::Handle, int, std::shared_ptr<EventQueue>>(),
             py::arg("key"), py::arg("ffi").none(false), py::arg("source_handle"), py::arg("channels"),
             py::arg("events").none(false))
        .def("set_open", &AudioSink::set_open, py::arg("is_open"), NoGil())
        .def("stats", &AudioSink::stats, NoGil());
    py::class_<AudioCapture, std::unique_ptr<AudioCapture, DeleteWithoutGil>>(m, "AudioCapture")
        .def(py::init<std::string, AudioSettings, std::shared_ptr<EventQueue>>(), py::arg("key"), py::arg("settings"),
             py::arg("events").none(false))
        .def("start", &AudioCapture::start, NoGil())
        .def("stop", &AudioCapture::stop, NoGil())
        .def(
            "attach", [](AudioCapture& self, std::shared_ptr<AudioSink> sink) { self.attach(std::move(sink)); },
            py::arg("sink").none(false), NoGil())
        .def(
            "detach", [](AudioCapture& self, const std::shared_ptr<AudioSink>& sink) { self.detach(sink); },
            py::arg("sink").none(false), NoGil())
        .def(
            "attach", [](AudioCapture& self, std::shared_ptr<AudioRecordTap> tap) { self.attach(std::move(tap)); },
            py::arg("tap").none(false), NoGil())
        .def(
            "detach", [](AudioCapture& self, const std::shared_ptr<AudioRecordTap>& tap) { self.detach(tap); },
            py::arg("tap").none(false), NoGil())
        .def(
            "set_processing",
            [](AudioCapture& self, std::shared_ptr<AudioProcessor> processor) {
                self.set_processing(std::move(processor));
            },
            py::arg("processor").none(true), NoGil())
        .def("set_volume", &AudioCapture::set_volume, py::arg("percent"), NoGil())
        .def("stats", &AudioCapture::stats, NoGil())
        .def("level", &AudioCapture::level, NoGil());
    m.def(
        "push_echo_reference",
        [](const py::bytes& samples, int rate, int channels) {
            const std::string_view bytes = samples;
            if (bytes.size() != sizeof(std::int16_t) * static_cast<std::size_t>(rate / 100 * channels))
                throw std::invalid_argument("the reference is given in frames of 10 ms");
            const py::gil_scoped_release nogil;
            EchoReference::instance().push(reinterpret_cast<const std::int16_t*>(bytes.data()), rate, channels);
        },
        py::arg("samples"), py::arg("rate"), py::arg("channels"));
}

}  // namespace rtcagent
