"""What `rtcctl devices` and `rtcctl slots` show."""

from collections.abc import Sequence

from rtcagent.v1.devices_pb2 import SlotStatus
from rtcagent.v1.types_pb2 import CameraFormat, Device, PixelFormat

from rtcagent_client.rtcctl.render import phrases
from rtcagent_client.rtcctl.render.agent import match_text
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import enum_word


def show_devices(devices: Sequence[Device], screen: Screen, *, with_formats: bool) -> None:
    if not devices:
        screen.line("there is no camera; `rtcctl camera on --test-pattern` captures a test picture")
        return
    header = ("DEVICE", "NAME", "WHERE", "USB PORT", "LARGEST FORMAT")
    rows = [
        (
            device.device_id,
            device.name,
            device.path if device.present else "absent",
            device.usb_port or "-",
            _largest(device.formats),
        )
        for device in devices
    ]
    if not with_formats:
        screen.table([tuple(screen.paint(cell, "dim") for cell in header), *rows])
        return
    for device in devices:
        details = phrases.joined(
            device.path if device.present else "absent",
            f"USB port {device.usb_port}" if device.usb_port else "",
            f"serial {device.serial}" if device.serial else "",
            device.driver,
        )
        screen.line(f"{screen.paint(device.device_id, 'bold')}  {device.name} ({details})")
        screen.table(
            [
                (_pixel_format(one), f"{one.width}x{one.height}", " ".join(f"{fps:.4g}" for fps in one.fps) + " fps")
                for one in device.formats
            ],
            indent="  ",
        )


def show_slots(slots: Sequence[SlotStatus], screen: Screen) -> None:
    if not slots:
        screen.line("there is no slot: see rtcctl slot set")
        return
    rows = [("SLOT", "STANDS FOR", "MATCHES")]
    for status in slots:
        slot = status.slot.slot
        matches = " or ".join(match_text(match) for match in slot.matches)
        rows.append((slot.name, status.device_id or "no device that is plugged in", matches))
    screen.table([tuple(screen.paint(cell, "dim") for cell in rows[0]), *rows[1:]])


def _pixel_format(one: CameraFormat) -> str:
    if one.pixel_format in (PixelFormat.PIXEL_FORMAT_UNSPECIFIED, PixelFormat.PIXEL_FORMAT_OTHER):
        return one.fourcc
    return enum_word(PixelFormat, one.pixel_format)


def _largest(formats: Sequence[CameraFormat]) -> str:
    if not formats:
        return "-"
    one = max(formats, key=lambda candidate: (candidate.width * candidate.height, max(candidate.fps, default=0)))
    fps = f" {max(one.fps):.4g} fps" if one.fps else ""
    return f"{one.width}x{one.height}{fps} {_pixel_format(one)}"
