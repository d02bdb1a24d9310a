#include "media/cameras.h"

#include <fcntl.h>
#include <linux/videodev2.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "media/camera_identity.h"
#include "media/native_error.h"

namespace rtcagent {

namespace {

class Device {
  public:
    explicit Device(const std::string& path)
        : fd_(open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC)), error_(fd_ < 0 ? errno : 0) {}
    ~Device() {
        if (fd_ >= 0) close(fd_);
    }
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    bool is_open() const { return fd_ >= 0; }
    int error() const { return error_; }  // of the last call that failed
    template <typename T>
    bool call(unsigned long request, T& argument) {
        int result = 0;
        do {
            result = ioctl(fd_, request, &argument);
        } while (result < 0 && errno == EINTR);
        if (result < 0) error_ = errno;
        return result >= 0;
    }

  private:
    int fd_;
    int error_;
};

constexpr std::array<std::pair<__u32, const char*>, 9> kPixelFormats = {{
    {V4L2_PIX_FMT_YUYV, "YUYV"},
    {V4L2_PIX_FMT_UYVY, "UYVY"},
    {V4L2_PIX_FMT_NV12, "NV12"},
    {V4L2_PIX_FMT_YUV420, "I420"},
    {V4L2_PIX_FMT_RGB24, "RGB24"},
    {V4L2_PIX_FMT_BGR24, "BGR24"},
    {V4L2_PIX_FMT_MJPEG, "MJPEG"},
    {V4L2_PIX_FMT_JPEG, "MJPEG"},
    {V4L2_PIX_FMT_GREY, "GREY"},
}};

const char* name_of(__u32 fourcc) {
    for (const auto& [code, name] : kPixelFormats) {
        if (code == fourcc) return name;
    }
    return "OTHER";
}

std::string text_of(__u32 fourcc) {
    std::string text;
    for (int shift = 0; shift < 32; shift += 8) {
        const char c = static_cast<char>(fourcc >> shift & 0x7F);
        if (c > ' ') text += c;
    }
    return text;
}

// Of devices that scale freely (capture cards, virtual cameras), what people ask for.
constexpr std::array<std::pair<__u32, __u32>, 8> kCommonSizes = {
    {{320, 180}, {320, 240}, {640, 360}, {640, 480}, {1280, 720}, {1920, 1080}, {2560, 1440}, {3840, 2160}}};
constexpr std::array kCommonRates = {5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 50.0, 60.0};
constexpr __u32 kMostEntries = 1000;  // a driver that never says "no more" must not hang us

bool fits(__u32 value, __u32 least, __u32 most, __u32 step) {
    return value >= least && value <= most && (step == 0 || (value - least) % step == 0);
}

std::vector<std::pair<int, int>> sizes_of(Device& device, __u32 fourcc) {
    std::vector<std::pair<int, int>> sizes;
    for (__u32 i = 0; i < kMostEntries; ++i) {
        v4l2_frmsizeenum size{};
        size.index = i;
        size.pixel_format = fourcc;
        if (!device.call(VIDIOC_ENUM_FRAMESIZES, size)) break;
        if (size.type == V4L2_FRMSIZE_TYPE_DISCRETE) {
            sizes.emplace_back(size.discrete.width, size.discrete.height);
            continue;
        }
        const auto& range = size.stepwise;
        for (const auto& [width, height] : kCommonSizes) {
            if (fits(width, range.min_width, range.max_width, range.step_width) &&
                fits(height, range.min_height, range.max_height, range.step_height)) {
                sizes.emplace_back(width, height);
            }
        }
        break;
    }
    if (sizes.empty()) {  // a driver that does not list them: what it is set to
        v4l2_format format{};
        format.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        if (device.call(VIDIOC_G_FMT, format) && format.fmt.pix.pixelformat == fourcc) {
            sizes.emplace_back(format.fmt.pix.width, format.fmt.pix.height);
        }
    }
    return sizes;
}

double seconds(const v4l2_fract& interval) {
    return interval.denominator == 0 ? 0 : static_cast<double>(interval.numerator) / interval.denominator;
}

std::vector<double> rates_of(Device& device, __u32 fourcc, int width, int height) {
    std::vector<double> rates;
    for (__u32 i = 0; i < kMostEntries; ++i) {
        v4l2_frmivalenum interval{};
        interval.index = i;
        interval.pixel_format = fourcc;
        interval.width = static_cast<__u32>(width);
        interval.height = static_cast<__u32>(height);
        if (!device.call(VIDIOC_ENUM_FRAMEINTERVALS, interval)) break;
        if (interval.type == V4L2_FRMIVAL_TYPE_DISCRETE) {
            if (const double s = seconds(interval.discrete); s > 0) rates.push_back(1 / s);
            continue;
        }
        const double shortest = seconds(interval.stepwise.min), longest = seconds(interval.stepwise.max);
        for (const double rate : kCommonRates) {
            if (1 / rate >= shortest * 0.999 && 1 / rate <= longest * 1.001) rates.push_back(rate);
        }
        break;
    }
    std::sort(rates.begin(), rates.end());
    rates.erase(std::unique(rates.begin(), rates.end()), rates.end());
    return rates;
}

std::vector<CameraFormat> formats_of(Device& device) {
    std::vector<CameraFormat> formats;
    for (__u32 i = 0; i < kMostEntries; ++i) {
        v4l2_fmtdesc description{};
        description.index = i;
        description.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        if (!device.call(VIDIOC_ENUM_FMT, description)) break;
        const auto fourcc = description.pixelformat;
        for (const auto& [width, height] : sizes_of(device, fourcc)) {
            formats.push_back(
                {name_of(fourcc), text_of(fourcc), width, height, rates_of(device, fourcc, width, height)});
        }
    }
    return formats;
}

template <std::size_t n>
std::string text_of(const __u8 (&field)[n]) {
    const auto* text = reinterpret_cast<const char*>(field);
    return {text, strnlen(text, n)};
}

bool captures_video(const v4l2_capability& capability) {
    const auto caps = capability.capabilities & V4L2_CAP_DEVICE_CAPS ? capability.device_caps : capability.capabilities;
    return (caps & V4L2_CAP_VIDEO_CAPTURE) != 0 && (caps & V4L2_CAP_STREAMING) != 0;
}

}  // namespace

