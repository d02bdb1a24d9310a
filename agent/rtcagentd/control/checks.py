"""Checks what orders ask for, before anything is stored: what can never work gets an error that says what was wrong
and what to do.
"""

import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control import screen_checks
from rtcagentd.control.errors import invalid, not_found, unavailable
from rtcagentd.control.ids import (
    ROOM_ID_PATTERN,
    SCALABILITY_PATTERN,
    SLOT_PATTERN,
    SOURCE_ID_PATTERN,
    USER_ID_PATTERN,
    matches,
)
from rtcagentd.control.state import State
from rtcagentd.control.wanted import present_cameras

MAX_WAIT_MS = 60_000
DEFAULT_EXTRA_INFO_BYTES = 16_384
MAX_SLATE_CHARACTERS = 64


def room_id(text: str, field: str = "room_id") -> str:
    """A room id, as given."""
    if not matches(ROOM_ID_PATTERN, text):
        raise invalid(field, "ROOM_ID_INVALID", f"room_id {_shown(text)} is not 1-128 characters of [A-Za-z0-9_@.-]")
    return text


def user_id(text: str, field: str = "user_id") -> str:
    """A user id, as given."""
    if not matches(USER_ID_PATTERN, text):
        raise invalid(field, "USER_ID_INVALID", f"user_id {_shown(text)} is not 1-128 characters of [A-Za-z0-9_@.-]")
    return text


def source_id(text: str, field: str = "source_id") -> str:
    """A source id, as given."""
    if not matches(SOURCE_ID_PATTERN, text):
        raise invalid(field, "SOURCE_ID_INVALID", f"source_id {_shown(text)} is not 1-64 characters of [A-Za-z0-9_.-]")
    return text


def slot_name(text: str, field: str = "slot.name") -> str:
    """A slot's name, as given."""
    if not matches(SLOT_PATTERN, text):
        raise invalid(field, "SLOT_NAME_INVALID", f"slot name {_shown(text)} is not 1-64 characters of [A-Za-z0-9_.-]")
    return text


def server_url(text: str) -> str:
    """The address of a room server, as given."""
    parts = urlsplit(text)
    if parts.scheme not in ("ws", "wss") or not parts.hostname or len(text) > 2048:
        raise invalid(
            "config.server_url", "SERVER_URL_INVALID", f"server_url {_shown(text)} is not ws://host or wss://host"
        )
    return text


def extra_info(text: str, max_bytes: int, field: str = "config.extra_info") -> str:
    """JSON text that fits the engine, as given."""
    limit = max_bytes or DEFAULT_EXTRA_INFO_BYTES
    size = len(text.encode())
    if size > limit:
        raise invalid(field, "EXTRA_INFO_TOO_LONG", f"extra_info has {size} bytes, and this engine takes {limit}")
    if text:
        try:
            json.loads(text)
        except ValueError as error:
            raise invalid(field, "EXTRA_INFO_NOT_JSON", f"extra_info is not JSON: {error}") from error
    return text


def keep(asked: ty.Keep, default: ty.Keep.Kind.ValueType, *, in_room: bool = False) -> ty.Keep:
    """How long an order is to hold; `default` where that is not said."""
    if asked.kind == ty.Keep.KIND_UNSPECIFIED:
        return ty.Keep(kind=default)
    if asked.kind == ty.Keep.KIND_UNTIL:
        return ty.Keep(kind=asked.kind, until=asked.until)
    if asked.kind == ty.Keep.KIND_UNTIL_ALONE:
        if not in_room:
            raise invalid("order.keep.kind", "KEEP_NOT_APPLICABLE", "UNTIL_ALONE is for JoinRoom only")
        if not 1 <= asked.alone_s <= 86_400:
            raise invalid("order.keep.alone_s", "KEEP_INVALID", f"alone_s is {asked.alone_s}, not 1-86400")
        return ty.Keep(kind=asked.kind, alone_s=asked.alone_s)
    if asked.kind not in ty.Keep.Kind.values():
        raise invalid("order.keep.kind", "KEEP_INVALID", f"this agent knows no keep of kind {asked.kind}")
    return ty.Keep(kind=asked.kind)


