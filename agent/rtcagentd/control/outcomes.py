"""Compares desired and reported state, object by object: what is reached, what waits and for what, what was refused."""

import asyncio
from collections.abc import Iterable

from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import fold

from rtcagentd.control.canvas_plan import judge_canvas, judge_layout
from rtcagentd.control.events import cause
from rtcagentd.control.ledger import Taken
from rtcagentd.control.objects import PLAYBACK_KEY, Key, capture_key, ref_of, room_key
from rtcagentd.control.plan import digest, info_digest, room_digest, shown, stream_digest
from rtcagentd.control.progress import ProgressTable
from rtcagentd.control.recording_plan import judge_recording, recorded_remotes
from rtcagentd.control.sound_plan import digest_of, playback_request, remote_volume_request
from rtcagentd.control.state import State
from rtcagentd.control.wanted import resolve, wanted_streams

REACHED = ty.Outcome.KIND_REACHED
WAITING = ty.Outcome.KIND_WAITING
REFUSED = ty.Outcome.KIND_REFUSED
SUPERSEDED = ty.Outcome.KIND_SUPERSEDED

# Waiting for another order, a person or another user: nothing of it changes by waiting for it here.
_WAITS_FOR_OTHERS = (
    ty.REASON_SOURCE_NOT_CAPTURED,
    ty.REASON_ROOM_NOT_JOINED,
    ty.REASON_STREAM_NOT_PUBLISHED,
    ty.REASON_DEVICE_ABSENT,
    ty.REASON_NO_DISPLAY,
    ty.REASON_PORTAL_MISSING,
    ty.REASON_SHARE_UNANSWERED,
    ty.REASON_NO_SOUND_SERVER,
    ty.REASON_STREAM_NOT_SUBSCRIBED,
    ty.REASON_DISK_LOW,
    ty.REASON_FOLDER_UNUSABLE,
)