std::vector<Camera> list_cameras() {
    std::vector<std::string> nodes;
    std::error_code none;  // no such folder: no camera
    for (const auto& entry : std::filesystem::directory_iterator("/sys/class/video4linux", none)) {
        if (entry.path().filename().string().starts_with("video")) nodes.push_back(entry.path().filename());
    }
    std::sort(nodes.begin(), nodes.end(), [](const auto& a, const auto& b) {
        return std::pair(a.size(), a) < std::pair(b.size(), b);  // video2 before video10
    });
    std::vector<Camera> cameras;
    for (const auto& node : nodes) {
        const std::string path = "/dev/" + node;
        Device device(path);
        v4l2_capability capability{};
        std::vector<CameraFormat> formats;
        if (device.is_open()) {
            if (!device.call(VIDIOC_QUERYCAP, capability) || !captures_video(capability)) continue;
            formats = formats_of(device);
        } else if (device.error() == ENOENT || device.error() == ENODEV || device.error() == ENXIO) {
            continue;  // unplugged a moment ago
        }
        auto identity = identify_camera("/sys", node, text_of(capability.bus_info));
        if (device.is_open()) identity.driver = text_of(capability.driver);
        cameras.push_back({identity.device_id, identity.name, path, identity.usb_port, identity.serial, identity.driver,
                           std::move(formats)});
    }
    // Cheap cameras of one kind share a serial number: then the port tells them apart. The one at the lowest port keeps
    // its plain name, so that the first one plugged in is not renamed by the second at a higher one.
    std::stable_sort(cameras.begin(), cameras.end(),
                     [](const auto& a, const auto& b) { return a.usb_port < b.usb_port; });
    std::set<std::string> taken;
    for (auto& camera : cameras) {
        if (!taken.insert(camera.device_id).second) {
            camera.device_id += "-port-" + (camera.usb_port.empty() ? camera.path.substr(5) : camera.usb_port);
            taken.insert(camera.device_id);
        }
    }
    return cameras;
}

std::vector<CameraFormat> formats_of_free_camera(const std::string& path) {
    Device device(path);
    v4l2_capability capability{};
    if (!device.is_open() || !device.call(VIDIOC_QUERYCAP, capability)) {
        const auto why = path + ": " + std::generic_category().message(device.error());
        switch (device.error()) {
            case ENOENT:
            case ENODEV:
            case ENXIO:
                throw NativeError("DEVICE_ABSENT", why);
            case EBUSY:
                throw NativeError("DEVICE_BUSY", why);
            default:
                throw NativeError("CAPTURE_FAILED", why);
        }
    }
    if (!captures_video(capability)) throw NativeError("CAPTURE_FAILED", path + " is not a camera");
    // Several programs may have a camera open, one may stream: who asks for buffers is told.
    v4l2_requestbuffers request{};
    request.count = 1;
    request.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    request.memory = V4L2_MEMORY_MMAP;
    if (!device.call(VIDIOC_REQBUFS, request) && device.error() == EBUSY) {
        throw NativeError("DEVICE_BUSY", path + " is in use by another program");
    }
    request.count = 0;
    device.call(VIDIOC_REQBUFS, request);
    return formats_of(device);
}

bool is_camera_there(const std::string& path) {
    Device device(path);
    v4l2_capability capability{};
    return (device.is_open() && device.call(VIDIOC_QUERYCAP, capability)) ||
           (device.error() != ENOENT && device.error() != ENODEV && device.error() != ENXIO);
}

}  // namespace rtcagent
