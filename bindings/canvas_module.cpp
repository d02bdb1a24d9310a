// The Python objects of canvases; see module.cpp.
#include "canvas_module.h"

#include <pybind11/stl.h>

#include <memory>
#include <utility>

#include "media/canvas_stage.h"
#include "media/video_tap.h"

namespace py = pybind11;

namespace rtcagent {

namespace {

using NoGil = py::call_guard<py::gil_scoped_release>;

// Stopping joins the stage's thread, which may wait for a lock that a thread with the GIL holds.
struct DeleteWithoutGil {
    void operator()(CanvasStage* stage) const {
        const py::gil_scoped_release nogil;
        delete stage;
    }
};

}  // namespace

void bind_canvases(py::module_& m) {
    py::class_<VideoTap, std::shared_ptr<VideoTap>>(m, "VideoTap")
        .def(py::init<std::string, std::shared_ptr<EventQueue>>(), py::arg("key"), py::arg("events").none(false))
        .def("clear", &VideoTap::clear, NoGil());
    py::class_<DisplayInfo>(m, "DisplayInfo")
        .def_readonly("display_id", &DisplayInfo::display_id)
        .def_readonly("kind", &DisplayInfo::kind)
        .def_readonly("description", &DisplayInfo::description)
        .def_readonly("x", &DisplayInfo::x)
        .def_readonly("y", &DisplayInfo::y)
        .def_readonly("width", &DisplayInfo::width)
        .def_readonly("height", &DisplayInfo::height)
        .def_readonly("has_geometry", &DisplayInfo::has_geometry)
        .def_readonly("has_order", &DisplayInfo::has_order)
        .def_readonly("missing", &DisplayInfo::missing)
        .def_readonly("is_primary", &DisplayInfo::is_primary);
    py::class_<CanvasSpec>(m, "CanvasSpec")
        .def(py::init<>())
        .def_readwrite("canvas_id", &CanvasSpec::canvas_id)
        .def_readwrite("display", &CanvasSpec::display)
        .def(
            "set_rect",
            [](CanvasSpec& spec, int x, int y, int width, int height) {
                spec.rect = {x, y, width, height};
            },
            py::arg("x"), py::arg("y"), py::arg("width"), py::arg("height"))
        .def_readwrite("fit", &CanvasSpec::fit)
        .def_readwrite("mirror", &CanvasSpec::mirror)
        .def_readwrite("background_rgb", &CanvasSpec::background_rgb)
        .def_readwrite("tap", &CanvasSpec::tap)
        .def_readwrite("label", &CanvasSpec::label)
        .def_readwrite("title", &CanvasSpec::title)
        .def_readwrite("border_rgb", &CanvasSpec::border_rgb)
        .def_readwrite("border", &CanvasSpec::border);
    py::class_<StageStats>(m, "StageStats")
        .def_readonly("presented", &StageStats::presented)
        .def_readonly("latency_us", &StageStats::latency_us);
    py::class_<CanvasStage, std::unique_ptr<CanvasStage, DeleteWithoutGil>>(m, "CanvasStage")
        .def(py::init([](std::string key, const std::string& wayland, const std::string& x11,
                         std::shared_ptr<EventQueue> events) {
                 const py::gil_scoped_release nogil;
                 return std::unique_ptr<CanvasStage, DeleteWithoutGil>(
                     new CanvasStage(std::move(key), wayland, x11, std::move(events)));
             }),
             py::arg("key"), py::arg("wayland"), py::arg("x11"), py::arg("events").none(false))
        .def("displays", &CanvasStage::displays, NoGil())
        .def("set_scene", &CanvasStage::set_scene, py::arg("canvases"), NoGil())
        .def("stats", &CanvasStage::stats, NoGil())
        .def("stop", &CanvasStage::stop, NoGil());
}

}  // namespace rtcagent
