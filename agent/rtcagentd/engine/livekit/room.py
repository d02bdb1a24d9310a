"""One room that the agent is in, or is about to be: an SDK Room and its listeners, from connect to disconnect."""

import asyncio
import contextlib
import inspect
import logging
import math
from collections.abc import Callable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from livekit import rtc
from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import state_pb2 as state
from rtcagent.v1 import statistics_pb2 as stat
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine.audio_sources import AudioSources
from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.events import Events
from rtcagentd.engine.gate import Gate
from rtcagentd.engine.livekit import errors, statistics
from rtcagentd.engine.livekit.media_watch import MediaWatch
from rtcagentd.engine.livekit.messages import MAX_STREAM_BYTES, RoomMessages
from rtcagentd.engine.livekit.own_info import OwnInfo, UserInfo
from rtcagentd.engine.livekit.publications import Publications
from rtcagentd.engine.livekit.slate_attributes import SlateAttributes
from rtcagentd.engine.livekit.speakers import Speakers
from rtcagentd.engine.livekit.subscriptions import Subscriptions
from rtcagentd.engine.media_events import MediaEvents
from rtcagentd.engine.messages import Messages
from rtcagentd.engine.playback import Playback
from rtcagentd.engine.sources import Sources
from rtcagentd.engine.viewing import RemoteUser, Viewing

log = logging.getLogger(__name__)

JOIN_DEADLINE_S = 18.0
CONNECT_ATTEMPT_S = 8.0  # for the signal connection; after a failure the SDK asks for the reason for 3 s more
# After JOIN_DEADLINE_S or a cancelled step: the SDK cannot take back a connect, it can only be waited for.
ABANDONED_CONNECT_S = 30.0
CLOSE_DEADLINE_S = 5.0
WITHDRAW_DEADLINE_S = 1.5  # of all own streams, before that
QUIET_S = 0.25  # several round trips

_QUALITY = {
    rtc.ConnectionQuality.QUALITY_LOST: state.CONNECTION_QUALITY_LOST,
    rtc.ConnectionQuality.QUALITY_POOR: state.CONNECTION_QUALITY_POOR,
    rtc.ConnectionQuality.QUALITY_GOOD: state.CONNECTION_QUALITY_GOOD,
    rtc.ConnectionQuality.QUALITY_EXCELLENT: state.CONNECTION_QUALITY_EXCELLENT,
}


