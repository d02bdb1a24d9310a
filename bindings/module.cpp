// The Python objects of rtcagentd.engine._native; what they do is elsewhere. No media thread calls Python.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "audio_module.h"
#include "canvas_module.h"
#include "livekit/ffi.h"
#include "livekit/frame_sink.h"
#include "livekit/received_frames.h"
#include "media/audio_mixer.h"
#include "media/audio_output.h"
#include "media/camera_choice.h"
#include "media/camera_identity.h"
#include "media/cameras.h"
#include "media/capture.h"
#include "media/event_queue.h"
#include "media/gstreamer.h"
#include "media/native_error.h"
#include "media/recording_tap.h"
#include "media/screen_list.h"
#include "media/slate.h"
#include "media/video_tap.h"
#include "recording_module.h"

namespace py = pybind11;
using namespace rtcagent;

namespace {

using NoGil = py::call_guard<py::gil_scoped_release>;

// Closing a source joins its streaming threads, and LiveKit may make those wait for a thread that wants the GIL: who
// drops a capture or an output, the garbage collector included, must not hold it meanwhile.
struct DeleteWithoutGil {
    template <typename T>
    void operator()(T* object) const {
        const py::gil_scoped_release nogil;
        delete object;
    }
};

// As for a capture; but the last owner of a slate may be a capture, whose end comes without the GIL.
struct DeleteSlate {
    void operator()(Slate* slate) const {
        const std::unique_ptr<Slate> owned(slate);
        if (PyGILState_Check() == 0) return;
        const py::gil_scoped_release nogil;
        slate->close();
    }
};

// The process-wide taker of frames, held by reference: dropping the Python object changes nothing.
struct ReceivedFramesHandle {
    ReceivedFrames& frames;
};

void bind_errors(py::module_& m) {
    static py::handle native_error = py::exception<NativeError>(m, "NativeError").release();
    py::register_exception_translator([](std::exception_ptr thrown) {
        try {
            if (thrown) std::rethrow_exception(thrown);
        } catch (const NativeError& error) {
            py::set_error(native_error, py::make_tuple(error.reason(), error.what()));
        }
    });
}

void bind_cameras(py::module_& m) {
    py::class_<CameraFormat>(m, "CameraFormat")
        .def(py::init<>())
        .def_readwrite("pixel_format", &CameraFormat::pixel_format)
        .def_readwrite("fourcc", &CameraFormat::fourcc)
        .def_readwrite("width", &CameraFormat::width)
        .def_readwrite("height", &CameraFormat::height)
        .def_readwrite("fps", &CameraFormat::fps);
    py::class_<Camera>(m, "Camera")
        .def_readonly("device_id", &Camera::device_id)
        .def_readonly("name", &Camera::name)
        .def_readonly("path", &Camera::path)
        .def_readonly("usb_port", &Camera::usb_port)
        .def_readonly("serial", &Camera::serial)
        .def_readonly("driver", &Camera::driver)
        .def_readonly("formats", &Camera::formats);
    m.def("list_cameras", &list_cameras, NoGil());
    py::class_<CameraIdentity>(m, "CameraIdentity")
        .def_readonly("device_id", &CameraIdentity::device_id)
        .def_readonly("name", &CameraIdentity::name)
        .def_readonly("usb_port", &CameraIdentity::usb_port)
        .def_readonly("serial", &CameraIdentity::serial)
        .def_readonly("driver", &CameraIdentity::driver);
    m.def("identify_camera", &identify_camera, py::arg("sysfs_root"), py::arg("node"), py::arg("bus_info"), NoGil());
    py::class_<CameraChoice>(m, "CameraChoice")
        .def_readonly("pixel_format", &CameraChoice::pixel_format)
        .def_readonly("width", &CameraChoice::width)
        .def_readonly("height", &CameraChoice::height)
        .def_readonly("fps", &CameraChoice::fps);
    m.def("choose_camera_format", &choose, py::arg("formats"), py::arg("settings"));
}

void bind_events(py::module_& m) {
    py::class_<Event>(m, "Event")
        .def_readonly("key", &Event::key)
        .def_readonly("kind", &Event::kind)
        .def_readonly("width", &Event::width)
        .def_readonly("height", &Event::height)
        .def_readonly("fps", &Event::fps)
        .def_readonly("reason", &Event::reason)
        .def_readonly("message", &Event::message);
    py::class_<EventQueue, std::shared_ptr<EventQueue>>(m, "EventQueue")
        .def(py::init<>())
        .def_property_readonly("fd", &EventQueue::fd)
        .def("drain", &EventQueue::drain, NoGil());
}

void bind_screens(py::module_& m) {
    py::class_<Rect>(m, "Rect")
        .def(py::init<int, int, int, int>(), py::arg("x") = 0, py::arg("y") = 0, py::arg("width") = 0,
             py::arg("height") = 0)
        .def_readwrite("x", &Rect::x)
        .def_readwrite("y", &Rect::y)
        .def_readwrite("width", &Rect::width)
        .def_readwrite("height", &Rect::height);
    py::class_<ScreenEntry>(m, "ScreenEntry")
        .def_readonly("is_window", &ScreenEntry::is_window)
        .def_readonly("id", &ScreenEntry::id)
        .def_readonly("title", &ScreenEntry::title)
        .def_readonly("application", &ScreenEntry::application)
        .def_readonly("area", &ScreenEntry::area)
        .def_readonly("is_primary", &ScreenEntry::is_primary)
        .def_readonly("is_minimised", &ScreenEntry::is_minimised)
        .def_property_readonly("thumbnail", [](const ScreenEntry& entry) { return py::bytes(entry.thumbnail); });
    m.def("list_screens", &list_screens, py::arg("display"), py::arg("thumbnail_width"), NoGil());
}

void bind_settings(py::module_& m) {
    py::class_<CaptureSettings>(m, "CaptureSettings")
        .def(py::init<>())
        .def_readwrite("device_path", &CaptureSettings::device_path)
        .def_readwrite("pixel_format", &CaptureSettings::pixel_format)
        .def_readwrite("device_width", &CaptureSettings::device_width)
        .def_readwrite("device_height", &CaptureSettings::device_height)
        .def_readwrite("device_fps", &CaptureSettings::device_fps)
        .def_readwrite("rtsp_url", &CaptureSettings::rtsp_url)
        .def_readwrite("rtsp_latency_ms", &CaptureSettings::rtsp_latency_ms)
        .def_readwrite("file_path", &CaptureSettings::file_path)
        .def_readwrite("loop", &CaptureSettings::loop)
        .def_readwrite("pattern", &CaptureSettings::pattern)
        .def_readwrite("x11_display", &CaptureSettings::x11_display)
        .def_readwrite("monitor", &CaptureSettings::monitor)
        .def_readwrite("window", &CaptureSettings::window)
        .def_readwrite("window_tag", &CaptureSettings::window_tag)
        .def_readwrite("pipewire_fd", &CaptureSettings::pipewire_fd)
        .def_readwrite("pipewire_node", &CaptureSettings::pipewire_node)
        .def_readwrite("region", &CaptureSettings::region)
        .def_readwrite("pointer", &CaptureSettings::pointer)
        .def_readwrite("width", &CaptureSettings::width)
        .def_readwrite("height", &CaptureSettings::height)
        .def_readwrite("fps", &CaptureSettings::fps)
        .def_readwrite("rotation", &CaptureSettings::rotation)
        .def_readwrite("mirror", &CaptureSettings::mirror);
}

void bind_capture(py::module_& m) {
    py::class_<CaptureStats>(m, "CaptureStats")
        .def_readonly("frames_captured", &CaptureStats::frames_captured)
        .def_readonly("frames_dropped", &CaptureStats::frames_dropped)
        .def_readonly("longest_gap_us", &CaptureStats::longest_gap_us)
        .def_readonly("fps", &CaptureStats::fps)
        .def_readonly("max_fps", &CaptureStats::max_fps)
        .def_readonly("width", &CaptureStats::width)
        .def_readonly("height", &CaptureStats::height);
    py::class_<Snapshot>(m, "Snapshot")
        .def_property_readonly("image", [](const Snapshot& s) { return py::bytes(s.image); })
        .def_readonly("width", &Snapshot::width)
        .def_readonly("height", &Snapshot::height)
        .def_readonly("captured_at_us", &Snapshot::captured_at_us);
    py::class_<Capture, std::unique_ptr<Capture, DeleteWithoutGil>>(m, "Capture")
        .def(py::init<std::string, CaptureSettings, std::shared_ptr<EventQueue>>(), py::arg("key"), py::arg("settings"),
             py::arg("events").none(false))
        .def("set_slate", &Capture::set_slate, py::arg("slate"), NoGil())
        .def("start", &Capture::start, NoGil())
        .def("stop", &Capture::stop, NoGil())
        .def(
            "attach", [](Capture& self, std::shared_ptr<FrameSink> sink) { self.attach(std::move(sink)); },
            py::arg("sink").none(false), NoGil())
        .def(
            "detach", [](Capture& self, const std::shared_ptr<FrameSink>& sink) { self.detach(sink); },
            py::arg("sink").none(false), NoGil())
        .def("update", &Capture::update, py::arg("settings"), NoGil())
        .def(
            "attach", [](Capture& self, std::shared_ptr<VideoTap> tap) { self.attach(std::move(tap)); },
            py::arg("tap").none(false), NoGil())
        .def(
            "detach", [](Capture& self, const std::shared_ptr<VideoTap>& tap) { self.detach(tap); },
            py::arg("tap").none(false), NoGil())
        .def(
            "attach", [](Capture& self, std::shared_ptr<VideoRecordTap> tap) { self.attach(std::move(tap)); },
            py::arg("tap").none(false), NoGil())
        .def(
            "detach", [](Capture& self, const std::shared_ptr<VideoRecordTap>& tap) { self.detach(tap); },
            py::arg("tap").none(false), NoGil())
        .def("stats", &Capture::stats, NoGil())
        .def("snapshot", &Capture::snapshot, py::arg("image_format"), py::arg("mirrored") = false, NoGil());
}

void bind_slate(py::module_& m) {
    py::class_<SlateSettings>(m, "SlateSettings")
        .def(py::init<>())
        .def_readwrite("title", &SlateSettings::title)
        .def_readwrite("text", &SlateSettings::text)
        .def_readwrite("picture_path", &SlateSettings::picture_path)
        .def_readwrite("width", &SlateSettings::width)
        .def_readwrite("height", &SlateSettings::height);
    py::class_<Slate, std::shared_ptr<Slate>>(m, "Slate")
        .def(py::init([](std::string key, SlateSettings settings, std::shared_ptr<EventQueue> events) {
                 auto slate = std::make_unique<Slate>(std::move(key), std::move(settings), std::move(events));
                 return std::shared_ptr<Slate>(slate.release(), DeleteSlate{});
             }),
             py::arg("key"), py::arg("settings"), py::arg("events").none(false))
        .def("show", &Slate::show, NoGil())
        .def("hide", &Slate::hide, NoGil())
        .def_property_readonly("is_shown", &Slate::is_shown)
        .def_property_readonly("size", &Slate::size)
        .def(
            "attach", [](Slate& self, std::shared_ptr<FrameSink> sink) { self.attach(std::move(sink)); },
            py::arg("sink").none(false), NoGil())
        .def(
            "detach", [](Slate& self, const std::shared_ptr<FrameSink>& sink) { self.detach(sink); },
            py::arg("sink").none(false), NoGil())
        .def("close", &Slate::close, NoGil());
}

void bind_playback(py::module_& m) {
    py::class_<RemoteLevel>(m, "RemoteLevel")
        .def_readonly("rms_dbfs", &RemoteLevel::rms_dbfs)
        .def_readonly("peak_dbfs", &RemoteLevel::peak_dbfs)
        .def_readonly("voice", &RemoteLevel::voice)
        .def_readonly("frames", &RemoteLevel::frames);
    py::class_<MixerInputStats>(m, "MixerInputStats")
        .def_readonly("frames", &MixerInputStats::frames)
        .def_readonly("gaps", &MixerInputStats::gaps)
        .def_readonly("dropped", &MixerInputStats::dropped)
        .def_readonly("waiting_ms", &MixerInputStats::waiting_ms);
    py::class_<MixerInput, std::shared_ptr<MixerInput>>(m, "MixerInput")
        .def(
            "push",
            [](MixerInput& self, const py::bytes& samples, int channels) {
                const std::string_view data(samples);
                self.push(reinterpret_cast<const std::int16_t*>(data.data()),
                          data.size() / sizeof(std::int16_t) / static_cast<std::size_t>(channels), channels);
            },
            py::arg("samples"), py::arg("channels"))
        .def("tell_first", &MixerInput::tell_first, py::arg("key"), py::arg("events").none(false), NoGil())
        .def("set_gain", &MixerInput::set_gain, py::arg("gain"), NoGil())
        .def("level", &MixerInput::level, NoGil())
        .def("stats", &MixerInput::stats, NoGil());
    py::class_<AudioMixer, std::shared_ptr<AudioMixer>>(m, "AudioMixer")
        .def(py::init<>())
        .def("add", &AudioMixer::add, NoGil())
        .def("remove", &AudioMixer::remove, py::arg("input"), NoGil())
        .def("set_gain", &AudioMixer::set_gain, py::arg("gain"), NoGil())
        .def("set_tone", &AudioMixer::set_tone, py::arg("frequency"), py::arg("amplitude"), NoGil())
        .def("mix", [](AudioMixer& self) {
            std::string frame(kMixSamples * sizeof(std::int16_t), '\0');
            self.mix(reinterpret_cast<std::int16_t*>(frame.data()));
            return py::bytes(frame);
        });
    py::class_<OutputStats>(m, "OutputStats")
        .def_readonly("frames", &OutputStats::frames)
        .def_readonly("longest_gap_us", &OutputStats::longest_gap_us);
    py::class_<AudioOutput, std::unique_ptr<AudioOutput, DeleteWithoutGil>>(m, "AudioOutput")
        .def(
            py::init([](std::string key, std::string device, std::string stream, std::string description, int buffer_ms,
                        bool is_reference, std::shared_ptr<AudioMixer> mixer, std::shared_ptr<EventQueue> events) {
                const OutputSettings settings{.device = std::move(device),
                                              .stream = std::move(stream),
                                              .description = std::move(description),
                                              .buffer_ms = buffer_ms,
                                              .is_reference = is_reference};
                return std::unique_ptr<AudioOutput, DeleteWithoutGil>(
                    new AudioOutput(std::move(key), settings, std::move(mixer), std::move(events)));
            }),
            py::kw_only(), py::arg("key"), py::arg("device"), py::arg("stream"), py::arg("description"),
            py::arg("buffer_ms"), py::arg("is_reference"), py::arg("mixer").none(false), py::arg("events").none(false))
        .def("start", &AudioOutput::start, NoGil())
        .def("stop", &AudioOutput::stop, NoGil())
        .def("stats", &AudioOutput::stats, NoGil());
}

void bind_livekit(py::module_& m) {
    py::class_<Ffi, std::shared_ptr<Ffi>>(m, "Ffi").def(py::init<std::uintptr_t, std::uintptr_t>(),
                                                        py::arg("request_address"), py::arg("drop_handle_address"));
    py::class_<FrameSinkStats>(m, "FrameSinkStats")
        .def_readonly("frames_pushed", &FrameSinkStats::frames_pushed)
        .def_readonly("frames_gated", &FrameSinkStats::frames_gated)
        .def_readonly("longest_gap_us", &FrameSinkStats::longest_gap_us)
        .def_readonly("slate_frames_pushed", &FrameSinkStats::slate_frames_pushed)
        .def_readonly("last_pushed_us", &FrameSinkStats::last_pushed_us);
    py::class_<FrameSink, std::shared_ptr<FrameSink>>(m, "FrameSink")
        .def(py::init<std::string, std::shared_ptr<Ffi>, Ffi::Handle, std::shared_ptr<EventQueue>>(), py::arg("key"),
             py::arg("ffi").none(false), py::arg("source_handle"), py::arg("events").none(false))
        .def("set_open", &FrameSink::set_open, py::arg("is_open"), NoGil())
        .def("stats", &FrameSink::stats, NoGil());
    py::class_<ReceivedStats>(m, "ReceivedStats")
        .def_readonly("frames_received", &ReceivedStats::frames_received)
        .def_readonly("width", &ReceivedStats::width)
        .def_readonly("height", &ReceivedStats::height)
        .def_readonly("longest_gap_us", &ReceivedStats::longest_gap_us);
    py::class_<ReceivedFramesHandle>(m, "ReceivedFrames")
        .def(py::init([](const Ffi& ffi, std::uintptr_t python) {
                 return std::make_unique<ReceivedFramesHandle>(
                     ReceivedFramesHandle{ReceivedFrames::instance(ffi, python)});
             }),
             py::arg("ffi"), py::arg("python_callback_address"))
        .def_property_readonly("callback_address",
                               [](const ReceivedFramesHandle&) { return ReceivedFrames::callback_address(); })
        .def(
            "watch", [](const ReceivedFramesHandle& self, Ffi::Handle stream) { self.frames.watch(stream); },
            py::arg("stream_handle"), NoGil())
        .def(
            "unwatch", [](const ReceivedFramesHandle& self, Ffi::Handle stream) { self.frames.unwatch(stream); },
            py::arg("stream_handle"), NoGil())
        .def(
            "listen",
            [](const ReceivedFramesHandle& self, Ffi::Handle stream, std::shared_ptr<MixerInput> input) {
                self.frames.listen(stream, std::move(input));
            },
            py::arg("stream_handle"), py::arg("input").none(false), NoGil())
        .def(
            "unlisten", [](const ReceivedFramesHandle& self, Ffi::Handle stream) { self.frames.unlisten(stream); },
            py::arg("stream_handle"), NoGil())
        .def(
            "attach",
            [](const ReceivedFramesHandle& self, Ffi::Handle stream, std::shared_ptr<VideoTap> tap) {
                self.frames.attach(stream, std::move(tap));
            },
            py::arg("stream_handle"), py::arg("tap").none(false), NoGil())
        .def(
            "detach",
            [](const ReceivedFramesHandle& self, Ffi::Handle stream, const std::shared_ptr<VideoTap>& tap) {
                self.frames.detach(stream, tap);
            },
            py::arg("stream_handle"), py::arg("tap").none(false), NoGil())
        .def(
            "attach",
            [](const ReceivedFramesHandle& self, Ffi::Handle stream, std::shared_ptr<VideoRecordTap> tap) {
                self.frames.attach(stream, std::move(tap));
            },
            py::arg("stream_handle"), py::arg("tap").none(false), NoGil())
        .def(
            "detach",
            [](const ReceivedFramesHandle& self, Ffi::Handle stream, const std::shared_ptr<VideoRecordTap>& tap) {
                self.frames.detach(stream, tap);
            },
            py::arg("stream_handle"), py::arg("tap").none(false), NoGil())
        .def(
            "attach_sound",
            [](const ReceivedFramesHandle& self, Ffi::Handle stream, std::shared_ptr<AudioRecordTap> tap) {
                self.frames.attach_sound(stream, std::move(tap));
            },
            py::arg("stream_handle"), py::arg("tap").none(false), NoGil())
        .def(
            "detach_sound",
            [](const ReceivedFramesHandle& self, Ffi::Handle stream, const std::shared_ptr<AudioRecordTap>& tap) {
                self.frames.detach_sound(stream, tap);
            },
            py::arg("stream_handle"), py::arg("tap").none(false), NoGil())
        .def(
            "stats", [](const ReceivedFramesHandle& self, Ffi::Handle stream) { return self.frames.stats(stream); },
            py::arg("stream_handle"), NoGil())
        .def(
            "snapshot",
            [](const ReceivedFramesHandle& self, Ffi::Handle stream, const std::string& image_format) {
                return self.frames.snapshot(stream, image_format);
            },
            py::arg("stream_handle"), py::arg("image_format"), NoGil());
}

}  // namespace

PYBIND11_MODULE(_native, m) {
    m.doc() = "Native media: capture graphs (GStreamer) and the frame path into and out of LiveKit's FFI.";
    bind_errors(m);
    m.def("gstreamer_version", &gstreamer_version, NoGil());
    m.def("missing_elements", &missing_elements, NoGil());
    bind_cameras(m);
    bind_events(m);
    bind_screens(m);
    bind_settings(m);
    bind_playback(m);
    bind_livekit(m);
    bind_slate(m);
    bind_canvases(m);
    bind_recordings(m);
    bind_capture(m);
    bind_audio(m);
}
