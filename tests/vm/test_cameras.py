"""Native capture from real V4L2 drivers: a vivid camera and a USB camera in an emulated machine."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.vm.cameras import USB_NAME, native, plug_vivid, unplug_vivid, usb_camera, vivid_unplugged
from tests.vm.machine import GuestProcess, Machine

pytestmark = pytest.mark.timeout(120, func_only=True)  # building and booting the machine aside

SERIAL = "CAM0001"
FRAME_COUNT = 10


@pytest.fixture
def usb(machine: Machine, tmp_path: Path) -> Iterator[GuestProcess]:
    with usb_camera(machine, SERIAL, tmp_path) as camera:
        yield camera


def facts(machine: Machine, step: str, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in machine.run(*native(step, *arguments)).splitlines()]


def cameras(machine: Machine) -> dict[str, dict[str, Any]]:
    """The cameras by their driver."""
    return {camera["driver"]: camera for camera in facts(machine, "list")}


def next_fact(process: GuestProcess) -> dict[str, Any]:
    return json.loads(process.read_line())  # type: ignore[no-any-return]


@pytest.mark.usefixtures("usb")
def test_cameras_are_found_with_their_formats(machine: Machine) -> None:
    found = cameras(machine)
    assert sorted(found) == ["uvcvideo", "vivid"], found  # once each, though each has several nodes

    vivid, usb = found["vivid"], found["uvcvideo"]
    assert usb["name"].startswith(USB_NAME)  # uvcvideo may repeat it
    assert usb["serial"] == SERIAL
    assert usb["usb_port"]
    assert sorted(usb["formats"]) == [["MJPEG", 320, 240, [15]], ["MJPEG", 640, 480, [15]], ["YUYV", 320, 240, [15]]]
    assert not vivid["serial"]
    assert not vivid["usb_port"]
    assert {"YUYV", "NV12"} <= {pixel_format for pixel_format, *_ in vivid["formats"]}
    assert [320, 180] in [[width, height] for _, width, height, _ in vivid["formats"]]


def test_device_ids_outlast_replugging_under_other_numbers(machine: Machine, tmp_path: Path) -> None:
    with vivid_unplugged(machine):
        pass  # and plugged in again alone: it has the first number, whatever was before
    with usb_camera(machine, SERIAL, tmp_path):
        before = cameras(machine)
    with contextlib.ExitStack() as plugged:
        with vivid_unplugged(machine):
            assert cameras(machine) == {}
            plugged.enter_context(usb_camera(machine, SERIAL, tmp_path))  # takes the number that vivid had
        after = cameras(machine)

    for driver in ("vivid", "uvcvideo"):
        assert after[driver]["path"] != before[driver]["path"]
        assert after[driver]["device_id"] == before[driver]["device_id"]
    assert len({camera["device_id"] for camera in before.values()}) == 2


def test_two_cameras_of_one_kind_have_ids_of_their_own(machine: Machine, tmp_path: Path) -> None:
    with usb_camera(machine, "CAM0001", tmp_path), usb_camera(machine, "CAM0002", tmp_path):
        ids = {camera["serial"]: camera["device_id"] for camera in facts(machine, "list") if camera["serial"]}
    assert sorted(ids) == ["CAM0001", "CAM0002"]
    assert len(set(ids.values())) == 2


@pytest.mark.usefixtures("usb")
@pytest.mark.parametrize(
    ("driver", "pixel_format"),
    [("vivid", ""), ("vivid", "NV12"), ("uvcvideo", ""), ("uvcvideo", "YUYV"), ("uvcvideo", "MJPEG")],
)
def test_capture_at_320x240(machine: Machine, driver: str, pixel_format: str) -> None:
    path = cameras(machine)[driver]["path"]
    (captured,) = facts(machine, "capture", path, pixel_format, str(FRAME_COUNT))
    assert captured["frames"] >= FRAME_COUNT, captured
    assert (captured["width"], captured["height"]) == (320, 240)
    assert captured["picture"] == [320, 240]
    assert "first_frame" in captured["events"]
    assert "failed" not in captured["events"]


@pytest.mark.usefixtures("usb")
@pytest.mark.parametrize("driver", ["vivid", "uvcvideo"])
def test_a_camera_in_use_is_refused_and_free_afterwards(machine: Machine, driver: str, tmp_path: Path) -> None:
    path = cameras(machine)[driver]["path"]
    with machine.process(*native("follow", path), log=tmp_path / "user.log") as user:
        assert next_fact(user)["kind"] == "first_frame"
        (refusal,) = facts(machine, "capture", path, "", "1")
        assert refusal["refused"] == "DEVICE_BUSY", refusal
        assert user.is_running()
    (captured,) = facts(machine, "capture", path, "", "1")
    assert captured["frames"] >= 1


def test_a_format_that_the_camera_lacks_is_refused(machine: Machine) -> None:
    path = cameras(machine)["vivid"]["path"]
    (refusal,) = facts(machine, "capture", path, "MJPEG", "1")
    assert refusal["refused"] == "FORMAT_UNSUPPORTED", refusal


@pytest.mark.parametrize("driver", ["vivid", "uvcvideo"])
def test_unplugging_while_frames_flow_is_told(machine: Machine, usb: GuestProcess, driver: str, tmp_path: Path) -> None:
    path = cameras(machine)[driver]["path"]
    with machine.process(*native("follow", path), log=tmp_path / "follow.log") as follower:
        assert next_fact(follower)["kind"] == "first_frame"
        if driver == "vivid":
            unplug_vivid(machine)
        else:
            usb.stop()
        try:
            end = next_fact(follower)
        finally:
            if driver == "vivid":
                plug_vivid(machine)
    assert end["kind"] == "failed"
    assert end["reason"] == "DEVICE_UNPLUGGED", end
    assert end["message"]
