"""Every order of the API as an edit of the desired state. Each function checks what it can on the event loop, then
returns the edit.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

from rtcagent.v1 import agent_pb2, capture_pb2, devices_pb2, rooms_pb2
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control import checks, user_info
from rtcagentd.control.audio_orders import AudioOrders
from rtcagentd.control.canvas_orders import CanvasOrders
from rtcagentd.control.errors import Code, OrderError, invalid, not_found, precondition
from rtcagentd.control.ids import DEFAULT_SOURCE_ID
from rtcagentd.control.ledger import Edit
from rtcagentd.control.objects import Desired, Key, capture_key, room_key, slot_key, stream_key, subscription_key
from rtcagentd.control.recording_orders import RecordingOrders
from rtcagentd.control.room_tokens import ServerKey, TokenClaims, TokenUnreadable, own_urls, read_claims
from rtcagentd.control.sound_orders import SoundOrders
from rtcagentd.control.state import Row, State

Edits: TypeAlias = Callable[[Edit], None]


class Orders:
    """What is needed to check orders: the state, the room server, the configuration, and the engine's limits once
    known.
    """

    def __init__(
        self,
        state: State,
        agent_name: str,
        server: ServerKey | None,
        media_folders: list[Path],
        *,
        has_token_endpoint: bool = False,
    ) -> None:
        self._state = state
        self._agent_name = agent_name
        self._server = server
        self._has_token_endpoint = has_token_endpoint
        self._media_folders = media_folders
        self.audio = AudioOrders(state, media_folders)
        self.sound = SoundOrders(state)
        self.canvases = CanvasOrders(state)
        self.recordings = RecordingOrders(state)

    # -- rooms

    def join_room(self, request: rooms_pb2.JoinRoomRequest, limits: agent_pb2.EngineLimits) -> Edits:
        config = ty.RoomConfig()
        config.CopyFrom(request.config)
        checks.room_id(config.room_id, "config.room_id")
        token = config.token
        config.ClearField("token")
        self._check_server(config, token)
        if token:
            claims = _claims(token, "config.token")
            _check_claims(claims, config, "config.token")
            config.user_id = claims.user_id
        config.user_id = checks.user_id(config.user_id or self._agent_name, "config.user_id")
        user_info.check(config, limits.max_extra_info_bytes)
        if config.profile not in ty.RoomProfile.values():
            raise invalid("config.profile", "PROFILE_UNKNOWN", f"this agent knows no room profile {config.profile}")
        checks.statistics_interval(config.statistics_interval_ms, "config.statistics_interval_ms")
        config.profile = config.profile or ty.ROOM_PROFILE_COMMUNICATION
        for name in ("auto_publish", "auto_subscribe_audio", "auto_subscribe_video"):
            setattr(config, name, getattr(config, name) if config.HasField(name) else True)
        key = room_key(config.room_id)

        def edit(edits: Edit) -> None:
            others = [other for other in edits.keys("room") if other != key]
            if limits.max_rooms and len(others) >= limits.max_rooms:
                raise _limit("room_id", f"this engine is in {limits.max_rooms} room(s) at most: leave one first")
            edits.put(key, _with_token(st.DesiredRoom(config=config), token), token)

        return edit

    def keep_token(self, config: ty.RoomConfig, before: Row | None) -> None:
        """Give a room that is asked for without a token the one that it has; never to another server or for another
        user.
        """
        if config.token or before is None or not isinstance(before.body, st.DesiredRoom):
            return
        known = before.body.config
        own = self._own_urls
        is_same_server = config.server_url == known.server_url or (config.server_url in own and known.server_url in own)
        if is_same_server and config.user_id in ("", known.user_id):
            config.token = before.secret

    def leave_room(self, request: rooms_pb2.LeaveRoomRequest) -> Edits:
        key = room_key(checks.room_id(request.room_id))

        def edit(edits: Edit) -> None:
            if edits.row(key) is None:
                text = f"there is no order to be in room {request.room_id!r}; `rtcctl rooms` lists those there are"
                raise not_found("ROOM_NOT_FOUND", text, room_id=request.room_id)
            edits.remove_room(key)

        return edit

    def update_token(self, request: rooms_pb2.UpdateTokenRequest) -> Edits:
        key = room_key(checks.room_id(request.room_id))
        claims = _claims(request.token, "token")
        keeps_its_time = request.order.keep.kind == ty.Keep.KIND_UNSPECIFIED

        def edit(edits: Edit) -> None:
            room = edits.get(key, st.DesiredRoom)
            if room is None:
                text = f"there is no order to be in room {request.room_id!r}: join it with the token"
                raise not_found("ROOM_NOT_FOUND", text, room_id=request.room_id)
            _check_claims(claims, room.config, "token")
            keep = ty.Keep()
            keep.CopyFrom(room.order.keep)
            edits.put(key, _with_token(room, request.token), request.token, keep=keep if keeps_its_time else None)

        return edit

    # -- own streams

    def publish_stream(self, request: rooms_pb2.PublishStreamRequest) -> Edits:
        checks.encoder(request.encoder)
        checks.stream_name(request.name)

        def change(stream: st.DesiredStream) -> None:
            stream.published = True
            stream.name = request.name
            stream.ClearField("encoder")
            if request.encoder.ByteSize():
                stream.encoder.CopyFrom(request.encoder)

        return self._stream_edit(request.room_id, request.source_id, change)

    def unpublish_stream(self, request: rooms_pb2.UnpublishStreamRequest) -> Edits:
        def change(stream: st.DesiredStream) -> None:
            stream.published = False

        return self._stream_edit(request.room_id, request.source_id, change)

    def mute_stream(self, request: rooms_pb2.MuteStreamRequest) -> Edits:
        def change(stream: st.DesiredStream) -> None:
            stream.muted = request.muted

        return self._stream_edit(request.room_id, request.source_id, change)

    def set_stream(self, asked: st.DesiredStream) -> Edits:
        """All that can be ordered about an own stream, at once."""
        checks.encoder(asked.encoder)
        checks.stream_name(asked.name)

        def change(stream: st.DesiredStream) -> None:
            room_id, source_id = stream.room_id, stream.source_id
            stream.CopyFrom(asked)
            stream.room_id, stream.source_id = room_id, source_id
            if not asked.encoder.ByteSize():
                stream.ClearField("encoder")

        return self._stream_edit(asked.room_id, asked.source_id, change)

    def _stream_edit(self, room_id: str, source_id: str, change: Callable[[st.DesiredStream], None]) -> Edits:
        checks.room_id(room_id)
        source_id = checks.source_id(source_id or DEFAULT_SOURCE_ID)
        key = stream_key(room_id, source_id)

        def edit(edits: Edit) -> None:
            stream = edits.get(key, st.DesiredStream) or st.DesiredStream(room_id=room_id, source_id=source_id)
            change(stream)
            edits.put(key, stream)

        return edit

    # -- streams of others

    def subscribe_stream(
        self, request: rooms_pb2.SubscribeStreamRequest | rooms_pb2.UnsubscribeStreamRequest, subscribed: bool
    ) -> Edits:
        checks.room_id(request.room_id)
        checks.user_id(request.user_id)
        kind = request.kind or ty.STREAM_KIND_CAMERA
        if kind not in ty.StreamKind.values():
            raise invalid("kind", "VALUE_UNKNOWN", f"this agent knows no stream kind {kind}")
        quality = request.quality if isinstance(request, rooms_pb2.SubscribeStreamRequest) else ty.StreamQuality()
        checks.stream_quality(quality)
        key = subscription_key(request.room_id, request.user_id, kind, request.name)
        ordered = st.DesiredSubscription(
            room_id=request.room_id, user_id=request.user_id, kind=kind, name=request.name, subscribed=subscribed
        )
        if quality.ByteSize():
            ordered.quality.CopyFrom(quality)
        return lambda edits: edits.put(key, ordered)

    # -- capture

    def start_video_capture(
        self,
        request: capture_pb2.StartVideoCaptureRequest,
        limits: agent_pb2.EngineLimits,
        *,
        devices_known: bool,
        keep_password: bool = False,
    ) -> Edits:
        """`keep_password`: the address of a network camera without a password means the one that is stored with it."""
        source_id = checks.source_id(request.source_id or DEFAULT_SOURCE_ID)
        checks.capture(request.config, self._state, self._media_folders, devices_known=devices_known)
        key = capture_key(source_id)
        config = ty.CaptureConfig()
        config.CopyFrom(request.config)
        secret = ""
        if config.input.WhichOneof("input") == "rtsp":
            secret = config.input.rtsp.url
            config.input.rtsp.url = _without_credentials(secret)

        def edit(edits: Edit) -> None:
            camera = config.input.camera
            is_slot = config.input.WhichOneof("input") == "camera" and camera.WhichOneof("which") == "slot"
            if is_slot and edits.row(slot_key(camera.slot)) is None:
                raise not_found("SLOT_NOT_FOUND", f"there is no slot {camera.slot!r}: make it first", slot=camera.slot)
            if (now := edits.get(key, st.DesiredCapture)) is not None and now.HasField("audio"):
                text = f"source {source_id!r} is captured as sound: stop that first, or choose another source_id"
                raise precondition("SOURCE_IS_AUDIO", text, source_id=source_id)
            others = [other for other in edits.keys("capture") if other != key and not _is_sound(edits, other)]
            if limits.max_video_sources and len(others) >= limits.max_video_sources:
                text = f"this engine captures {limits.max_video_sources} video source(s) at most: stop one first"
                raise _limit("source_id", text)
            before = edits.row(key)
            asked = st.DesiredCapture(source_id=source_id, config=config)
            if keep_password and before is not None and secret == config.input.rtsp.url == _rtsp_url(before.body):
                edits.put(key, asked, before.secret)
            else:
                edits.put(key, asked, secret)

        return edit

    def stop_video_capture(self, request: capture_pb2.StopVideoCaptureRequest) -> Edits:
        source_id = checks.source_id(request.source_id or DEFAULT_SOURCE_ID)
        key = capture_key(source_id)

        def edit(edits: Edit) -> None:
            if edits.row(key) is None or _is_sound(edits, key):
                text = f"there is no order to capture the video of source {source_id!r}"
                raise not_found("CAPTURE_NOT_FOUND", text, source_id=source_id)
            edits.remove(key)

        return edit

    # -- devices

    def set_slot(self, request: devices_pb2.SetSlotRequest) -> Edits:
        checks.slot(request.slot)
        slot = ty.Slot()
        slot.CopyFrom(request.slot)
        key = slot_key(slot.name)

        def edit(edits: Edit) -> None:
            if slot.matches:
                edits.put(key, st.DesiredSlot(slot=slot))
                return
            if edits.row(key) is None:
                raise not_found("SLOT_NOT_FOUND", f"there is no slot {slot.name!r} to remove", slot=slot.name)
            users = [other.text for other in edits.keys("capture") if _uses_slot(edits, other, slot.name)]
            if users:
                text = f"slot {slot.name!r} is used by the capture of {', '.join(users)}: stop that first"
                raise precondition("SLOT_IN_USE", text, slot=slot.name)
            edits.remove(key)

        return edit

    # -- the room server

    def invite(self, request: rooms_pb2.CreateInviteRequest) -> tuple[str, str, int]:
        """The address, the token and its time to live in seconds of an invitation."""
        checks.room_id(request.room_id)
        checks.user_id(request.user_id)
        ttl_s = request.ttl_s or 6 * 3600
        if ttl_s > 30 * 86_400:
            raise invalid("ttl_s", "TTL_INVALID", f"ttl_s is {ttl_s}, at most 2592000 (30 days)")
        if self._server is None or not self._server.can_mint:
            raise precondition(
                "NO_SERVER_KEY",
                "the agent has no room server's key: configure [embedded_server], or [room_server] with its key",
            )
        token = self._server.mint(request.room_id, request.user_id, ttl_s=ttl_s, watch_only=request.watch_only)
        return self._server.advertised_url, token, ttl_s

    @property
    def _own_urls(self) -> tuple[str, ...]:
        """How an order may name the agent's own server."""
        return own_urls(self._server)

    def _check_server(self, config: ty.RoomConfig, token: str) -> None:
        """Refuse a room without a server, or without a token for it."""
        is_own = config.server_url in self._own_urls
        is_fetched = is_own and not token and self._has_token_endpoint  # the endpoint may name the server, too
        if config.server_url:
            checks.server_url(config.server_url)
        elif self._server is None and not is_fetched:
            text = "no server_url was given and the agent has no room server configured: give one, with a token"
            raise precondition("NO_SERVER", text, room_id=config.room_id)
        if is_own:
            config.ClearField("server_url")
        if not token and not is_fetched and not (is_own and self._server is not None and self._server.can_mint):
            text = f"no token was given and the agent has no key for {config.server_url or 'its server'}: give a token"
            raise precondition("NO_SERVER_KEY", text, room_id=config.room_id)


