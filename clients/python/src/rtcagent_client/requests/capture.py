"""The calls of the service Capture. What every order takes is told in requests/rooms.py."""

from typing import Literal

from rtcagent.v1.capture_pb2 import (
    GetCaptureStatsRequest,
    GetCaptureStatsResponse,
    ImageFormat,
    StartVideoCaptureRequest,
    StopVideoCaptureRequest,
    TakeSnapshotRequest,
    TakeSnapshotResponse,
)
from rtcagent.v1.types_pb2 import (
    CaptureConfig,
    Keep,
    ObjectRef,
    OrderResult,
    Rotation,
    Slate,
    StreamKind,
    VideoFormat,
    VideoInput,
)

from rtcagent_client.requests.call import Call, order_call, order_options
from rtcagent_client.requests.rooms import KindName
from rtcagent_client.words import enum_value

ImageFormatName = Literal["png", "jpeg"]


def start_video_capture(
    source_id: str = "camera",
    *,
    input: VideoInput | None = None,
    width: int = 0,
    height: int = 0,
    max_fps: float = 0,
    rotation: Literal[0, 90, 180, 270] = 0,
    mirror: bool = False,
    kind: KindName | int | None = None,
    slate: Slate | None = None,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Ask for a video source to be captured; for one that is captured already, changes how. Nobody need receive it.

    `input`: see rtcagent_client.inputs; None: the slot named like the source, else the first camera. `width`,
    `height` (pixels) and `max_fps`: of the pictures that leave the source, 0: follow the input. `rotation`: degrees
    clockwise. `slate`: what stands in while there are no pictures; None: name, time and "camera not connected" for
    cameras, nothing for other inputs. Raises InvalidArgument, NotFound (device, slot), ResourceExhausted.
    """
    config = CaptureConfig(
        input=input,
        rotation=enum_value(Rotation, str(rotation)) if rotation else Rotation.ROTATION_UNSPECIFIED,
        mirror=mirror,
        kind=enum_value(StreamKind, kind),
        slate=slate,
    )
    if width or height or max_fps:
        config.output.CopyFrom(VideoFormat(width=width, height=height, max_fps=max_fps))
    request = StartVideoCaptureRequest(
        source_id=source_id, config=config, order=order_options(wait_ms, keep, request_id)
    )
    return order_call("capture", "StartVideoCapture", request, wait_ms=wait_ms, check=check)


def stop_video_capture(
    source_id: str = "camera", *, wait_ms: int | None = None, request_id: str | None = None, check: bool = True
) -> Call[OrderResult]:
    """Ask for a source not to be captured. Orders to publish it stay, and wait. NotFound: it was not asked for."""
    request = StopVideoCaptureRequest(source_id=source_id, order=order_options(wait_ms, None, request_id))
    return order_call("capture", "StopVideoCapture", request, wait_ms=wait_ms, check=check)


def take_snapshot(
    source_id: str = "camera", *, format: ImageFormatName | int | None = None
) -> Call[TakeSnapshotResponse]:
    """The newest picture of a captured source, as PNG or JPEG. Raises FailedPrecondition (NOT_CAPTURED, NO_FRAME)."""
    request = TakeSnapshotRequest(source_id=source_id, format=enum_value(ImageFormat, format))
    return Call("capture", "TakeSnapshot", request, lambda response: response)


def take_remote_snapshot(
    room_id: str,
    user_id: str,
    *,
    kind: KindName | int = "camera",
    name: str = "",
    format: ImageFormatName | int | None = None,
) -> Call[TakeSnapshotResponse]:
    """The newest picture of a subscribed stream of another user. FailedPrecondition: NOT_SUBSCRIBED, NO_FRAME."""
    stream = ObjectRef.RemoteStream(room_id=room_id, user_id=user_id, kind=enum_value(StreamKind, kind), name=name)
    request = TakeSnapshotRequest(remote_stream=stream, format=enum_value(ImageFormat, format))
    return Call("capture", "TakeSnapshot", request, lambda response: response)


def get_capture_stats() -> Call[GetCaptureStatsResponse]:
    """Counters of the captured sources, of their way into the rooms, and of what is received."""
    return Call("capture", "GetCaptureStats", GetCaptureStatsRequest(), lambda response: response)
