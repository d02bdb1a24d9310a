// Binds recordings; see module.cpp.
#pragma once

#include <pybind11/pybind11.h>

namespace rtcagent {

void bind_recordings(pybind11::module_& m);

}  // namespace rtcagent