def keep_is_to_come(asked: ty.Keep) -> None:
    """Apart from `keep`: an order that was taken may be repeated after its time."""
    if asked.kind == ty.Keep.KIND_UNTIL and asked.until.ToNanoseconds() <= time.time_ns():
        raise invalid("order.keep.until", "KEEP_IN_THE_PAST", "the order is to hold until a time that is past")


def options(order: ty.OrderOptions) -> None:
    """What every order has."""
    if order.HasField("wait_ms") and order.wait_ms > MAX_WAIT_MS:
        raise invalid("order.wait_ms", "WAIT_TOO_LONG", f"wait_ms is {order.wait_ms}, at most {MAX_WAIT_MS}")
    if len(order.request_id) > 128:
        raise invalid("order.request_id", "REQUEST_ID_INVALID", "request_id is longer than 128 characters")


def encoder(config: ty.VideoEncoderConfig, where: str = "encoder") -> None:
    """How a stream is to be encoded."""
    known_value(f"{where}.codec", ty.VideoCodec, config.codec, "CODEC_UNKNOWN")
    for name in ("max_bitrate_bps", "min_bitrate_bps"):
        value = getattr(config, name)
        if value and not 30_000 <= value <= 50_000_000:
            text = f"{name} is {value}, not 30000-50000000 (or 0, to choose by size and rate)"
            raise invalid(f"{where}.{name}", "BITRATE_INVALID", text)
    if config.max_bitrate_bps and config.min_bitrate_bps > config.max_bitrate_bps:
        text = f"min_bitrate_bps is {config.min_bitrate_bps}, more than max_bitrate_bps"
        raise invalid(f"{where}.min_bitrate_bps", "BITRATE_INVALID", text)
    _fps(f"{where}.max_fps", config.max_fps)
    known_value(f"{where}.degradation", ty.DegradationPreference, config.degradation, "DEGRADATION_UNKNOWN")
    known_value(f"{where}.encoder", ty.EncoderChoice, config.encoder)
    if config.layers and not config.simulcast:
        raise invalid(f"{where}.layers", "LAYERS_INVALID", "layers are those of simulcast: set it, too")
    if not config.scalability_mode:
        return
    if config.codec not in (ty.VIDEO_CODEC_VP9, ty.VIDEO_CODEC_AV1):
        text = "layers within one stream are for VP9 and AV1: take another codec, or `simulcast`"
        raise invalid(f"{where}.scalability_mode", "SCALABILITY_INVALID", text)
    if config.simulcast:
        text = "simulcast and a scalability mode do not go together: choose one"
        raise invalid(f"{where}.scalability_mode", "SCALABILITY_INVALID", text)
    if not matches(SCALABILITY_PATTERN, config.scalability_mode):
        text = f"{_shown(config.scalability_mode)} is no mode like L1T2 or L3T3_KEY"
        raise invalid(f"{where}.scalability_mode", "SCALABILITY_INVALID", text)


def known_value(field: str, enum: Any, value: int, reason: str = "VALUE_UNKNOWN") -> None:
    """A value of an enum that this version knows."""
    if value not in enum.values():
        name = field.rpartition(".")[2]
        raise invalid(field, reason, f"this agent knows no {name} {value}")


def output(field: str, asked: ty.VideoFormat) -> None:
    """The size and rate of what leaves a source."""
    _format(field, asked)


def stream_quality(asked: ty.StreamQuality) -> None:
    """In which quality another user's video is wanted."""
    if asked.layer not in ty.StreamQuality.Layer.values():
        raise invalid("quality.layer", "QUALITY_INVALID", f"this agent knows no layer {asked.layer}")
    if bool(asked.width) != bool(asked.height):
        raise invalid("quality", "QUALITY_INVALID", "width and height go together: set both, or neither")
    if asked.width and asked.layer:
        raise invalid("quality", "QUALITY_INVALID", "a layer and a size do not go together: choose one")
    if asked.width > 7680 or asked.height > 4320:
        raise invalid("quality", "QUALITY_INVALID", f"{asked.width}x{asked.height} is larger than 7680x4320")


