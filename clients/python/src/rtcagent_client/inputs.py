"""Where pictures and sound of a source come from: the `input` of start_video_capture and start_audio_capture.
And what is recorded: the `streams` of start_recording.
"""

import os
from typing import Literal

from rtcagent.v1.types_pb2 import (
    AudioInput,
    ContentHint,
    ObjectRef,
    PixelFormat,
    RecordedStream,
    ScreenRegion,
    SoundApplication,
    StreamKind,
    VideoFormat,
    VideoInput,
)

from rtcagent_client.words import enum_value

PixelFormatName = Literal["yuyv", "uyvy", "nv12", "i420", "rgb24", "bgr24", "mjpeg", "grey"]
TestPatternName = Literal["bars-and-clock", "bars", "ball", "noise"]
ContentHintName = Literal["text", "motion"]
Region = tuple[int, int, int, int]  # x, y, width, height


def camera(
    device_id: str = "",
    *,
    slot: str = "",
    width: int = 0,
    height: int = 0,
    max_fps: float = 0,
    pixel_format: PixelFormatName | int | None = None,
) -> VideoInput:
    """A camera by its device_id (from list_devices), or by its slot; neither: the first one.

    `width`, `height` (pixels), `max_fps` and `pixel_format` are the format to open it in; unset, it is chosen to suit
    the output. ValueError: both a device and a slot.
    """
    if device_id and slot:
        raise ValueError("a camera is named by device_id or by slot, not by both")
    which = VideoInput.Camera(pixel_format=enum_value(PixelFormat, pixel_format))
    if width or height or max_fps:
        which.format.CopyFrom(VideoFormat(width=width, height=height, max_fps=max_fps))
    if device_id:
        which.device_id = device_id
    elif slot:
        which.slot = slot
    return VideoInput(camera=which)


def rtsp(url: str, *, latency_ms: int = 0) -> VideoInput:
    """A network camera (rtsp:// or rtsps://); `latency_ms` of jitter buffer, 0: the agent's default of 200."""
    return VideoInput(rtsp=VideoInput.Rtsp(url=url, latency_ms=latency_ms))


def file(path: str | os.PathLike[str], *, loop: bool = False) -> VideoInput:
    """A media file on the agent's machine, by its absolute path there; `loop` begins again at the end."""
    return VideoInput(file=VideoInput.File(path=os.fspath(path), loop=loop))


def test_pattern(kind: TestPatternName | int | None = None) -> VideoInput:  # noqa: PT028 (no test)
    """A moving test picture; by default colour bars, a ball and a clock."""
    return VideoInput(test_pattern=VideoInput.TestPattern(kind=enum_value(VideoInput.TestPattern.Kind, kind)))


def screen(
    display_id: str = "",
    *,
    window_id: str = "",
    region: Region | None = None,
    hide_cursor: bool = False,
    content_hint: ContentHintName | int | None = None,
) -> VideoInput:
    """A display (by default the primary one) or a window; `region`: x, y, width, height of it in pixels."""
    if display_id and window_id:
        raise ValueError("a screen is a display or a window, not both")
    which = VideoInput.Screen(hide_cursor=hide_cursor, content_hint=enum_value(ContentHint, content_hint))
    if display_id:
        which.display_id = display_id
    elif window_id:
        which.window_id = window_id
    if region is not None:
        which.region.CopyFrom(screen_region(region))
    return VideoInput(screen=which)


def screen_region(region: Region) -> ScreenRegion:
    x, y, width, height = region
    return ScreenRegion(x=x, y=y, width=width, height=height)


def microphone(device_id: str = "", *, slot: str = "") -> AudioInput:
    """A microphone by the sound server's name, or by its slot; neither: the default one. ValueError: both."""
    if device_id and slot:
        raise ValueError("a microphone is named by device_id or by slot, not by both")
    which = AudioInput.Microphone()
    if device_id:
        which.device_id = device_id
    elif slot:
        which.slot = slot
    return AudioInput(microphone=which)


def sound_file(path: str | os.PathLike[str], *, loop: bool = False) -> AudioInput:
    """The sound of a media file on the agent's machine, by its absolute path there."""
    return AudioInput(file=AudioInput.File(path=os.fspath(path), loop=loop))


def screen_audio(*, name: str = "", binary: str = "", process_id: int = 0) -> AudioInput:
    """What the machine plays, or one program of it: all that is given must be as that tells the sound server."""
    played = AudioInput.ScreenAudio()
    if name or binary or process_id:
        played.application.CopyFrom(SoundApplication(name=name, binary=binary, process_id=process_id))
    return AudioInput(screen_audio=played)


def test_tone(frequency_hz: float = 0, *, level_dbfs: float | None = None) -> AudioInput:  # noqa: PT028 (no test)
    """A sine; 0: of 440 Hz. `level_dbfs`: of its peaks, -90 to 0; None: -20."""
    return AudioInput(test_tone=AudioInput.TestTone(frequency_hz=frequency_hz, level_dbfs=level_dbfs))


def recorded_source(source_id: str) -> RecordedStream:
    """A source of the agent's own, as it is captured, published or not."""
    return RecordedStream(source_id=source_id)


def recorded_stream(room_id: str, user_id: str, kind: str | int, name: str = "") -> RecordedStream:
    """A stream of another user; without a name: every one of its kind ("camera", "microphone", "screen", ...)."""
    remote = ObjectRef.RemoteStream(room_id=room_id, user_id=user_id, kind=enum_value(StreamKind, kind), name=name)
    return RecordedStream(remote=remote)


def recorded_room(room_id: str) -> RecordedStream:
    """Everyone in a room: all streams that there are and will be, the agent's own too while they are not muted."""
    return RecordedStream(room_id=room_id)
