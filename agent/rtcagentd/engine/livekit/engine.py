"""The livekit engine: its rooms by room_id, and what it can do."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable

from livekit import rtc
from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import agent_pb2 as agent
from rtcagent.v1 import capture_pb2 as capture
from rtcagent.v1 import devices_pb2 as devices
from rtcagent.v1 import messages_pb2 as msg
from rtcagent.v1 import state_pb2 as state
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native
from rtcagentd.engine.audio_sources import AudioSources
from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.events import Events
from rtcagentd.engine.gate import Gate
from rtcagentd.engine.livekit import ffi
from rtcagentd.engine.livekit.encoders import list_encoders
from rtcagentd.engine.livekit.own_info import UserInfo
from rtcagentd.engine.livekit.room import JoinedRoom
from rtcagentd.engine.media_events import MediaEvents
from rtcagentd.engine.messages import Messages
from rtcagentd.engine.playback import Playback
from rtcagentd.engine.sources import Sources
from rtcagentd.engine.threads import in_thread
from rtcagentd.engine.viewing import RemoteUser, StreamId, View, Viewing

# livekit-server takes this much in a token and through SetMetadata (its limit.max_metadata_size is 64,000 by default).
MAX_EXTRA_INFO_BYTES = 64_000

# Of a stream that nobody looks at: how long a snapshot waits for a picture, and how long the next need not.
FIRST_PICTURE_S = 3.0
SNAPSHOT_LOOK_S = 5.0


class LiveKitEngine:
    """See Engine."""

    kind = "livekit"

    def __init__(
        self,
        gate: Gate,
        sources: Sources,
        audio_sources: AudioSources,
        media_events: MediaEvents,
        events: Events,
        messages: Messages,
        playback: Playback,
        die: Callable[[str], None],
        viewing: Viewing,
    ) -> None:
        ffi.load()
        self.version = f"{rtc.__version__} (GStreamer {_native.gstreamer_version()})"
        self._gate = gate
        self._sources = sources
        self._audio_sources = audio_sources
        self._media_events = media_events
        self._events = events
        self._messages = messages
        self._playback = playback
        self._die = die
        self._viewing = viewing
        self._snapshots = itertools.count(1)
        self._rooms: dict[str, JoinedRoom] = {}

    def capabilities(self) -> list[agent.Capability.ValueType]:
        return [
            agent.CAPABILITY_CAMERA,
            agent.CAPABILITY_RTSP,
            agent.CAPABILITY_FILE,
            agent.CAPABILITY_TEST_PATTERN,
            agent.CAPABILITY_SIMULCAST,
            agent.CAPABILITY_VP8,
            agent.CAPABILITY_VP9,
            agent.CAPABILITY_H264,
            agent.CAPABILITY_AV1,
            agent.CAPABILITY_ROTATE,
            agent.CAPABILITY_MIRROR,
            agent.CAPABILITY_SNAPSHOT_LOCAL,
            agent.CAPABILITY_SNAPSHOT_REMOTE,
            agent.CAPABILITY_MUTE_PER_ROOM,
            agent.CAPABILITY_SUBSCRIBE_PER_STREAM,
            agent.CAPABILITY_MICROPHONE,
            agent.CAPABILITY_AUDIO_PROCESSING,
            agent.CAPABILITY_PLAYBACK,
            agent.CAPABILITY_RECORDING,
            agent.CAPABILITY_MIRROR_APART,
            agent.CAPABILITY_SCALABILITY_MODE,
            agent.CAPABILITY_ENCODER_CHOICE,
        ]

    def encoders(self) -> list[capture.VideoEncoder]:
        return list_encoders()

    def limits(self) -> agent.EngineLimits:
        return agent.EngineLimits(
            max_extra_info_bytes=MAX_EXTRA_INFO_BYTES, room_profiles=[types.ROOM_PROFILE_COMMUNICATION]
        )

    async def join(self, config: types.RoomConfig) -> state.RoomStatus:
        current = self._rooms.get(config.room_id)
        if current is not None:
            if current.is_joined and current.config == config:
                return current.status(whole=False)
            await self.leave(config.room_id)
        room = JoinedRoom(
            *(config, self._gate, self._sources, self._audio_sources, self._media_events, self._events),
            *(self._messages, self._playback, self._on_ended, self._die, self._viewing),
        )
        self._rooms[config.room_id] = room
        try:
            await room.join()
        except BaseException:
            self._on_ended(room)
            raise
        if not room.is_joined:  # thrown out while the last details were settled; RoomEnded tells why
            raise EngineError(types.REASON_ROOM_CLOSED, f"the room {config.room_id} ended at once")
        return room.status(whole=False)

    async def leave(self, room_id: str) -> None:
        room = self._rooms.get(room_id)
        if room is not None:
            await asyncio.wait([room.close()])
            self._on_ended(room)

    async def set_user_info(self, request: contract.SetUserInfoRequest) -> contract.SetUserInfoResponse:
        info = UserInfo(request.extra_info, request.name, dict(request.attributes))
        return await self._joined(request.room_id).set_user_info(info)

    async def publish(self, request: contract.PublishRequest) -> state.PublicationStatus:
        return await self._joined(request.room_id).publications.publish(request)

    async def unpublish(self, room_id: str, source_id: str) -> None:
        room = self._rooms.get(room_id)
        if room is not None:
            await room.publications.unpublish(source_id)

    def set_muted(self, room_id: str, source_id: str, muted: bool) -> None:
        self._joined(room_id).publications.set_muted(source_id, muted)

    async def set_subscribed(
        self,
        room_id: str,
        user_id: str,
        kind: types.StreamKind.ValueType,
        name: str,
        subscribed: bool,
        quality: types.StreamQuality | None = None,
        *,
        ordered: bool,
        unheard: bool = False,
    ) -> None:
        subscriptions = self._joined(room_id).subscriptions
        stream = (user_id, kind, name)
        await subscriptions.set_subscribed(stream, subscribed, quality, ordered=ordered, unheard=unheard)

    async def statistics(self) -> contract.GetStatisticsResponse:
        response = contract.GetStatisticsResponse()
        joined = [room for _, room in sorted(self._rooms.items()) if room.is_joined]
        for room, streams in await asyncio.gather(*(each.statistics() for each in joined)):
            response.rooms.append(room)
            response.streams.extend(streams)
        return response

    async def send_message(self, message: msg.SendMessageRequest) -> None:
        await self._joined(message.room_id).messages.send(message)

    def user_ids(self, room_id: str) -> list[str]:
        room = self._rooms.get(room_id)
        return room.user_ids() if room is not None else []

    def rooms(self) -> list[state.RoomStatus]:
        return [room.status(whole=True) for _, room in sorted(self._rooms.items()) if room.is_joined]

    async def remote_snapshot(
        self, stream: types.ObjectRef.RemoteStream, image_format: str
    ) -> "_native.Snapshot | contract.TakeSnapshotResponse.Missing.ValueType":
        room = self._rooms.get(stream.room_id)
        key = room.subscriptions.named(stream.user_id, stream.kind, stream.name) if room else None
        received = room.subscriptions.received(key) if room and key else None
        if room is None or key is None or received is None:
            return contract.TakeSnapshotResponse.MISSING_NOT_SUBSCRIBED
        if not room.subscriptions.is_received(key):
            await self._look_once(StreamId(stream.room_id, *key), received)
        snapshot = await in_thread(lambda: received.snapshot(image_format))
        return snapshot or contract.TakeSnapshotResponse.MISSING_NO_FRAME

    def audio_properties(self) -> list[devices.WatchAudioPropertiesResponse.Room]:
        return [
            devices.WatchAudioPropertiesResponse.Room(
                room_id=room_id,
                users=self._playback.levels(room_id),
                active_speaker=room.speakers.active,
                speaking=room.speakers.speaking,
            )
            for room_id, room in sorted(self._rooms.items())
            if room.is_joined
        ]

    async def _look_once(self, stream: StreamId, received: ffi.ReceivedStream) -> None:
        """Have a stream received that nobody looks at, until its first picture has come, and a little longer."""
        viewer = f"snapshot {next(self._snapshots)}"
        before = received.stats()
        self._viewing.look(stream, viewer, View(None))
        asyncio.get_running_loop().call_later(SNAPSHOT_LOOK_S, self._viewing.look_away, stream, viewer)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_PICTURE_S):
                count = before.frames_received if before else 0
                while (now := received.stats()) and now.frames_received == count:  # noqa: ASYNC110 -- frames tell nobody
                    await asyncio.sleep(0.02)

    def users(self) -> list[RemoteUser]:
        return [user for _, room in sorted(self._rooms.items()) if room.is_joined for user in room.users()]

    def publication_stats(self) -> list[capture.PublicationStats]:
        return [stats for _, room in sorted(self._rooms.items()) for stats in room.publications.stats()]

    def remote_stats(self) -> list[capture.RemoteStreamStats]:
        return [stats for _, room in sorted(self._rooms.items()) for stats in room.subscriptions.stats()]

    async def close(self) -> None:
        closing = [room.close() for room in self._rooms.values()]
        if closing:
            await asyncio.wait(closing)
        self._rooms.clear()

    def _joined(self, room_id: str) -> JoinedRoom:
        room = self._rooms.get(room_id)
        if room is None or not room.is_joined:
            raise EngineError(types.REASON_ROOM_NOT_JOINED, f"the room {room_id} is not joined")
        return room

    def _on_ended(self, room: JoinedRoom) -> None:
        if self._rooms.get(room.config.room_id) is room:
            del self._rooms[room.config.room_id]
