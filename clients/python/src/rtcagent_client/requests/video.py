"""The calls of the service Capture about how pictures look and are encoded."""

from typing import Literal, TypeAlias

from rtcagent.v1.capture_pb2 import (
    ListEncodersRequest,
    SetLocalVideoMirrorRequest,
    SetVideoEncoderConfigRequest,
    SetVideoRotationRequest,
    VideoEncoder,
)
from rtcagent.v1.types_pb2 import (
    DegradationPreference,
    EncoderChoice,
    Keep,
    OrderResult,
    Rotation,
    VideoCodec,
    VideoEncoderConfig,
    VideoFormat,
    VideoMirror,
)

from rtcagent_client.requests.call import Call, order_call, order_options
from rtcagent_client.words import enum_value

MirrorName: TypeAlias = Literal["none", "local-view", "sent", "both"]


def set_video_encoder_config(
    source_id: str = "camera",
    room_id: str = "",
    *,
    width: int = 0,
    height: int = 0,
    max_fps: float = 0,
    codec: VideoCodec.ValueType | str | None = None,
    max_bitrate_bps: int = 0,
    min_bitrate_bps: int = 0,
    encoded_fps: float = 0,
    simulcast: bool = False,
    scalability_mode: str = "",
    degradation: DegradationPreference.ValueType | str | None = None,
    encoder: EncoderChoice.ValueType | str | None = None,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Change size and rate of a source's pictures (`width`, `height`, `max_fps`: in the streams as they are), and how
    it is encoded (all of it at once: what is not given is the engine's choice); in every room, or its stream in one.

    A changed encoder publishes anew: stream_republished tells the gap. Raises InvalidArgument, NotFound (the source,
    the room), FailedPrecondition (NOT_PUBLISHED, UNSUPPORTED_BY_ENGINE).
    """
    request = SetVideoEncoderConfigRequest(
        source_id=source_id, room_id=room_id, order=order_options(wait_ms, keep, request_id)
    )
    output = VideoFormat(width=width, height=height, max_fps=max_fps)
    config = VideoEncoderConfig(
        codec=enum_value(VideoCodec, codec),
        max_bitrate_bps=max_bitrate_bps,
        min_bitrate_bps=min_bitrate_bps,
        max_fps=encoded_fps,
        simulcast=simulcast,
        scalability_mode=scalability_mode,
        degradation=enum_value(DegradationPreference, degradation),
        encoder=enum_value(EncoderChoice, encoder),
    )
    if output.ByteSize():
        request.output.CopyFrom(output)
    if config.ByteSize():
        request.encoder.CopyFrom(config)
    return order_call("capture", "SetVideoEncoderConfig", request, wait_ms=wait_ms, check=check)


def set_local_video_mirror(
    mirror_in: MirrorName | int,
    source_id: str = "camera",
    *,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Set where a source's picture is mirrored: nowhere, in the agent's own view of it, in what is sent, or in both."""
    request = SetLocalVideoMirrorRequest(
        source_id=source_id,
        mirror_in=enum_value(VideoMirror, mirror_in),
        order=order_options(wait_ms, keep, request_id),
    )
    return order_call("capture", "SetLocalVideoMirror", request, wait_ms=wait_ms, check=check)


def set_video_rotation(
    rotation: Literal[0, 90, 180, 270],
    source_id: str = "camera",
    *,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Turn a source's picture clockwise, by degrees."""
    request = SetVideoRotationRequest(
        source_id=source_id,
        rotation=enum_value(Rotation, str(rotation)),
        order=order_options(wait_ms, keep, request_id),
    )
    return order_call("capture", "SetVideoRotation", request, wait_ms=wait_ms, check=check)


def list_encoders() -> Call[list[VideoEncoder]]:
    """What can encode each codec on the agent's machine, there or not. Unavailable: the engine is being started."""
    return Call("capture", "ListEncoders", ListEncodersRequest(), lambda response: list(response.encoders))