def _claims(token: str, field: str) -> TokenClaims:
    try:
        return read_claims(token)
    except TokenUnreadable as error:
        raise invalid(field, "TOKEN_UNREADABLE", f"the token is no room token: {error}") from error


def _with_token(room: st.DesiredRoom, token: str) -> st.DesiredRoom:
    """The room with what may be shown of its token."""
    room.has_token = bool(token)
    room.ClearField("token_expires_at")
    expires_at = read_claims(token).expires_at if token else None
    if expires_at is not None:
        with contextlib.suppress(ValueError, OverflowError):  # a year that no calendar has
            room.token_expires_at.FromNanoseconds(int(expires_at * 1e9))
    return room


def _check_claims(claims: TokenClaims, config: ty.RoomConfig, field: str) -> None:
    """Refuse a token that says itself that it is for another room or user."""
    if claims.room_id != config.room_id:
        text = f"the token is for room {claims.room_id!r}, not {config.room_id!r}"
        raise invalid(field, "TOKEN_ROOM_MISMATCH", text, room_id=config.room_id)
    if config.user_id and claims.user_id != config.user_id:
        text = f"the token is for user {claims.user_id!r}, not {config.user_id!r}"
        raise invalid(field, "TOKEN_USER_MISMATCH", text, user_id=config.user_id)
    if not claims.may_join:
        raise invalid(field, "TOKEN_WITHOUT_JOIN", "the token does not allow to join a room (roomJoin)")


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _rtsp_url(body: Desired) -> str:
    return body.config.input.rtsp.url if isinstance(body, st.DesiredCapture) else ""


def _uses_slot(edits: Edit, key: Key, slot: str) -> bool:
    capture = edits.get(key, st.DesiredCapture)
    inputs = (capture.config.input.camera.slot, capture.audio.input.microphone.slot) if capture is not None else ()
    return slot in inputs


def _is_sound(edits: Edit, key: Key) -> bool:
    capture = edits.get(key, st.DesiredCapture)
    return capture is not None and capture.HasField("audio")


def _limit(field: str, message: str) -> OrderError:
    return OrderError(Code.RESOURCE_EXHAUSTED, "LIMIT_REACHED", message, field=field)
