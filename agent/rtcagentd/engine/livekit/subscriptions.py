"""The streams of the other users in one room: which there are, which are taken, and the frames of those."""

import asyncio
import logging
import math
import time
from dataclasses import dataclass, field

from livekit import rtc
from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import capture_pb2 as capture
from rtcagent.v1 import state_pb2 as state
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.events import Events
from rtcagentd.engine.livekit import encoding, errors, ffi
from rtcagentd.engine.livekit.reception import Listening, Reception
from rtcagentd.engine.playback import Playback, RemoteSound
from rtcagentd.engine.viewing import RemoteVideo, StreamId, Viewing

log = logging.getLogger(__name__)

SUBSCRIBE_DEADLINE_S = 4.0
# The server takes no notice of a stream that is given up and asked for again before it has let go of it (20 ms are
# too short, 100 ms are not, on loopback with livekit-server 1.13), while the SDK waits for it anew.
LET_GO_S = 0.25

StreamKey = tuple[str, "types.StreamKind.ValueType", str]  # user_id, kind, name


@dataclass
class Remote:
    """One stream of another user."""

    key: StreamKey
    publication: rtc.RemoteTrackPublication
    is_video: bool
    received: ffi.ReceivedStream | None = None  # while subscribed, of video
    sound: tuple[RemoteSound, ffi.ReceivedSound] | None = None  # while subscribed, of audio
    listening: Listening | None = None  # likewise
    track_handle: int = 0  # while subscribed
    reception: Reception | None = None  # likewise
    given_up_at: float = -math.inf  # on the monotonic clock
    failure: EngineError | None = None  # of the last try to subscribe
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def stream(self) -> state.RemoteStream:
        if self.failure is not None:
            subscription = state.SUBSCRIPTION_STATE_REFUSED
        elif self.publication.subscribed:
            subscription = state.SUBSCRIPTION_STATE_SUBSCRIBED
        else:
            subscription = state.SUBSCRIPTION_STATE_UNSUBSCRIBED
        return state.RemoteStream(
            kind=self.key[1],
            name=self.key[2],
            muted=self.publication.muted,
            width=self.publication.width,
            height=self.publication.height,
            subscription=subscription,
            cause=self.failure.cause() if self.failure else None,
        )

    def close(self, playback: Playback) -> None:
        if self.received is not None:
            self.received.close()
            self.received = self.reception = None
        if self.sound is not None:
            sound, received = self.sound
            self.sound = self.listening = None
            received.close()
            playback.remove(sound)
        self.track_handle = 0