def statistics_interval(interval_ms: int, field: str) -> None:
    """How often statistics are told."""
    if interval_ms and not 200 <= interval_ms <= 60_000:
        text = f"the interval is {interval_ms} ms, not 200-60000 (or 0, for every 2000)"
        raise invalid(field, "INTERVAL_INVALID", text)


def stream_name(text: str) -> str:
    """What a stream is called, as given."""
    if len(text) > 128:
        raise invalid("name", "STREAM_NAME_INVALID", "name is longer than 128 characters")
    return text


def capture(config: ty.CaptureConfig, state: State, media_folders: list[Path], *, devices_known: bool) -> None:
    """How a source is to be captured."""
    _format("config.output", config.output)
    for name, enum in (("rotation", ty.Rotation), ("kind", ty.StreamKind), ("mirror_in", ty.VideoMirror)):
        known_value(f"config.{name}", enum, getattr(config, name))
    if config.mirror and config.mirror_in:
        raise invalid("config.mirror", "MIRROR_INVALID", "mirror and mirror_in do not go together: leave mirror out")
    encoder(config.encoder, "config.encoder")
    slate(config.slate, media_folders)
    match config.input.WhichOneof("input"):
        case "screen":
            screen_checks.screen(config)
        case "camera":
            _camera(config.input.camera, state, devices_known=devices_known)
        case "rtsp":
            _rtsp(config.input.rtsp)
        case "file":
            media_file(config.input.file.path, media_folders)
        case "test_pattern":
            if config.input.test_pattern.kind not in ty.VideoInput.TestPattern.Kind.values():
                raise invalid(
                    "config.input.test_pattern.kind", "VALUE_UNKNOWN", "this agent knows no such test picture"
                )


def slate(asked: ty.Slate, media_folders: list[Path]) -> None:
    """What is to be shown of a source without pictures."""
    if asked.mode not in ty.Slate.Mode.values():
        raise invalid("config.slate.mode", "VALUE_UNKNOWN", f"this agent knows no slate mode {asked.mode}")
    for name in ("title", "text"):
        text = getattr(asked, name)
        if len(text) > MAX_SLATE_CHARACTERS or any(ord(character) < 32 for character in text):
            message = f"the slate's {name} is not one line of at most {MAX_SLATE_CHARACTERS} characters"
            raise invalid(f"config.slate.{name}", "SLATE_TEXT_INVALID", message)
    if asked.picture:
        _picture(asked.picture, media_folders)


def _picture(text: str, media_folders: list[Path]) -> None:
    field = "config.slate.picture"
    path = _media_path(text, field, media_folders)
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        message = f"the slate's picture {_shown(text)} cannot be read: {error.strerror}"
        raise invalid(field, "PICTURE_UNREADABLE", message) from error
    if not start.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        raise invalid(field, "PICTURE_INVALID", f"the slate's picture {_shown(text)} is neither a PNG nor a JPEG file")


def slot(asked: ty.Slot) -> None:
    """What a slot is to match."""
    slot_name(asked.name)
    for index, match in enumerate(asked.matches):
        if not any((match.device_id, match.serial, match.usb_port, match.name, match.alsa_card)):
            text = "a match needs at least one of device_id, serial, usb_port, name and alsa_card"
            raise invalid(f"slot.matches[{index}]", "MATCH_EMPTY", text)


