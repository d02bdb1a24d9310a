#include "media/camera_identity.h"

#include <glib.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <memory>
#include <system_error>

namespace rtcagent {

namespace fs = std::filesystem;

namespace {

std::string read_attribute(const fs::path& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back())) != 0) line.pop_back();
    // A device may say anything of itself.
    const std::unique_ptr<gchar, decltype(&g_free)> valid(g_utf8_make_valid(line.c_str(), -1), &g_free);
    return valid.get();
}

std::string only_id_characters(std::string text) {
    std::replace_if(
        text.begin(), text.end(),
        [](unsigned char c) { return std::isalnum(c) == 0 && c != '_' && c != '.' && c != ':' && c != '-'; }, '_');
    return text;
}

fs::path resolved(const fs::path& path) {
    std::error_code ignored;
    return fs::canonical(path, ignored);
}

}  // namespace

CameraIdentity identify_camera(const std::string& sysfs_root, const std::string& node, const std::string& bus_info) {
    const fs::path entry = fs::path(sysfs_root) / "class/video4linux" / node;
    CameraIdentity identity;
    identity.name = read_attribute(entry / "name");
    const std::string index = read_attribute(entry / "index");
    const std::string suffix = "-video-index" + (index.empty() ? "0" : index);
    const fs::path device = resolved(entry / "device");  // a USB interface, or the device itself
    identity.driver = resolved(device / "driver").filename();

    const fs::path usb = device.parent_path();
    const std::string vendor = read_attribute(usb / "idVendor");
    if (!device.empty() && !vendor.empty()) {
        identity.usb_port = usb.filename();
        identity.serial = read_attribute(usb / "serial");
        std::string id = "usb-" + vendor + ":" + read_attribute(usb / "idProduct") + "-";
        id += identity.serial.empty() ? "port-" + identity.usb_port : identity.serial;
        // A camera with an infrared twin has both on interfaces of one device, each counting its nodes from 0.
        const std::string interface = read_attribute(device / "bInterfaceNumber");
        if (!interface.empty() && interface != "00") id += "-if" + interface;
        identity.device_id = only_id_characters(id + suffix);
        return identity;
    }
    std::string place = bus_info.empty() ? identity.driver + "-" + device.filename().string() : bus_info;
    std::replace(place.begin(), place.end(), ':', '-');
    identity.device_id = only_id_characters(place + suffix);
    return identity;
}

}  // namespace rtcagent
