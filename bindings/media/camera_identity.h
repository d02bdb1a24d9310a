// Who a camera is, from sysfs: names that stay when it gets another /dev/video number.
#pragma once

#include <string>

namespace rtcagent {

struct CameraIdentity {
    std::string device_id;  // of [A-Za-z0-9_.:-]
    std::string name;
    std::string usb_port;  // "1-2.3"; empty unless it is a USB device
    std::string serial;
    std::string driver;
};

// `node` is "video0"; `bus_info` is what the driver says of its place, for devices that are not on USB.
CameraIdentity identify_camera(const std::string& sysfs_root, const std::string& node, const std::string& bus_info);

}  // namespace rtcagent
