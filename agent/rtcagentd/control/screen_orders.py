"""The orders of the service Screen as edits of the desired state."""

from collections.abc import Callable

from rtcagent.v1 import capture_pb2, screen_pb2
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control import checks, screen_checks
from rtcagentd.control.errors import not_found
from rtcagentd.control.ledger import Edit
from rtcagentd.control.objects import capture_key

DEFAULT_SCREEN_ID = "screen"
DEFAULT_SCREEN_AUDIO_ID = "screen_audio"


def as_capture(request: screen_pb2.StartScreenCaptureRequest) -> capture_pb2.StartVideoCaptureRequest:
    """The same as an order to capture any source: a screen is one like the others."""
    config = ty.CaptureConfig(input=ty.VideoInput(screen=request.screen), kind=ty.STREAM_KIND_SCREEN)
    if request.max_fps:
        screen_checks.fps("max_fps", request.max_fps)
        config.output.max_fps = request.max_fps
    return capture_pb2.StartVideoCaptureRequest(source_id=request.source_id or DEFAULT_SCREEN_ID, config=config)


def as_audio_capture(request: screen_pb2.StartScreenAudioCaptureRequest) -> capture_pb2.StartAudioCaptureRequest:
    """The same as an order to capture any source of sound."""
    played = ty.AudioInput.ScreenAudio()
    if request.application.ByteSize():
        played.application.CopyFrom(request.application)
    config = ty.AudioCaptureConfig(input=ty.AudioInput(screen_audio=played), profile=request.profile)
    if request.HasField("volume"):
        config.volume = request.volume
    return capture_pb2.StartAudioCaptureRequest(source_id=request.source_id or DEFAULT_SCREEN_AUDIO_ID, config=config)


def changed(capture: st.DesiredCapture | None, request: screen_pb2.UpdateScreenCaptureRequest) -> st.DesiredCapture:
    """The capture with the changes that are asked for. NOT_FOUND: it is none of a screen."""
    source_id = request.source_id or DEFAULT_SCREEN_ID
    if capture is None or capture.config.input.WhichOneof("input") != "screen":
        text = f"there is no order to capture a screen as source {source_id!r}: start it first"
        raise not_found("CAPTURE_NOT_FOUND", text, source_id=source_id)
    wanted = st.DesiredCapture()
    wanted.CopyFrom(capture)
    screen = wanted.config.input.screen
    if request.HasField("region"):
        screen.ClearField("region")
        if request.region.width:
            screen.region.CopyFrom(request.region)
    if request.HasField("hide_cursor"):
        screen.hide_cursor = request.hide_cursor
    if request.HasField("max_fps"):
        wanted.config.output.max_fps = request.max_fps
    return wanted


def update(request: screen_pb2.UpdateScreenCaptureRequest) -> Callable[[Edit], None]:
    """Change a screen that is captured. Unless another time is given, it holds for as long as it did."""
    key = capture_key(checks.source_id(request.source_id or DEFAULT_SCREEN_ID))
    screen_checks.region("region", request.region)
    screen_checks.fps("max_fps", request.max_fps)
    keeps_its_time = request.order.keep.kind == ty.Keep.KIND_UNSPECIFIED

    def edit(edits: Edit) -> None:
        wanted = changed(edits.get(key, st.DesiredCapture), request)
        keep = ty.Keep()
        keep.CopyFrom(wanted.order.keep)
        edits.put(key, wanted, keep=keep if keeps_its_time else None)

    return edit
