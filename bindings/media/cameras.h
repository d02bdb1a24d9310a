// The cameras of this machine, as V4L2 shows them.
#pragma once

#include <string>
#include <vector>

namespace rtcagent {

struct CameraFormat {
    std::string pixel_format;  // "YUYV", ..., or "OTHER"
    std::string fourcc;
    int width = 0;
    int height = 0;
    std::vector<double> fps;
};

struct Camera {
    std::string device_id;
    std::string name;
    std::string path;
    std::string usb_port;
    std::string serial;
    std::string driver;
    std::vector<CameraFormat> formats;
};

std::vector<Camera> list_cameras();

// The formats of a camera that is about to be opened. NativeError when it is not there (DEVICE_ABSENT), streams to
// another program (DEVICE_BUSY) or may not be opened (CAPTURE_FAILED).
std::vector<CameraFormat> formats_of_free_camera(const std::string& path);

// False once it is unplugged, even while its node is still there.
bool is_camera_there(const std::string& path);

}  // namespace rtcagent