class Subscriptions:
    """Of one room. Server-side ids end here: outwards a stream is a user, a kind and a name."""

    def __init__(
        self, config: types.RoomConfig, room: rtc.Room, events: Events, playback: Playback, viewing: Viewing
    ) -> None:
        self._room_id = config.room_id
        self._auto_video = config.auto_subscribe_video
        self._auto_audio = config.auto_subscribe_audio
        self._room = room
        self._events = events
        self._playback = playback
        self._remotes: dict[str, Remote] = {}  # by the server's id of the track
        self._qualities: dict[StreamKey, types.StreamQuality] = {}  # what was wanted of one stream, alike
        self._ordered: dict[StreamKey, bool] = {}  # what was ordered for one stream, for as long as the room is open
        self._unheard: set[StreamKey] = set()  # sound that is received for recordings alone
        self._received_anyway: set[StreamKey] = set()  # by order, whether somebody looks or not
        self._viewing = viewing
        self._end_listening = viewing.on_views(self._on_views)

    def streams_of(self, user_id: str) -> list[state.RemoteStream]:
        remotes = [remote for remote in self._remotes.values() if remote.key[0] == user_id]
        return [remote.stream() for remote in sorted(remotes, key=lambda remote: remote.key)]

    def on_published(self, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant) -> None:
        if publication.sid in self._remotes:
            return
        is_video = publication.kind == rtc.TrackKind.KIND_VIDEO
        kind = encoding.stream_kind(publication.source, is_video)
        key = self._unique(participant.identity, kind, publication.name)
        remote = Remote(key, publication, is_video)
        self._remotes[publication.sid] = remote
        event = contract.StreamPublished(room_id=self._room_id, user_id=key[0], stream=remote.stream())
        self._events.emit(contract.EngineEvent(stream_published=event))
        if self._is_wanted(remote):
            publication.set_subscribed(True)

    def on_unpublished(self, publication: rtc.RemoteTrackPublication) -> None:
        remote = self._remotes.pop(publication.sid, None)
        if remote is None:
            return
        remote.close(self._playback)
        remote.changed.set()
        user_id, kind, name = remote.key
        event = contract.StreamUnpublished(room_id=self._room_id, user_id=user_id, kind=kind, name=name)
        self._events.emit(contract.EngineEvent(stream_unpublished=event))

    def on_user_left(self, user_id: str) -> None:
        """What the server did not unpublish one by one goes with its user."""
        for remote in [remote for remote in self._remotes.values() if remote.key[0] == user_id]:
            self.on_unpublished(remote.publication)

    def on_muted(self, publication: rtc.TrackPublication, muted: bool) -> None:
        remote = self._remotes.get(publication.sid)
        if remote is None:
            return
        user_id, kind, name = remote.key
        event = contract.StreamMuted(room_id=self._room_id, user_id=user_id, kind=kind, name=name, muted=muted)
        self._events.emit(contract.EngineEvent(stream_muted=event))

    def on_subscribed(self, track: rtc.RemoteTrack, publication: rtc.RemoteTrackPublication) -> None:
        remote = self._remotes.get(publication.sid)
        if remote is None:
            return
        remote.close(self._playback)
        remote.failure = None
        remote.track_handle = track._ffi_handle.handle
        if remote.is_video:
            if (quality := self._qualities.get(remote.key)) is not None:
                ffi.set_quality(publication._ffi_handle.handle, quality)
            remote.received = ffi.ReceivedStream(track._ffi_handle.handle)
            remote.reception = Reception(remote.received, publication)
            self._receive(remote)
        else:
            is_heard = remote.key not in self._unheard
            sound = self._playback.add(
                self._room_id, remote.key[0], lambda: self._tell_first_sound(remote), is_heard=is_heard
            )
            received = ffi.ReceivedSound(track._ffi_handle.handle, sound.input)
            remote.sound, remote.listening = (sound, received), Listening(received)
            self._receive(remote)
        self._tell(remote, subscribed=True)

    def on_unsubscribed(self, publication: rtc.RemoteTrackPublication) -> None:
        remote = self._remotes.get(publication.sid)
        if remote is None:
            return
        remote.close(self._playback)
        self._tell(remote, subscribed=False)

    def on_failed(self, track_sid: str, text: str) -> None:
        remote = self._remotes.get(track_sid)
        if remote is None:
            return
        remote.failure = errors.subscription_error(text)
        self._tell(remote, subscribed=False)

    def on_reconnected(self) -> None:
        """Ask again for what is not so. While the connection was being restored the SDK told of streams, and dropped
        what it was asked about them.
        """
        for remote in self._remotes.values():
            is_wanted = self._is_wanted(remote)
            if remote.failure is None and remote.publication.subscribed != is_wanted:
                remote.publication.set_subscribed(is_wanted)
            if remote.reception is not None:
                if (quality := self._qualities.get(remote.key)) is not None:
                    ffi.set_quality(remote.publication._ffi_handle.handle, quality)
                remote.reception.forget()
                self._receive(remote)

    async def set_subscribed(
        self,
        key: StreamKey,
        subscribed: bool,
        quality: types.StreamQuality | None = None,
        *,
        ordered: bool,
        unheard: bool = False,
    ) -> None:
        """Take the stream, in a quality (None: what fits who looks, or the highest), or no longer; back when it is so.
        `ordered`: receive it though nobody looks at it. `unheard`: sound that is not to be played.
        """
        remote = self._find(key)
        if remote is None:
            raise EngineError(types.REASON_STREAM_NOT_PUBLISHED, f"user {key[0]} publishes no such stream in this room")
        if subscribed and not self._room.local_participant.permissions.can_subscribe:
            raise EngineError(types.REASON_NO_PERMISSION, "the room token does not allow subscribing")
        self._ordered[key] = subscribed
        self._set_quality(remote, quality or types.StreamQuality())
        if ordered and subscribed:
            self._received_anyway.add(key)
        else:
            self._received_anyway.discard(key)
        self._set_heard(remote, not unheard)
        self._receive(remote)
        if remote.publication.subscribed == subscribed:
            return
        remote.failure = None
        try:
            async with asyncio.timeout(SUBSCRIBE_DEADLINE_S):
                if subscribed:
                    await asyncio.sleep(remote.given_up_at + LET_GO_S - time.monotonic())
                    remote.publication.set_subscribed(True)
                else:
                    self._give_up(remote)
                while remote.publication.subscribed != subscribed:
                    if self._find(key) is not remote:
                        raise EngineError(types.REASON_STREAM_NOT_PUBLISHED, "the stream ended")
                    if remote.failure is not None:
                        raise remote.failure
                    remote.changed.clear()
                    await remote.changed.wait()
        except TimeoutError:
            self._give_up(remote)  # so that the next try is one
            raise EngineError(types.REASON_TIMEOUT, f"the room sent nothing for {SUBSCRIBE_DEADLINE_S:g} s") from None

    def _give_up(self, remote: Remote) -> None:
        remote.publication.set_subscribed(False)
        remote.given_up_at = time.monotonic()

    def track_handles(self) -> list[tuple[StreamKey, int]]:
        """Of the streams that are taken."""
        remotes = sorted(self._remotes.values(), key=lambda remote: remote.key)
        return [(remote.key, remote.track_handle) for remote in remotes if remote.track_handle]

    def _set_quality(self, remote: Remote, quality: types.StreamQuality) -> None:
        if self._qualities.get(remote.key, types.StreamQuality()) == quality:
            return
        self._qualities[remote.key] = quality
        if remote.is_video and remote.publication.subscribed:  # else once it is
            ffi.set_quality(remote.publication._ffi_handle.handle, quality)

    def _set_heard(self, remote: Remote, is_heard: bool) -> None:
        if is_heard:
            self._unheard.discard(remote.key)
        else:
            self._unheard.add(remote.key)
        if remote.sound is not None:
            self._playback.set_heard(remote.sound[0], is_heard)

    def named(self, user_id: str, kind: types.StreamKind.ValueType, name: str) -> StreamKey | None:
        """Of the streams that are taken, the one of this name, or the first of its kind where the name is empty."""
        taken = sorted(remote.key for remote in self._remotes.values() if remote.received is not None)
        return next((key for key in taken if key[:2] == (user_id, kind) and name in ("", key[2])), None)

    def received(self, key: StreamKey) -> ffi.ReceivedStream | None:
        """The frames of a subscribed video stream."""
        remote = self._find(key)
        return remote.received if remote else None

    def videos_of(self, user_id: str) -> list[RemoteVideo]:
        """The video streams of a user."""
        return [
            RemoteVideo(
                StreamId(self._room_id, *remote.key),
                is_subscribed=remote.received is not None,
                is_wanted=self._is_wanted(remote) and remote.failure is None,
                is_muted=remote.publication.muted,
            )
            for remote in self._remotes.values()
            if remote.is_video and remote.key[0] == user_id
        ]

    def is_received(self, key: StreamKey) -> bool:
        """Whether the room server is to send this subscribed video."""
        remote = self._find(key)
        return remote is not None and remote.reception is not None and remote.reception.is_on

    def stats(self) -> list[capture.RemoteStreamStats]:
        all_stats = []
        for remote in sorted(self._remotes.values(), key=lambda remote: remote.key):
            stats = remote.received.stats() if remote.received else None
            if stats is not None:
                user_id, kind, name = remote.key
                all_stats.append(
                    capture.RemoteStreamStats(
                        room_id=self._room_id,
                        user_id=user_id,
                        kind=kind,
                        name=name,
                        frames_received=stats.frames_received,
                        width=stats.width,
                        height=stats.height,
                        longest_gap_us=stats.longest_gap_us,
                    )
                )
        return all_stats

    def close(self) -> None:
        for remote in self._remotes.values():
            remote.close(self._playback)
            remote.changed.set()
        self._remotes.clear()
        self._end_listening()

    def _on_views(self, stream: StreamId) -> None:
        remote = self._find(stream[1:]) if stream.room_id == self._room_id else None
        if remote is not None:
            self._receive(remote)

    def _receive(self, remote: Remote) -> None:
        views = self._viewing.views(StreamId(self._room_id, *remote.key))
        if remote.listening is not None:
            remote.listening.apply(views.values())
        if remote.reception is not None:
            has_quality = self._qualities.get(remote.key, types.StreamQuality()).ByteSize() > 0
            remote.reception.apply(views.values(), anyway=remote.key in self._received_anyway, has_quality=has_quality)

    def _tell(self, remote: Remote, *, subscribed: bool) -> None:
        remote.changed.set()
        user_id, kind, name = remote.key
        event = contract.SubscriptionChanged(
            room_id=self._room_id,
            user_id=user_id,
            kind=kind,
            name=name,
            subscribed=subscribed,
            failure=remote.failure.failure() if remote.failure else None,
        )
        self._events.emit(contract.EngineEvent(subscription_changed=event))

    def _tell_first_sound(self, remote: Remote) -> None:
        user_id, kind, name = remote.key
        first = contract.FirstRemoteAudioFrame(room_id=self._room_id, user_id=user_id, kind=kind, name=name)
        self._events.emit(contract.EngineEvent(first_remote_audio_frame=first))

    def _is_wanted(self, remote: Remote) -> bool:
        default = self._auto_video if remote.is_video else self._auto_audio
        return self._ordered.get(remote.key, default)

    def _find(self, key: StreamKey) -> Remote | None:
        return next((remote for remote in self._remotes.values() if remote.key == key), None)

    def _unique(self, user_id: str, kind: types.StreamKind.ValueType, name: str) -> StreamKey:
        # LiveKit lets a user publish several tracks of one source and name.
        key, number = (user_id, kind, name), 1
        while self._find(key) is not None:
            number += 1
            key = (user_id, kind, f"{name}~{number}")
        return key
