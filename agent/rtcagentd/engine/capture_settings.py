"""Translates a CaptureConfig to native settings and to words. Decides alone which paths and URLs may be opened."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native, screens
from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.portal import Asked

_ROTATION = {types.ROTATION_90: 90, types.ROTATION_180: 180, types.ROTATION_270: 270}

_PATTERN = {
    types.VideoInput.TestPattern.KIND_UNSPECIFIED: "bars_and_clock",
    types.VideoInput.TestPattern.KIND_BARS_AND_CLOCK: "bars_and_clock",
    types.VideoInput.TestPattern.KIND_BARS: "bars",
    types.VideoInput.TestPattern.KIND_BALL: "ball",
    types.VideoInput.TestPattern.KIND_NOISE: "noise",
}

DEFAULT_FORMAT = types.VideoFormat(width=1280, height=720, max_fps=30)
DEFAULT_RTSP_LATENCY_MS = 200

FindDevice = Callable[[str], types.Device | None]


@dataclass(frozen=True)
class Plan:
    """How to open a source, checked as far as it can be without opening it."""

    settings: _native.CaptureSettings
    input_words: str
    device_id: str = ""
    is_x11: bool = False
    portal: Asked | None = None  # a screen that is to be asked for first


def mirror_of(config: types.CaptureConfig) -> types.VideoMirror.ValueType:
    """Where the picture is mirrored."""
    return config.mirror_in or (types.VIDEO_MIRROR_BOTH if config.mirror else types.VIDEO_MIRROR_NONE)


def is_view_turned_round(config: types.CaptureConfig) -> bool:
    """Whether local view and what is sent differ: the capture's own pictures are those that are sent."""
    return mirror_of(config) in (types.VIDEO_MIRROR_LOCAL_VIEW, types.VIDEO_MIRROR_SENT)


def is_same_input(one: types.CaptureConfig, other: types.CaptureConfig) -> bool:
    """Whether two differ at most in what leaves the capture: size, rate, turn and mirror; of a screen, region and
    pointer too.
    """
    return _input(one) == _input(other)


def _input(config: types.CaptureConfig) -> types.CaptureConfig:
    bare = types.CaptureConfig()
    bare.CopyFrom(config)
    bare.ClearField("output")
    bare.ClearField("rotation")
    bare.ClearField("mirror")
    bare.ClearField("mirror_in")
    if bare.input.HasField("screen"):
        bare.input.screen.ClearField("region")
        bare.input.screen.ClearField("hide_cursor")
        bare.input.screen.ClearField("content_hint")
    return bare


def plan(config: types.CaptureConfig, find_device: FindDevice, media_folders: Sequence[Path]) -> Plan:
    """The plan for `config`; EngineError when it cannot work."""
    settings = _native.CaptureSettings()
    settings.width = config.output.width
    settings.height = config.output.height
    settings.fps = config.output.max_fps
    settings.rotation = _ROTATION.get(config.rotation, 0)
    settings.mirror = mirror_of(config) in (types.VIDEO_MIRROR_SENT, types.VIDEO_MIRROR_BOTH)
    match config.input.WhichOneof("input"):
        case "camera":
            return _camera(config.input.camera, settings, find_device)
        case "rtsp":
            return _rtsp(config.input.rtsp, settings)
        case "file":
            return _file(config.input.file, settings, media_folders)
        case "test_pattern":
            return _pattern(config.input.test_pattern, settings)
        case "screen":
            words, asked = screens.fill(settings, config.input.screen)
            return Plan(settings, words, is_x11=asked is None, portal=asked)
        case _:
            raise EngineError(types.REASON_INTERNAL, "a source was ordered without its input", permanent=True)


def _camera(camera: types.VideoInput.Camera, settings: _native.CaptureSettings, find_device: FindDevice) -> Plan:
    if camera.WhichOneof("which") != "device_id":
        raise EngineError(types.REASON_INTERNAL, "a camera was ordered without its device_id", permanent=True)
    device = find_device(camera.device_id)
    if device is None:
        raise EngineError(
            types.REASON_DEVICE_ABSENT, f"the camera {camera.device_id} is not plugged in; it is used once it is"
        )
    settings.device_path = device.path
    if camera.pixel_format != types.PIXEL_FORMAT_UNSPECIFIED:
        settings.pixel_format = types.PixelFormat.Name(camera.pixel_format).removeprefix("PIXEL_FORMAT_")
    settings.device_width = camera.format.width
    settings.device_height = camera.format.height
    settings.device_fps = camera.format.max_fps
    return Plan(settings, f"camera {device.name}", camera.device_id)


def _rtsp(rtsp: types.VideoInput.Rtsp, settings: _native.CaptureSettings) -> Plan:
    try:
        url = urlsplit(rtsp.url)
        host, port = url.hostname, url.port
    except ValueError as error:
        raise EngineError(types.REASON_URL_INVALID, f"the RTSP address cannot be read: {error}") from None
    if url.scheme not in ("rtsp", "rtsps") or not host:
        raise EngineError(
            types.REASON_URL_INVALID, "a network camera's address is rtsp://host/path or rtsps://host/path"
        )
    settings.rtsp_url = rtsp.url
    settings.rtsp_latency_ms = rtsp.latency_ms or DEFAULT_RTSP_LATENCY_MS
    # Neither user, password nor query: cameras take passwords in both.
    return Plan(settings, f"rtsp {host}{f':{port}' if port else ''}{url.path}")


def _file(file: types.VideoInput.File, settings: _native.CaptureSettings, media_folders: Sequence[Path]) -> Plan:
    settings.file_path = allowed_file(file.path, media_folders)
    settings.loop = file.loop
    return Plan(settings, f"file {file.path}")


def allowed_file(path: str, media_folders: Sequence[Path]) -> str:
    """Where a media file really is; EngineError for one that may not be opened, or is not there."""
    if not os.path.isabs(path):
        raise EngineError(types.REASON_URL_INVALID, f"the path of a media file must be absolute, not {path!r}")
    real = Path(os.path.realpath(path))  # a link must not lead out of the folders
    if not any(real.is_relative_to(os.path.realpath(folder)) for folder in media_folders):
        raise EngineError(
            types.REASON_URL_INVALID, f"{path} is in none of the folders that the configuration allows for media"
        )
    if not real.is_file():
        raise EngineError(types.REASON_URL_INVALID, f"there is no file {path}")
    return str(real)


def _pattern(pattern: types.VideoInput.TestPattern, settings: _native.CaptureSettings) -> Plan:
    settings.pattern = _PATTERN.get(pattern.kind, "bars_and_clock")
    # A test picture has no size of its own that could be followed.
    if not settings.width and not settings.height:
        settings.width, settings.height = DEFAULT_FORMAT.width, DEFAULT_FORMAT.height
    settings.fps = settings.fps or DEFAULT_FORMAT.max_fps
    return Plan(settings, "test picture")