class JoinedRoom:
    """Owner of one SDK Room. `die` is called when the SDK does not let go of it: a second connection beside an old one
    that still retries would be thrown out as a duplicate.
    """

    def __init__(
        self,
        config: types.RoomConfig,
        gate: Gate,
        sources: Sources,
        audio_sources: AudioSources,
        media_events: MediaEvents,
        events: Events,
        messages: Messages,
        playback: Playback,
        on_ended: Callable[["JoinedRoom"], None],
        die: Callable[[str], None],
        viewing: Viewing,
    ) -> None:
        self.config = config
        self._viewing = viewing
        self._speaking: set[str] = set()
        self._events = events
        self._on_ended = on_ended
        self._die = die
        self._room = rtc.Room()
        self.publications = Publications(self._room, gate, sources, audio_sources, media_events, events)
        self.messages = RoomMessages(config.room_id, self._room, messages)
        self.subscriptions = Subscriptions(config, self._room, events, playback, viewing)
        self.speakers = Speakers(config.room_id, events)
        self._state = state.ROOM_STATE_JOINING
        self._reconnecting_cause: types.Cause | None = None
        self._media_watch: MediaWatch | None = None  # while joined
        self._slate_attributes: SlateAttributes | None = None  # likewise
        self._slates = sources.slates
        self._is_signal_lost = False
        self._joined_at = Timestamp()
        self._connected_at = -math.inf  # on the event loop's clock
        self._own_info = OwnInfo(config.room_id, self._room)
        self._info_error: EngineError | None = None  # why the room does not show what was asked for
        self._closing: asyncio.Task[None] | None = None
        self._listen()

    async def join(self) -> None:
        """Connect; EngineError when that fails, and then nothing is left open."""
        connecting = asyncio.create_task(self._connect(), name=f"connect {self.config.room_id}")
        try:
            done, _ = await asyncio.wait([connecting], timeout=JOIN_DEADLINE_S)
            if not done:
                raise EngineError(types.REASON_TIMEOUT, f"joining took longer than {JOIN_DEADLINE_S:g} s")
            connecting.result()
            config = self.config
            # The daemon puts it into the tokens that it signs; a controller's own token may lack it.
            await self.set_user_info(UserInfo(config.extra_info, config.name, dict(config.attributes)))
        except rtc.ConnectError as error:
            raise errors.join_error(error.message, self.config.server_url) from None
        except BaseException:
            await self._abandon(connecting)
            raise
        log.info("joined %s as %s", self.config.room_id, self._room.local_participant.identity)

    @property
    def is_joined(self) -> bool:
        return self._state in (state.ROOM_STATE_JOINED, state.ROOM_STATE_RECONNECTING) and self._closing is None

    def close(self) -> "asyncio.Task[None]":
        """Leave, with everything of the room. The task ends when the connection is closed. Any number of times."""
        if self._closing is None:
            if self._media_watch is not None:
                self._media_watch.close()
            if self._slate_attributes is not None:
                self._slate_attributes.close()
            self.publications.close_frames()
            self.subscriptions.close()
            self.messages.close()
            self._viewing.streams_changed()
            self._closing = asyncio.create_task(self._close(), name=f"close {self.config.room_id}")
        return self._closing

    async def statistics(self) -> tuple[stat.RoomStatistics, list[stat.StreamStatistics]]:
        """What the SDK has counted."""
        return await statistics.read(self.status(whole=True), self._room, self.publications, self.subscriptions)

    def user_ids(self) -> list[str]:
        """The others who are in the room."""
        return sorted(self._room.remote_participants)

    def users(self) -> list[RemoteUser]:
        """The others, and the video that they publish."""
        return [
            RemoteUser(
                room_id=self.config.room_id,
                user_id=participant.identity,
                name=participant.name or participant.identity,
                is_speaking=participant.identity in self._speaking,
                videos=tuple(self.subscriptions.videos_of(participant.identity)),
            )
            for _, participant in sorted(self._room.remote_participants.items())
        ]

    def status(self, *, whole: bool) -> state.RoomStatus:
        """As of now; `whole` with users and publications."""
        local = self._room.local_participant
        status = state.RoomStatus(
            room_id=self.config.room_id,
            state=self._state,
            cause=self._reconnecting_cause,
            user_id=local.identity,
            server_url=self.config.server_url,
            extra_info=local.metadata,
            name=local.name,
            attributes=dict(local.attributes),
            info_cause=self._info_error.cause() if self._info_error is not None else None,
            joined_at=self._joined_at,
            quality=_QUALITY.get(local.connection_quality, state.CONNECTION_QUALITY_UNSPECIFIED),
        )
        if whole:
            for _, participant in sorted(self._room.remote_participants.items()):
                status.users.append(self._user(participant, self.subscriptions.streams_of(participant.identity)))
            status.publications.extend(self.publications.statuses())
        return status

    async def _connect(self) -> None:
        options = rtc.RoomOptions(auto_subscribe=False, dynacast=True, connect_timeout=CONNECT_ATTEMPT_S)
        options.data_stream = rtc.room.DataStreamOptions(max_payload_byte_length=MAX_STREAM_BYTES)  # unpacked
        await self._room.connect(self.config.server_url, self.config.token, options)
        # In one go with the connect, before the SDK can tell the first thing that happens in the room.
        self._state = state.ROOM_STATE_JOINED
        self._joined_at.GetCurrentTime()
        self._connected_at = asyncio.get_running_loop().time()
        self._media_watch = MediaWatch(self.config.room_id, self._room, self.publications, self._events, self._on_link)
        attributes = SlateAttributes(self.config.room_id, self._room, self.publications, self._slates)
        self._slate_attributes, self.publications.on_change = attributes, attributes.look
        for participant in self._room.remote_participants.values():
            self._on_user_joined(participant)
            for publication in participant.track_publications.values():
                self.subscriptions.on_published(publication, participant)
        self._viewing.streams_changed()

    async def _abandon(self, connecting: "asyncio.Task[None]") -> None:
        done, _ = await asyncio.wait([connecting], timeout=ABANDONED_CONNECT_S)
        if not done:
            self._die(f"the SDK neither joins {self.config.room_id} nor gives up")
        if not connecting.cancelled() and connecting.exception() is None:
            await asyncio.wait([self.close()])

    async def set_user_info(self, info: UserInfo) -> contract.SetUserInfoResponse:
        """Show the others `info`; what the room has then."""
        before = self._own_info.seen()
        self._info_error = await self._own_info.show(info)
        if self._own_info.seen() != before:
            self._on_info_changed(self._room.local_participant)
        if self._info_error is None or self._info_error.reason != types.REASON_UNSUPPORTED_BY_ENGINE:
            self.config.extra_info, self.config.name = info.extra_info, info.name
            self.config.attributes.clear()
            self.config.attributes.update(info.attributes)
        local = self._room.local_participant
        answer = contract.SetUserInfoResponse(
            extra_info=local.metadata, name=local.name, attributes=dict(local.attributes)
        )
        if self._info_error is not None:
            answer.failure.CopyFrom(self._info_error.failure())
        return answer

    async def _close(self) -> None:
        if self._state == state.ROOM_STATE_JOINED:  # else nobody would answer
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WITHDRAW_DEADLINE_S):
                    await self.publications.withdraw_all()
        try:
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await asyncio.sleep(max(0.0, self._quiet_at() - asyncio.get_running_loop().time()))
                await self._room.disconnect()
                # After a disconnect by the server the SDK's listener may still have events to read.
                if (listener := getattr(self._room, "_task", None)) is not None:
                    await asyncio.wait([listener])
        except TimeoutError:
            self._die(f"the SDK did not close {self.config.room_id} within {CLOSE_DEADLINE_S:g} s")
        self.publications.dispose()
        if self._room._ffi_handle is not None:
            self._room._ffi_handle.dispose()
        log.info("the connection to %s is closed", self.config.room_id)

    def _quiet_at(self) -> float:
        """When the last exchange about connection and tracks will be over. A server that is still writing when the SDK
        closes its socket does not read that the agent leaves, and shows it to the others for 20 s more.
        """
        return max(self._connected_at, self.publications.changed_at) + QUIET_S

    def _listen(self) -> None:
        subscriptions = self.subscriptions
        self._on("participant_connected", self._on_user_joined)
        self._on("participant_disconnected", self._on_user_left)
        self._on("participant_metadata_changed", self._on_info_changed)
        self._on("participant_name_changed", self._on_info_changed)
        self._on("participant_attributes_changed", lambda _changed, participant: self._on_info_changed(participant))
        self._on("connection_quality_changed", self._on_quality)
        self._on("data_received", self.messages.on_packet)
        self._on("track_published", subscriptions.on_published)
        self._on("track_unpublished", subscriptions.on_unpublished)
        self._on("track_subscribed", subscriptions.on_subscribed)
        self._on("track_unsubscribed", lambda _track, publication: subscriptions.on_unsubscribed(publication))
        self._on("track_subscription_failed", lambda _user, sid, error: subscriptions.on_failed(sid, error))
        self._on("track_muted", lambda user, publication: self._on_muted(user, publication, True))
        self._on("track_unmuted", lambda user, publication: self._on_muted(user, publication, False))
        self._on("active_speakers_changed", self.speakers.on_changed)
        self._on("local_track_unpublished", self.publications.on_unpublished)
        self._on("active_speakers_changed", self._on_speakers)
        self._on("reconnecting", self._on_reconnecting)
        self._on("reconnected", self._on_reconnected)
        self._on("disconnected", self._on_disconnected)

    def _on(self, event: rtc.room.EventTypes, listener: Callable[..., None]) -> None:
        # While the room is being left, and after that, nothing of it is news any more.
        count = len(inspect.signature(listener).parameters)

        def tell(*arguments: Any) -> None:
            if self._closing is None:
                listener(*arguments[:count])
                self._viewing.streams_changed()

        self._room.on(event, tell)

    def _on_user_joined(self, participant: rtc.RemoteParticipant) -> None:
        event = contract.UserJoined(room_id=self.config.room_id, user=self._user(participant, []))
        self._events.emit(contract.EngineEvent(user_joined=event))

    def _on_user_left(self, participant: rtc.RemoteParticipant) -> None:
        self.subscriptions.on_user_left(participant.identity)
        self.speakers.on_user_left(participant.identity)
        cause = errors.user_left(participant.disconnect_reason)
        event = contract.UserLeft(room_id=self.config.room_id, user_id=participant.identity, cause=cause)
        self._events.emit(contract.EngineEvent(user_left=event))

    def _on_info_changed(self, participant: rtc.Participant) -> None:
        if participant is self._room.local_participant:
            self._own_info.changed.set()
            if self._own_info.is_changing:
                return  # told once, when all of it is as asked
        event = contract.UserInfoChanged(
            room_id=self.config.room_id,
            user_id=participant.identity,
            extra_info=participant.metadata,
            name=participant.name,
            attributes=dict(participant.attributes),
        )
        self._events.emit(contract.EngineEvent(user_info_changed=event))

    def _on_quality(self, participant: rtc.Participant | None, quality: rtc.ConnectionQuality) -> None:
        if participant is None or quality not in _QUALITY:
            return
        event = contract.ConnectionQualityChanged(
            room_id=self.config.room_id, user_id=participant.identity, quality=_QUALITY[quality]
        )
        self._events.emit(contract.EngineEvent(connection_quality_changed=event))

    def _on_muted(self, participant: rtc.Participant, publication: rtc.TrackPublication, muted: bool) -> None:
        if participant is not self._room.local_participant:
            self.subscriptions.on_muted(publication, muted)
        elif muted:
            self.publications.on_muted_by_room(publication)

    def _on_speakers(self, speakers: list[rtc.Participant]) -> None:
        self._speaking = {participant.identity for participant in speakers}

    def _on_reconnecting(self) -> None:
        self._is_signal_lost = True
        self._tell_connection("the connection to the room was lost and is being restored")

    def _on_reconnected(self) -> None:
        self._is_signal_lost = False
        self._tell_connection("")
        self.subscriptions.on_reconnected()

    def _on_link(self, is_alive: bool) -> None:
        if self._closing is None:
            self._tell_connection("" if is_alive else "nothing comes back from the room server any more")

    def _tell_connection(self, why_lost: str) -> None:
        """It is lost while either the signal connection or the one for media is."""
        is_link_lost = self._media_watch is not None and not self._media_watch.is_alive
        is_lost = self._is_signal_lost or is_link_lost
        if is_lost and self._state == state.ROOM_STATE_JOINED:
            self._state = state.ROOM_STATE_RECONNECTING
            self._reconnecting_cause = types.Cause(reason=types.REASON_NETWORK_LOST, message=why_lost)
            log.warning("%s: %s", self.config.room_id, why_lost)
            lost = contract.RoomReconnecting(room_id=self.config.room_id, cause=self._reconnecting_cause)
            self._events.emit(contract.EngineEvent(room_reconnecting=lost))
        elif not is_lost and self._state == state.ROOM_STATE_RECONNECTING:
            self._state = state.ROOM_STATE_JOINED
            self._reconnecting_cause = None
            log.info("the connection to %s is restored", self.config.room_id)
            restored = contract.RoomReconnected(room_id=self.config.room_id)
            self._events.emit(contract.EngineEvent(room_reconnected=restored))

    def _on_disconnected(self, reason: int) -> None:
        error = errors.room_ended(reason)
        log.warning("out of %s: %s", self.config.room_id, error.message)
        self._state = state.ROOM_STATE_LEFT
        self.close().add_done_callback(lambda _: self._tell_ended(error))

    def _tell_ended(self, error: EngineError) -> None:
        self._on_ended(self)
        event = contract.RoomEnded(room_id=self.config.room_id, failure=error.failure())
        self._events.emit(contract.EngineEvent(room_ended=event))

    def _user(self, participant: rtc.RemoteParticipant, streams: list[state.RemoteStream]) -> state.User:
        user = state.User(
            user_id=participant.identity,
            extra_info=participant.metadata,
            name=participant.name,
            attributes=dict(participant.attributes),
            streams=streams,
            quality=_QUALITY.get(participant.connection_quality, state.CONNECTION_QUALITY_UNSPECIFIED),
        )
        if participant.joined_at is not None:
            user.joined_at.FromDatetime(participant.joined_at)
        return user
