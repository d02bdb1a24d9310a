"""The calls of the service Rooms.

Every order takes `wait_ms` (how long the agent waits for the outcome; default 5000, 0 answers once stored), `keep`
(see rtcagent_client.keep), `request_id` (made up where none is given) and `check`: False returns the result instead
of raising Waiting, Refused or Superseded.
"""

from collections.abc import Mapping
from typing import Literal

from rtcagent.v1.rooms_pb2 import (
    CreateInviteRequest,
    CreateInviteResponse,
    JoinRoomRequest,
    LeaveRoomRequest,
    ListRoomsRequest,
    MuteStreamRequest,
    PublishStreamRequest,
    SetUserInfoRequest,
    SubscribeStreamRequest,
    UnpublishStreamRequest,
    UnsubscribeStreamRequest,
    UpdateTokenRequest,
)
from rtcagent.v1.state_pb2 import RoomStatus
from rtcagent.v1.types_pb2 import (
    DegradationPreference,
    Keep,
    OrderResult,
    RoomConfig,
    RoomProfile,
    StreamKind,
    StreamQuality,
    VideoCodec,
    VideoEncoderConfig,
)

from rtcagent_client.requests.call import Call, order_call, order_options
from rtcagent_client.words import enum_value

CodecName = Literal["vp8", "vp9", "h264", "av1"]
DegradationName = Literal["maintain-resolution", "maintain-framerate", "balanced"]
ProfileName = Literal["communication", "live-broadcasting", "low-latency", "meeting"]
LayerName = Literal["low", "medium", "high"]
KindName = Literal["camera", "microphone", "screen", "screen-audio", "other-video", "other-audio"]


