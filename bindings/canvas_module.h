#pragma once

#include <pybind11/pybind11.h>

namespace rtcagent {

void bind_canvases(pybind11::module_& m);

}  // namespace rtcagent
