"""What `rtcctl devices` and `rtcctl slots` show."""

from collections.abc import Sequence

from rtcagent.v1.devices_pb2 import SlotStatus
from rtcagent.v1.state_pb2 import SoundStatus
from rtcagent.v1.types_pb2 import CameraFormat, Device, PixelFormat

from rtcagent_client.rtcctl.render import phrases
from rtcagent_client.rtcctl.render.agent import match_text
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import enum_word


def show_devices(devices: Sequence[Device], sound: SoundStatus, screen: Screen, *, with_formats: bool) -> None:
    """A table of each kind, and what there is to say about sound."""
    cameras = [device for device in devices if device.kind not in (Device.KIND_MICROPHONE, Device.KIND_SPEAKER)]
    if not cameras:
        screen.line("there is no camera; `rtcctl camera on --test-pattern` captures a test picture")
    elif with_formats:
        _show_formats(cameras, screen)
    else:
        largest = [(*_place(device), _largest(device.formats)) for device in cameras]
        _table(("CAMERA", "NAME", "WHERE", "USB PORT", "LARGEST FORMAT"), largest, screen)
    for kind, title in ((Device.KIND_MICROPHONE, "MICROPHONE"), (Device.KIND_SPEAKER, "SPEAKER")):
        rows = [
            (*_place(device), device.alsa_card or "-", "default" if device.is_default else "")
            for device in devices
            if device.kind == kind
        ]
        if rows:
            screen.line()
            _table((title, "NAME", "WHERE", "USB PORT", "ALSA CARD", ""), rows, screen)
    _show_sound(sound, screen)


def _show_sound(sound: SoundStatus, screen: Screen) -> None:
    if not sound.ByteSize():
        return  # the engine has not told it yet
    screen.line()
    if sound.connected:
        screen.line(screen.paint(f"sound through {sound.server}", "dim"))
        return
    cards = (
        f"cards without it: {', '.join(sound.alsa_cards)}" if sound.alsa_cards else "the kernel knows no card either"
    )
    screen.line(screen.paint(f"no sound: {sound.problem or 'not known yet'} ({cards})", "yellow"))
    if sound.alsa_cards:
        screen.line("with bare ALSA nothing of sound works here: neither microphone, nor speakers, nor screen audio")


def _place(device: Device) -> tuple[str, str, str, str]:
    here = "here" if device.kind in (Device.KIND_MICROPHONE, Device.KIND_SPEAKER) else device.path
    return device.device_id, device.name, here if device.present else "absent", device.usb_port or "-"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], screen: Screen) -> None:
    screen.table([tuple(screen.paint(cell, "dim") for cell in header), *rows])


def _show_formats(cameras: Sequence[Device], screen: Screen) -> None:
    for device in cameras:
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
        rows.append(
            (slot.name, ", ".join(status.device_ids) or status.device_id or "no device that is plugged in", matches)
        )
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