def _camera(camera: ty.VideoInput.Camera, state: State, *, devices_known: bool) -> None:
    _format("config.input.camera.format", camera.format)
    if camera.WhichOneof("which") == "slot":
        slot_name(camera.slot, "config.input.camera.slot")
        return  # that there is one is checked in the order's transaction
    if camera.WhichOneof("which") is None:
        return
    device = next((item for item in state.reported.devices if item.device_id == camera.device_id), None)
    if device is None:
        if not devices_known:
            raise unavailable(
                "ENGINE_STARTING",
                "the engine is being started, and which devices there are is not known yet: try again",
                device_id=camera.device_id,
            )
        known = ", ".join(item.device_id for item in present_cameras(state)) or "none"
        raise not_found(
            "DEVICE_NOT_FOUND",
            f"this machine never had a camera {_shown(camera.device_id)}; it has now: {known}",
            device_id=camera.device_id,
        )
    if device.formats and not any(offers(camera, item) for item in device.formats):
        offered = sorted({f"{item.fourcc} {item.width}x{item.height}" for item in device.formats})
        raise invalid(
            "config.input.camera.format",
            "FORMAT_UNSUPPORTED",
            f"camera {device.device_id} lacks the asked format; it has: {', '.join(offered[:40])}",
            device_id=device.device_id,
        )


def offers(camera: ty.VideoInput.Camera, offered: ty.CameraFormat) -> bool:
    """Whether a format of a camera is one that is asked for."""
    asked = camera.format
    if camera.pixel_format not in (ty.PIXEL_FORMAT_UNSPECIFIED, offered.pixel_format):
        return False
    if asked.width not in (0, offered.width) or asked.height not in (0, offered.height):
        return False
    return not asked.max_fps or not offered.fps or max(offered.fps) >= asked.max_fps - 0.5


def _rtsp(rtsp: ty.VideoInput.Rtsp) -> None:
    parts = urlsplit(rtsp.url)
    if parts.scheme not in ("rtsp", "rtsps") or not parts.hostname or len(rtsp.url) > 2048:
        raise invalid("config.input.rtsp.url", "URL_INVALID", "the address of a network camera begins with rtsp://HOST")
    if rtsp.latency_ms > 10_000:
        text = f"latency_ms is {rtsp.latency_ms}, at most 10000"
        raise invalid("config.input.rtsp.latency_ms", "LATENCY_INVALID", text)


def media_file(given: str, media_folders: list[Path]) -> None:
    """The path of a media file that is to be played, as given."""
    _media_path(given, "config.input.file.path", media_folders)


def _media_path(text: str, field: str, media_folders: list[Path]) -> Path:
    """A path that the configuration allows for media, without its links."""
    path = Path(text)
    if not path.is_absolute():
        raise invalid(field, "PATH_INVALID", f"path {_shown(text)} is not absolute")
    resolved = path.resolve()
    if not any(resolved.is_relative_to(folder.resolve()) for folder in media_folders):
        allowed = ", ".join(map(str, media_folders)) or "none is configured"
        raise invalid(
            field,
            "PATH_NOT_ALLOWED",
            f"{_shown(text)} is in none of the folders that [media] folders allows: {allowed}",
        )
    return resolved


def _format(field: str, asked: ty.VideoFormat) -> None:
    for name, size, limit in (("width", asked.width, 7680), ("height", asked.height, 4320)):
        if size and (size % 2 or not 16 <= size <= limit):
            raise invalid(f"{field}.{name}", "SIZE_INVALID", f"{name} is {size}, not an even number of 16-{limit}")
    if bool(asked.width) != bool(asked.height):
        raise invalid(field, "SIZE_INVALID", "width and height go together: set both, or neither")
    _fps(f"{field}.max_fps", asked.max_fps)


def _fps(field: str, fps: float) -> None:
    if fps and not 1 <= fps <= 240:
        raise invalid(field, "FRAME_RATE_INVALID", f"{field.rpartition('.')[2]} is {fps:g}, not 1-240")


def _shown(text: str) -> str:
    """`text` for a message: short, and without control characters."""
    short = text if len(text) <= 80 else text[:77] + "..."
    return repr(re.sub(r"[^\x20-\x7e]", "?", short))
