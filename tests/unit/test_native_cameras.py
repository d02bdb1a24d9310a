"""Cameras: who they are, from a made-up sysfs, and which of their formats is chosen."""

from pathlib import Path

import pytest
from rtcagentd.engine import _native

from tests.parts.media_events import settings_of


class Sysfs:
    """A folder laid out as /sys is."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def file(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")

    def node(self, name: str, device: Path, driver: str, *, index: int = 0, title: str = "Camera") -> None:
        entry = self.root / "class" / "video4linux" / name
        self.file(entry / "name", title)
        self.file(entry / "index", str(index))
        device.mkdir(parents=True, exist_ok=True)
        (entry / "device").symlink_to(device)
        drivers = self.root / "bus" / "drivers" / driver
        drivers.mkdir(parents=True, exist_ok=True)
        if not (device / "driver").exists():
            (device / "driver").symlink_to(drivers)

    def usb(self, port: str, vendor: str, product: str, serial: str | None, interface: str = "00") -> Path:
        device = self.root / "devices" / "pci0000:00" / "usb1" / port
        self.file(device / "idVendor", vendor)
        self.file(device / "idProduct", product)
        if serial is not None:
            self.file(device / "serial", serial)
        self.file(device / f"{port}:1.{int(interface)}" / "bInterfaceNumber", interface)
        return device / f"{port}:1.{int(interface)}"

    def identify(self, node: str, bus_info: str = "") -> _native.CameraIdentity:
        return _native.identify_camera(str(self.root), node, bus_info)


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path)


def test_a_usb_camera_is_known_by_its_serial_at_any_port(sysfs: Sysfs) -> None:
    sysfs.node("video0", sysfs.usb("1-2", "046d", "0825", "A1 B2/C3"), "uvcvideo", title="HD Webcam: front")
    sysfs.node("video4", sysfs.usb("1-3.1", "046d", "0825", "A1 B2/C3"), "uvcvideo")
    one, other = sysfs.identify("video0"), sysfs.identify("video4")
    assert one.device_id == other.device_id == "usb-046d:0825-A1_B2_C3-video-index0"
    assert (one.name, one.usb_port, one.serial, one.driver) == ("HD Webcam: front", "1-2", "A1 B2/C3", "uvcvideo")
    assert other.usb_port == "1-3.1"


def test_a_usb_camera_without_a_serial_is_known_by_its_port(sysfs: Sysfs) -> None:
    sysfs.node("video0", sysfs.usb("1-2.3", "0ac8", "3420", None), "uvcvideo")
    assert sysfs.identify("video0").device_id == "usb-0ac8:3420-port-1-2.3-video-index0"


def test_several_nodes_of_one_camera_differ(sysfs: Sysfs) -> None:
    colour = sysfs.usb("1-5", "04f2", "b6be", "0001")
    infrared = sysfs.usb("1-5", "04f2", "b6be", "0001", interface="02")
    sysfs.node("video0", colour, "uvcvideo")
    sysfs.node("video1", colour, "uvcvideo", index=1)
    sysfs.node("video2", infrared, "uvcvideo")
    assert [sysfs.identify(f"video{number}").device_id for number in range(3)] == [
        "usb-04f2:b6be-0001-video-index0",
        "usb-04f2:b6be-0001-video-index1",
        "usb-04f2:b6be-0001-if02-video-index0",
    ]


def test_a_camera_that_is_not_on_usb_is_known_by_its_place(sysfs: Sysfs) -> None:
    sysfs.node("video0", sysfs.root / "devices" / "platform" / "vivid.0", "vivid", title="vivid-000-vid-cap")
    identity = sysfs.identify("video0", "platform:vivid-000")
    assert identity.device_id == "platform-vivid-000-video-index0"
    assert (identity.usb_port, identity.serial, identity.driver) == ("", "", "vivid")
    assert sysfs.identify("video0").device_id == "vivid-vivid.0-video-index0"


def test_what_a_device_says_of_itself_may_be_no_text(sysfs: Sysfs) -> None:
    device = sysfs.usb("1-2", "046d", "0825", "x")
    (device.parent / "serial").write_bytes(b"\xff\xfe\x00\x01")
    sysfs.node("video0", device, "uvcvideo")
    identity = sysfs.identify("video0")
    assert identity.device_id.isascii()


def test_listing_cameras_works_on_a_machine_without_one() -> None:
    for camera in _native.list_cameras():
        assert camera.device_id
        assert camera.path.startswith("/dev/video")


def test_a_camera_that_is_not_there_is_absent() -> None:
    capture = _native.Capture("camera", settings_of(device_path="/dev/video-none"), _native.EventQueue())
    with pytest.raises(_native.NativeError) as refused:
        capture.start()
    assert refused.value.args[0] == "DEVICE_ABSENT"
    assert "/dev/video-none" in refused.value.args[1]


def test_a_file_that_is_no_camera_is_refused() -> None:
    capture = _native.Capture("camera", settings_of(device_path="/dev/null"), _native.EventQueue())
    with pytest.raises(_native.NativeError) as refused:
        capture.start()
    assert refused.value.args[0] == "CAPTURE_FAILED"


def offered(*entries: tuple[str, int, int, list[float]]) -> list[_native.CameraFormat]:
    formats = []
    for pixel_format, width, height, fps in entries:
        each = _native.CameraFormat()
        each.pixel_format, each.width, each.height, each.fps = pixel_format, width, height, fps
        formats.append(each)
    return formats


WEBCAM = offered(
    ("YUYV", 640, 480, [15.0, 30.0]),
    ("YUYV", 640, 360, [30.0]),
    ("YUYV", 1280, 720, [5.0, 10.0]),
    ("YUYV", 1920, 1080, [5.0]),
    ("MJPEG", 640, 480, [30.0]),
    ("MJPEG", 1280, 720, [15.0, 30.0, 60.0]),
    ("MJPEG", 1920, 1080, [30.0]),
    ("OTHER", 1280, 720, [30.0]),
)


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ({}, ("MJPEG", 1280, 720, 30.0)),  # raw is too slow at this size
        ({"width": 1280, "height": 720, "fps": 10.0}, ("YUYV", 1280, 720, 10.0)),
        ({"width": 640, "height": 360, "fps": 30.0}, ("YUYV", 640, 360, 30.0)),
        ({"width": 320, "height": 240, "fps": 12.0}, ("YUYV", 640, 360, 30.0)),
        ({"width": 640, "height": 480, "fps": 15.0}, ("YUYV", 640, 480, 15.0)),
        ({"width": 1280, "height": 720, "fps": 50.0}, ("MJPEG", 1280, 720, 60.0)),
        ({"width": 3840, "height": 2160, "fps": 30.0}, ("MJPEG", 1920, 1080, 30.0)),
        ({"width": 360, "height": 640, "fps": 30.0, "rotation": 90}, ("YUYV", 640, 360, 30.0)),
        ({"width": 1280, "height": 720, "fps": 30.0, "pixel_format": "YUYV"}, ("YUYV", 640, 480, 30.0)),
        ({"width": 640, "height": 360, "device_width": 1920, "device_height": 1080}, ("MJPEG", 1920, 1080, 30.0)),
        ({"width": 1280, "height": 720, "device_fps": 14.99}, ("MJPEG", 1280, 720, 15.0)),
    ],
)
def test_the_format_suits_the_output(wanted: dict[str, object], chosen: tuple[str, int, int, float]) -> None:
    settings = settings_of(**({"width": 0, "height": 0, "fps": 0.0} | wanted))
    choice = _native.choose_camera_format(WEBCAM, settings)
    assert (choice.pixel_format, choice.width, choice.height, choice.fps) == chosen


@pytest.mark.parametrize(
    "asked",
    [
        {"pixel_format": "NV12"},
        {"device_width": 800, "device_height": 600},
        {"pixel_format": "YUYV", "device_width": 1280, "device_fps": 30.0},
        {"device_fps": 24.0},
    ],
)
def test_a_format_that_the_camera_lacks_is_refused(asked: dict[str, object]) -> None:
    with pytest.raises(_native.NativeError) as refused:
        _native.choose_camera_format(WEBCAM, settings_of(device_path="/dev/video0", **asked))
    assert refused.value.args[0] == "FORMAT_UNSUPPORTED"


def test_a_camera_that_lists_nothing_is_opened_as_asked() -> None:
    choice = _native.choose_camera_format([], settings_of(pixel_format="NV12", device_width=800))
    assert (choice.pixel_format, choice.width, choice.height, choice.fps) == ("NV12", 800, 0, 0.0)
