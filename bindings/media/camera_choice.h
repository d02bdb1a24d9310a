// Which of its formats a camera is opened in.
#pragma once

#include <string>
#include <vector>

#include "media/cameras.h"
#include "media/capture_settings.h"

namespace rtcagent {

// Fields that are empty or 0 are left to the driver.
struct CameraChoice {
    std::string pixel_format;
    int width = 0;
    int height = 0;
    double fps = 0;

    bool operator==(const CameraChoice&) const = default;
};

// The format that suits the output best within what the settings ask: one that gives its size at its rate, raw before
// MJPEG (which must be decoded) and small before large. NativeError FORMAT_UNSUPPORTED when the camera lacks what is
// asked.
CameraChoice choose(const std::vector<CameraFormat>& formats, const CaptureSettings& settings);

}  // namespace rtcagent