def join_room(
    room_id: str,
    *,
    server_url: str = "",
    token: str = "",
    user_id: str = "",
    extra_info: str = "",
    name: str = "",
    attributes: Mapping[str, str] | None = None,
    profile: ProfileName | int | None = None,
    auto_publish: bool = True,
    auto_subscribe_audio: bool = True,
    auto_subscribe_video: bool = True,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Ask for the agent to be in a room. For a room that it is in already, changes how.

    `server_url` (ws:// or wss://) and `token` default to the agent's own server and a token that it mints; `user_id`
    to the token's, else the agent's name; `extra_info` (JSON text), `name` and `attributes` are shown to the other
    users. For standby, turn the three `auto_` off. Raises InvalidArgument (ids, token, what is shown),
    FailedPrecondition (NO_SERVER, NO_SERVER_KEY), ResourceExhausted.
    """
    config = RoomConfig(
        room_id=room_id,
        server_url=server_url,
        token=token,
        user_id=user_id,
        extra_info=extra_info,
        name=name,
        attributes=attributes,
        profile=enum_value(RoomProfile, profile),
        auto_publish=auto_publish,
        auto_subscribe_audio=auto_subscribe_audio,
        auto_subscribe_video=auto_subscribe_video,
    )
    request = JoinRoomRequest(config=config, order=order_options(wait_ms, keep, request_id))
    return order_call("rooms", "JoinRoom", request, wait_ms=wait_ms, check=check)


def leave_room(
    room_id: str, *, wait_ms: int | None = None, request_id: str | None = None, check: bool = True
) -> Call[OrderResult]:
    """Ask for the agent to be out of a room; ends what was ordered in it. NotFound: it was not asked to be in it."""
    request = LeaveRoomRequest(room_id=room_id, order=order_options(wait_ms, None, request_id))
    return order_call("rooms", "LeaveRoom", request, wait_ms=wait_ms, check=check)


def update_token(
    room_id: str,
    token: str,
    *,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Give a room that the agent is asked to be in a new token, used from the next join on; one with other rights than
    before is joined with at once. `keep` None: the order for the room holds as long as it was to.

    NotFound: the agent was not asked to be in it. Raises InvalidArgument: a token for another room or user.
    """
    request = UpdateTokenRequest(room_id=room_id, token=token, order=order_options(wait_ms, keep, request_id))
    return order_call("rooms", "UpdateToken", request, wait_ms=wait_ms, check=check)


def set_user_info(
    room_id: str,
    *,
    extra_info: str | None = None,
    name: str | None = None,
    attributes: Mapping[str, str] | None = None,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Change what the others of a room see of the agent, without leaving it. What is None stays as it was asked for;
    `attributes` are added to those asked for, and one with an empty value is taken away.

    NotFound: the agent was not asked to be in it. Raises InvalidArgument; Refused: the room token does not allow it.
    """
    request = SetUserInfoRequest(
        room_id=room_id,
        extra_info=extra_info,
        name=name,
        attributes=attributes,
        order=order_options(wait_ms, keep, request_id),
    )
    return order_call("rooms", "SetUserInfo", request, wait_ms=wait_ms, check=check)


def list_rooms() -> Call[list[RoomStatus]]:
    """The rooms that the agent is asked to be in, as they are, with their users and streams."""
    return Call("rooms", "ListRooms", ListRoomsRequest(), lambda response: list(response.rooms))


def create_invite(
    room_id: str, user_id: str, *, ttl_s: int = 0, watch_only: bool = False
) -> Call[CreateInviteResponse]:
    """An address and a token for a person or a program to join a room with, on a server whose key the agent has.

    `ttl_s`: seconds until it expires, 0: 6 hours. Raises FailedPrecondition (NO_SERVER_KEY) where the agent has no key.
    """
    request = CreateInviteRequest(room_id=room_id, user_id=user_id, ttl_s=ttl_s, watch_only=watch_only)
    return Call("rooms", "CreateInvite", request, lambda response: response)


def publish_stream(
    room_id: str,
    source_id: str = "camera",
    *,
    codec: CodecName | int | None = None,
    max_bitrate_bps: int = 0,
    max_fps: float = 0,
    simulcast: bool = False,
    degradation: DegradationName | int | None = None,
    name: str = "",
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Ask for a source to be sent into a room. May come before join_room and start_video_capture, and waits for them.

    `max_bitrate_bps` 0: by size and rate; `max_fps` 0: the source's; `name`: shown to others, default the source_id.
    Another encoder than before publishes the stream again.
    """
    request = PublishStreamRequest(
        room_id=room_id,
        source_id=source_id,
        encoder=VideoEncoderConfig(
            codec=enum_value(VideoCodec, codec),
            max_bitrate_bps=max_bitrate_bps,
            max_fps=max_fps,
            simulcast=simulcast,
            degradation=enum_value(DegradationPreference, degradation),
        ),
        name=name,
        order=order_options(wait_ms, keep, request_id),
    )
    return order_call("rooms", "PublishStream", request, wait_ms=wait_ms, check=check)


def unpublish_stream(
    room_id: str,
    source_id: str = "camera",
    *,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Ask for a source not to be sent into a room, also where the room has auto_publish. Capture goes on."""
    request = UnpublishStreamRequest(
        room_id=room_id, source_id=source_id, order=order_options(wait_ms, keep, request_id)
    )
    return order_call("rooms", "UnpublishStream", request, wait_ms=wait_ms, check=check)


def mute_stream(
    room_id: str,
    source_id: str = "camera",
    *,
    muted: bool = True,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Mute (or, with muted=False, unmute) an own stream in one room: it stays published, and nothing of it is sent."""
    request = MuteStreamRequest(
        room_id=room_id, source_id=source_id, muted=muted, order=order_options(wait_ms, keep, request_id)
    )
    return order_call("rooms", "MuteStream", request, wait_ms=wait_ms, check=check)


def subscribe_stream(
    room_id: str,
    user_id: str,
    *,
    kind: KindName | int | None = None,
    name: str = "",
    layer: LayerName | int | None = None,
    width: int = 0,
    height: int = 0,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Ask to receive a stream of another user. `kind` defaults to camera; without `name`, every stream of the kind.

    `layer`, or `width` and `height` (the size that it is shown in): the quality that is wanted of a simulcast video.
    """
    request = SubscribeStreamRequest(
        room_id=room_id,
        user_id=user_id,
        kind=enum_value(StreamKind, kind),
        name=name,
        order=order_options(wait_ms, keep, request_id),
    )
    if layer or width or height:
        quality = StreamQuality(layer=enum_value(StreamQuality.Layer, layer), width=width, height=height)
        request.quality.CopyFrom(quality)
    return order_call("rooms", "SubscribeStream", request, wait_ms=wait_ms, check=check)


def unsubscribe_stream(
    room_id: str,
    user_id: str,
    *,
    kind: KindName | int | None = None,
    name: str = "",
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Ask not to receive a stream of another user, also where the room has auto_subscribe."""
    request = UnsubscribeStreamRequest(
        room_id=room_id,
        user_id=user_id,
        kind=enum_value(StreamKind, kind),
        name=name,
        order=order_options(wait_ms, keep, request_id),
    )
    return order_call("rooms", "UnsubscribeStream", request, wait_ms=wait_ms, check=check)
