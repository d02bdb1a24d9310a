// GStreamer itself: started once, asked for what it has.
#pragma once

#include <gst/gst.h>

#include <string>
#include <vector>

namespace rtcagent {

// Starts GStreamer at the first call; any thread. Every path into GStreamer goes through it.
void ensure_gstreamer();
std::string gstreamer_version();
// Elements that capturing needs and this machine lacks.
std::vector<std::string> missing_elements();

// A new element in `bin`, which owns it. NativeError names the missing element and the package that has it.
GstElement* add_element(GstBin* bin, const char* factory);
// NativeError when the two do not fit: a defect of ours, since the elements are fixed.
void link_elements(GstElement* from, GstElement* to);

}  // namespace rtcagent