class Outcomes:
    """Answers what became of objects and orders."""

    def __init__(self, state: State, progress: ProgressTable) -> None:
        self._state = state
        self._progress = progress

    async def settle(self, taken: Taken, wait_s: float) -> ty.OrderResult:
        """Wait until every object of the order is settled, `wait_s` at the most, and say how each is."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while True:
            version = self._state.version
            outcomes = [self.of_order(key, taken.revision, wanted) for key, wanted in taken.objects.items()]
            if all(_is_settled(outcome) for outcome in outcomes) or loop.time() >= deadline:
                return ty.OrderResult(revision=taken.revision, outcomes=outcomes)
            try:
                await asyncio.wait_for(self._state.wait_for_change(version), max(0.0, deadline - loop.time()))
            except TimeoutError:
                continue

    def differences(self) -> Iterable[ty.Outcome]:
        """Every object that is not as desired."""
        return (outcome for outcome in map(self.of, sorted(self._state.rows)) if outcome.kind != REACHED)

    def of_order(self, key: Key, revision: int, wanted: bool) -> ty.Outcome:
        """What became of what the order of `revision` asked for: that the object be, or be no more."""
        row = self._state.rows.get(key)
        if row is not None and row.revision > revision:
            return _superseded(key, f"changed by the order of revision {row.revision}")
        if row is None and wanted:
            return _superseded(key, "a later order, or its end (its time is over, its window closed), has removed it")
        return self.of(key)

    def of(self, key: Key) -> ty.Outcome:
        """How an object is, desired or not."""
        kind, why = self._judge(key)
        outcome = ty.Outcome(object=ref_of(key), kind=kind)
        if kind != REACHED:
            outcome.cause.CopyFrom(why or self._engine_cause())
        return outcome

    def _judge(self, key: Key) -> tuple[ty.Outcome.Kind.ValueType, ty.Cause | None]:
        match key.kind:
            case "room":
                return self._room(key)
            case "capture":
                return self._capture(key)
            case "stream":
                return self._stream(key)
            case "subscription":
                return self._subscription(key)
            case "playback":
                return self._playback()
            case "remote_volume":
                return self._remote_volume(key)
            case "canvas":
                return judge_canvas(self._state, self._progress, key)
            case "layout":
                return judge_layout(self._state, self._progress, key)
            case "recording":
                return judge_recording(self._state, self._progress, key)
        return REACHED, None  # a slot is a name, and levels are told by the daemon: it is so once it is stored

    def _room(self, key: Key) -> tuple[ty.Outcome.Kind.ValueType, ty.Cause | None]:
        row = self._state.rows.get(key)
        status = fold.find_room(self._state.reported, key.text)
        if row is None or not isinstance(row.body, st.DesiredRoom):
            return (REACHED, None) if status is None else (WAITING, cause(ty.REASON_ORDERED, "the room is being left"))
        if status is None:
            return WAITING, None
        asked = room_digest(row.body, row.secret)
        if status.state == st.ROOM_STATE_REFUSED:
            return self._refused(key, asked, status.cause)
        if status.state == st.ROOM_STATE_JOINED:
            if self._progress.peek(key).applied == asked:
                return self._user_info(key, row.body, status)
            return WAITING, cause(ty.REASON_ORDERED, "the room is being joined anew with its new configuration")
        if status.state == st.ROOM_STATE_JOINING:
            return WAITING, cause(ty.REASON_ORDERED, "the room is being joined")
        return WAITING, status.cause

    def _user_info(
        self, key: Key, room: st.DesiredRoom, status: st.RoomStatus
    ) -> tuple[ty.Outcome.Kind.ValueType, ty.Cause | None]:
        """Of a room that is joined as asked: whether the others see what they are to see."""
        progress = self._progress.peek(key)
        failed = status.info_cause if status.HasField("info_cause") else None
        if shown(progress) == info_digest(room.config):
            # a refusal that is still told of the room's last connection says nothing of this one
            return (REFUSED, failed) if progress.is_info_refused else (REACHED, None)
        if failed is not None and failed.reason != ty.REASON_NO_PERMISSION:
            return WAITING, failed
        return WAITING, cause(ty.REASON_ORDERED, "what the others see of the agent is being changed")

    def _capture(self, key: Key) -> tuple[ty.Outcome.Kind.ValueType, ty.Cause | None]:
        capture = self._state.get(key, st.DesiredCapture)
        status = fold.find_capture(self._state.reported, key.text)
        if capture is None:
            return (
                (REACHED, None) if status is None else (WAITING, cause(ty.REASON_ORDERED, "the source is being closed"))
            )
        if status is None:
            return WAITING, None
        config = resolve(self._state, capture)
        if status.state == st.CAPTURE_STATE_REFUSED:
            return self._refused(key, b"" if isinstance(config, ty.Cause) else digest(config), status.cause)
        if status.state == st.CAPTURE_STATE_CAPTURING:
            if isinstance(config, ty.Cause) or self._progress.peek(key).applied == digest(config):
                return REACHED, None
            failed = self._progress.peek(key).cause
            return WAITING, failed or cause(ty.REASON_ORDERED, "the source is being opened with its new configuration")
        if status.state == st.CAPTURE_STATE_STARTING:
            return WAITING, cause(ty.REASON_ORDERED, "the source is being opened")
        if isinstance(config, ty.Cause):
            return WAITING, config
        if status.cause.reason == ty.REASON_DEVICE_ABSENT != self._progress.peek(key).failed_for:
            return WAITING, cause(ty.REASON_ORDERED, "its device is there, and is being opened")
        return WAITING, status.cause

    def _stream(self, key: Key) -> tuple[ty.Outcome.Kind.ValueType, ty.Cause | None]:
        room_id, source_id = key.text.split("/")
        status = fold.find_publication(self._state.reported, room_id, source_id)
        wanted = next(
            (item for item in wanted_streams(self._state) if (item.room_id, item.source_id) == (room_id, source_id)),
            None,
        )
        if wanted is None:
            if status is not None:
                return WAITING, cause(ty.REASON_ORDERED, "the stream is being unpublished")
            return self._unwanted_stream(key, room_id, source_id)
        if status is not None and status.state == st.PUBLICATION_STATE_REFUSED:
            return self._refused(key, stream_digest(wanted), status.cause)
        if self._state.get(room_key(room_id), st.DesiredRoom) is None:
            return WAITING, cause(ty.REASON_ROOM_NOT_JOINED, f"nobody has asked to be in room {room_id!r}: join it")
        if self._state.get(capture_key(source_id), st.DesiredCapture) is None:
            return WAITING, cause(
                ty.REASON_SOURCE_NOT_CAPTURED, f"source {source_id!r} is not captured: start its capture"
            )
        if status is not None and status.state == st.PUBLICATION_STATE_PUBLISHED:
            if (why := self._not_flowing(room_id, status)) is not None:
                return WAITING, why
            is_applied = self._progress.peek(key).applied == stream_digest(wanted)
            if is_applied and status.muted == wanted.muted:
                return REACHED, None
            return WAITING, cause(ty.REASON_ORDERED, "the stream is being changed")
        if status is not None and status.state == st.PUBLICATION_STATE_WAITING:
            return WAITING, status.cause
        for other in (room_key(room_id), capture_key(source_id)):
            kind, why = self._judge(other)
            if kind == REFUSED or (kind == WAITING and (why is None or why.reason != ty.REASON_ORDERED)):
                return WAITING, why
        return WAITING, cause(ty.REASON_ORDERED, "the stream is being published")

    def _not_flowing(self, room_id: str, status: st.PublicationStatus) -> ty.Cause | None:
        """Why a published stream is not received all the same."""
        room = fold.find_room(self._state.reported, room_id)
        if room is not None and room.state == st.ROOM_STATE_RECONNECTING:
            return room.cause
        if status.media_state == st.MEDIA_STATE_STALLED:
            return cause(ty.REASON_MEDIA_STALLED, "its frames do not get through; it is published anew")
        return None

    def _unwanted_stream(
        self, key: Key, room_id: str, source_id: str
    ) -> tuple[ty.Outcome.Kind.ValueType, ty.Cause | None]:
        """A stream that is not to be sent. One that was merely muted or configured waits for what it is to apply to."""
        ordered = self._state.get(key, st.DesiredStream)
        if ordered is None or (ordered.HasField("published") and not ordered.published):
            return REACHED, None
        if self._state.get(room_key(room_id), st.DesiredRoom) is None:
            return WAITING, cause(ty.REASON_ROOM_NOT_JOINED, f"nobody has asked to be in room {room_id!r}: join it")
        return WAITING, cause(
            ty.REASON_SOURCE_NOT_CAPTURED, f"source {source_id!r} is neither captured nor published in room {room_id!r}"
        )

    def _subscription(self, key: Key) -> tuple[ty.Outcome.Kind.ValueType, ty.Cause | None]:
        ordered = self._state.get(key, st.DesiredSubscription)
        if ordered is None:
            return REACHED, None
        room = fold.find_room(self._state.reported, ordered.room_id)
        if room is None or room.state != st.ROOM_STATE_JOINED:
            if self._state.get(room_key(ordered.room_id), st.DesiredRoom) is None:
                text = f"nobody has asked to be in room {ordered.room_id!r}: join it"
                return WAITING, cause(ty.REASON_ROOM_NOT_JOINED, text)
            return WAITING, self._room(room_key(ordered.room_id))[1]
        user = fold.find_user(self._state.reported, ordered.room_id, ordered.user_id)
        streams = [
            stream
            for stream in (user.streams if user is not None else ())
            if stream.kind == ordered.kind and ordered.name in ("", stream.name)
        ]
        for stream in streams:
            if stream.subscription == st.SUBSCRIPTION_STATE_REFUSED:
                return REFUSED, stream.cause
            if (stream.subscription == st.SUBSCRIPTION_STATE_SUBSCRIBED) != ordered.subscribed:
                if (ordered.room_id, ordered.user_id, stream.kind, stream.name) in recorded_remotes(self._state):
                    return WAITING, cause(ty.REASON_ORDERED, "the stream is received for a recording, and not heard")
                return WAITING, cause(ty.REASON_ORDERED, "the subscription is being changed")
        if not streams and ordered.subscribed:
            return WAITING, cause(
                ty.REASON_STREAM_NOT_PUBLISHED, f"user {ordered.user_id!r} publishes no such stream now"
            )
        return REACHED, None

    def _playback(self) -> tuple[ty.Outcome.Kind.ValueType, ty.Cause | None]:
        status = self._state.reported.playback
        if status.state == st.PLAYBACK_STATE_UNSPECIFIED:
            return WAITING, None
        wanted = playback_request(self._state)
        is_so = (status.volume, status.muted) == (wanted.volume, wanted.muted)
        applied = self._progress.peek(PLAYBACK_KEY).applied or digest_of(en.SetPlaybackRequest(volume=100))
        if applied != digest_of(wanted) or not is_so:
            return WAITING, cause(ty.REASON_ORDERED, "the speaker is being changed")
        return (WAITING, status.cause) if status.HasField("cause") else (REACHED, None)

    def _remote_volume(self, key: Key) -> tuple[ty.Outcome.Kind.ValueType, ty.Cause | None]:
        asked = self._state.get(key, st.DesiredRemoteVolume)
        wanted = digest_of(remote_volume_request(asked)) if asked is not None else None
        if self._progress.peek(key).applied == wanted:
            return REACHED, None
        is_up = self._state.reported.engine.state == st.ENGINE_STATE_RUNNING
        return WAITING, cause(ty.REASON_ORDERED, "the volume is being changed") if is_up else None

    def _refused(self, key: Key, asked: bytes, why: ty.Cause) -> tuple[ty.Outcome.Kind.ValueType, ty.Cause | None]:
        """A refusal holds for what was refused; what is asked for now may be something else, and is being tried."""
        if self._progress.peek(key).refused == asked:
            return REFUSED, why
        return WAITING, cause(ty.REASON_ORDERED, "it was refused before, and is being tried with what has changed")

    def _engine_cause(self) -> ty.Cause:
        """Why nothing at all is known of an object."""
        engine = self._state.reported.engine
        if engine.state == st.ENGINE_STATE_RUNNING:
            return cause(ty.REASON_ORDERED, "the order is being carried out")
        if engine.cause.message:
            return cause(ty.REASON_ENGINE_STARTING, f"the engine is being replaced: {engine.cause.message}")
        return cause(ty.REASON_ENGINE_STARTING, "the engine is being started")


def _superseded(key: Key, message: str) -> ty.Outcome:
    return ty.Outcome(object=ref_of(key), kind=SUPERSEDED, cause=cause(ty.REASON_SUPERSEDED, message))


def _is_settled(outcome: ty.Outcome) -> bool:
    return outcome.kind != WAITING or outcome.cause.reason in _WAITS_FOR_OTHERS
