"""The test machine's cameras: one vivid camera, built into its kernel, and any number of emulated USB cameras."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.parts.picture import Picture
from tests.vm.machine import HERE, GuestProcess, Machine

USB_NAME = "Acme USB Camera"
VIVID_LINK = "/dev/v4l/by-path/platform-vivid.0-video-index0"
_VIVID_DRIVER = "/sys/bus/platform/drivers/vivid"
_NODE_TIMEOUT = "--timeout=30"


def unplug_vivid(machine: Machine) -> None:
    machine.write(f"{_VIVID_DRIVER}/unbind", "vivid.0")
    machine.run("udevadm", "wait", _NODE_TIMEOUT, "--settle", "--removed", VIVID_LINK)


def plug_vivid(machine: Machine) -> None:
    machine.write(f"{_VIVID_DRIVER}/bind", "vivid.0")
    machine.run("udevadm", "wait", _NODE_TIMEOUT, "--settle", VIVID_LINK)


@contextlib.contextmanager
def vivid_unplugged(machine: Machine) -> Iterator[None]:
    unplug_vivid(machine)
    try:
        yield
    finally:
        plug_vivid(machine)


@contextlib.contextmanager
def usb_camera(machine: Machine, serial: str, folder: Path) -> Iterator[GuestProcess]:
    """A camera that is plugged in meanwhile. Stopping the process unplugs it earlier; `folder` takes its log."""
    link = f"/dev/v4l/by-id/usb-Acme_Acme_USB_Camera_{serial}-video-index0"
    with machine.process(
        "/usr/bin/python3", str(HERE / "guest" / "usbcam.py"), serial, log=folder / "usbcam.log"
    ) as camera:
        if camera.read_line() != "plugged":
            raise RuntimeError(f"the USB camera is not plugged in:\n{camera.log.read_text()}")
        machine.run("udevadm", "wait", _NODE_TIMEOUT, "--settle", link)
        yield camera
    machine.run("udevadm", "wait", _NODE_TIMEOUT, "--settle", "--removed", link)


def native(step: str, *arguments: str) -> list[str]:
    """The command that makes a step of guest/native.py with this very Python environment."""
    return [sys.executable, str(HERE / "guest" / "native.py"), step, *arguments]


def shows_ball(picture: Picture) -> bool:
    """A white ball on black: the USB camera's picture."""
    return bool(np.median(picture) < 40 and picture.max() > 180)


def shows_bars(picture: Picture) -> bool:
    """Colour bars: the vivid camera's picture."""
    row = picture[picture.shape[0] * 3 // 4].astype(int)
    return bool((row.max(axis=1) - row.min(axis=1) > 60).mean() > 0.4)
