// The part of rtcagentd.engine._native that is about captured sound.
#pragma once

#include <pybind11/pybind11.h>

namespace rtcagent {

// After EventQueue and Ffi were bound.
void bind_audio(pybind11::module_& m);

}  // namespace rtcagent
