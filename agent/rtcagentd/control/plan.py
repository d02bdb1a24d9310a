"""Compares what is wanted with what the engine has, and names the next step for each object. Decides only; steps.py
acts.

The same comparison serves boot, orders, faults, devices that come and go, and a new engine: there is no other
recovery code.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from google.protobuf.message import Message
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import fold

from rtcagentd.control import canvas_plan, recording_plan
from rtcagentd.control.objects import Key, capture_key, room_key, stream_key, subscription_key
from rtcagentd.control.progress import Progress, ProgressTable
from rtcagentd.control.room_tokens import rights
from rtcagentd.control.sound_plan import SetPlayback as SetPlayback
from rtcagentd.control.sound_plan import SetRemoteVolume as SetRemoteVolume
from rtcagentd.control.sound_plan import sound_steps
from rtcagentd.control.state import State
from rtcagentd.control.wanted import (
    WantedStream,
    names_device,
    resolve,
    stand_in,
    wanted_quality,
    wanted_streams,
    wants_subscription,
)


@dataclass(frozen=True, slots=True)
class OpenSource:
    key: Key
    digest: bytes
    source_id: str
    config: ty.CaptureConfig | ty.AudioCaptureConfig


@dataclass(frozen=True, slots=True)
class CloseSource:
    key: Key
    source_id: str


@dataclass(frozen=True, slots=True)
class AwaitDevice:
    """Nothing can be captured until a device is plugged in; told once. `slate`: what may be shown meanwhile."""

    key: Key
    source_id: str
    cause: ty.Cause
    slate: ty.CaptureConfig | None = None


@dataclass(frozen=True, slots=True)
class Join:
    key: Key
    digest: bytes
    config: ty.RoomConfig
    token: str


@dataclass(frozen=True, slots=True)
class Withhold:
    """A source, room or recording that may not be tried, see quarantine.py; told once in each engine."""

    key: Key
    digest: bytes
    cause: ty.Cause


@dataclass(frozen=True, slots=True)
class Drop:
    """Give up a connection that does not come back; the room is joined anew."""

    key: Key
    room_id: str
    cause: ty.Cause


@dataclass(frozen=True, slots=True)
class Leave:
    key: Key
    room_id: str


@dataclass(frozen=True, slots=True)
class SetUserInfo:
    key: Key
    digest: bytes
    config: ty.RoomConfig


@dataclass(frozen=True, slots=True)
class Publish:
    key: Key
    digest: bytes
    stream: WantedStream
    format: ty.VideoFormat
    anew: bool  # though the engine may have it


@dataclass(frozen=True, slots=True)
class Unpublish:
    key: Key
    room_id: str
    source_id: str


@dataclass(frozen=True, slots=True)
class SetMuted:
    key: Key
    room_id: str
    source_id: str
    muted: bool


@dataclass(frozen=True, slots=True)
class SetSubscribed:
    key: Key
    digest: bytes
    room_id: str
    user_id: str
    kind: ty.StreamKind.ValueType
    name: str
    subscribed: bool
    quality: ty.StreamQuality
    ordered: bool  # not merely as the room has it: received though nobody looks at it
    unheard: bool = False  # sound is received for a recording alone


Step: TypeAlias = (
    OpenSource
    | CloseSource
    | AwaitDevice
    | Join
    | Withhold
    | Drop
    | Leave
    | SetUserInfo
    | Publish
    | Unpublish
    | SetMuted
    | SetSubscribed
    | SetPlayback
    | SetRemoteVolume
    | canvas_plan.Step
    | recording_plan.Step
)

GROWTH = 2  # in pixels


def digest(*parts: Message | str) -> bytes:
    """Tells whether two specifications are the same."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part.SerializeToString(deterministic=True)
        sha.update(len(data).to_bytes(4, "big") + data)
    return sha.digest()


def room_digest(room: st.DesiredRoom, token: str) -> bytes:
    """What would need another join. auto_publish is carried out here, not by the engine, what the others see of the
    agent is changed without, and another token with the same rights is for the next join.
    """
    config = ty.RoomConfig()
    config.CopyFrom(room.config)
    config.ClearField("auto_publish")
    config.ClearField("extra_info")
    config.ClearField("name")
    config.ClearField("attributes")
    config.ClearField("statistics_interval_ms")
    return digest(config, rights(token))


def info_digest(config: ty.RoomConfig) -> bytes:
    """What the others are to see of the agent."""
    info = ty.RoomConfig(extra_info=config.extra_info, name=config.name, attributes=config.attributes)
    return digest(info)


def shown(progress: Progress) -> bytes:
    """What the others of a joined room were last asked to be shown."""
    return _NOTHING_SHOWN if progress.info is None else progress.info


_NOTHING_SHOWN = info_digest(ty.RoomConfig())


def stream_digest(stream: WantedStream) -> bytes:
    """What would need publishing again."""
    return digest(stream.encoder, stream.name, str(stream.kind), str(stream.audio_profile))


def plan(state: State, progress: ProgressTable, now: float) -> Iterator[Step]:
    """The next step of each object that has none under way and is not waiting for its time."""
    for step in _all_steps(state, progress):
        item = progress.peek(step.key)
        if item.in_flight:
            continue
        tried = getattr(step, "digest", None)
        if tried is not None and (item.retry_at > now or (item.refused == tried and item.refused_until > now)):
            continue
        yield step


def _all_steps(state: State, progress: ProgressTable) -> Iterator[Step]:
    yield from sound_steps(state, progress)
    yield from _captures(state, progress)
    yield from _rooms(state, progress)
    yield from _streams(state, progress)
    yield from _subscriptions(state, progress)
    yield from canvas_plan.steps(state, progress)
    yield from recording_plan.steps(state, progress)


def _captures(state: State, progress: ProgressTable) -> Iterator[Step]:
    wanted = set()
    for capture in state.all(st.DesiredCapture):
        key = capture_key(capture.source_id)
        wanted.add(key)
        config = resolve(state, capture)
        if isinstance(config, ty.Cause):
            item = progress.peek(key)
            status = fold.find_capture(state.reported, capture.source_id)
            has_slate = not capture.HasField("audio") and (item.has_been or names_device(state, capture))
            slate = stand_in(capture) if has_slate else None
            is_told = status is not None and status.cause == config
            if item.applied is None and not (is_told and (slate is None or item.stand_in == digest(slate))):
                yield AwaitDevice(key, capture.source_id, config, slate)
            continue
        asked = digest(config)
        if progress.peek(key).applied != asked:
            yield OpenSource(key, asked, capture.source_id, config)
    for status in state.reported.captures:
        if capture_key(status.source_id) not in wanted:
            yield CloseSource(capture_key(status.source_id), status.source_id)


def _rooms(state: State, progress: ProgressTable) -> Iterator[Step]:
    wanted = set()
    for key, row in state.rows.items():
        if isinstance(row.body, st.DesiredRoom):
            wanted.add(key)
            asked = room_digest(row.body, row.secret)
            item = progress.peek(key)
            if item.applied != asked:
                yield Join(key, asked, row.body.config, row.secret)
            elif item.drop is not None:
                yield Drop(key, row.body.config.room_id, item.drop)
            elif shown(item) != (info := info_digest(row.body.config)) and _is_joined(state, key.text):
                yield SetUserInfo(key, info, row.body.config)
    for status in state.reported.rooms:
        if room_key(status.room_id) not in wanted:
            yield Leave(room_key(status.room_id), status.room_id)


def _is_joined(state: State, room_id: str) -> bool:
    room = fold.find_room(state.reported, room_id)
    return room is not None and room.state == st.ROOM_STATE_JOINED


def _streams(state: State, progress: ProgressTable) -> Iterator[Step]:
    wanted = set()
    for stream in wanted_streams(state):
        key = stream_key(stream.room_id, stream.source_id)
        room = fold.find_room(state.reported, stream.room_id)
        capture = fold.find_capture(state.reported, stream.source_id)
        if not _may_be_published(stream, capture, progress):
            continue
        wanted.add(key)
        # while the room is being joined anew with another configuration, its publications go with it
        if room is None or room.state != st.ROOM_STATE_JOINED or progress.peek(room_key(stream.room_id)).in_flight:
            continue
        asked = stream_digest(stream)
        item = progress.peek(key)
        size = capture.format if capture is not None and capture.HasField("format") else ty.VideoFormat()
        publication = fold.find_publication(state.reported, stream.room_id, stream.source_id)
        anew = publication is not None and _has_outgrown(size, publication)
        if item.applied != asked or anew:
            yield Publish(key, asked, stream, size, anew)
            continue
        if publication is not None and publication.muted != stream.muted:
            yield SetMuted(key, stream.room_id, stream.source_id, stream.muted)
    for room in state.reported.rooms:
        if room_key(room.room_id) not in state.rows:
            continue  # it is being left, and its publications with it
        for publication in room.publications:
            key = stream_key(room.room_id, publication.source_id)
            if key not in wanted:
                yield Unpublish(key, room.room_id, publication.source_id)


def _has_outgrown(size: ty.VideoFormat, publication: st.PublicationStatus) -> bool:
    """Whether a picture is so much larger than the one that bitrate and layers were chosen for, which the engine
    does when it publishes, that it is worth a gap.
    """
    chosen_for = publication.width * publication.height
    return 0 < GROWTH * chosen_for <= size.width * size.height


def _may_be_published(stream: WantedStream, capture: st.CaptureStatus | None, progress: ProgressTable) -> bool:
    """A stream is published while its source is captured or shows its slate, or is being opened for the first time:
    viewers see it the sooner.

    It stays when a source that has delivered is gone for a while (unplugged), so that viewers need not subscribe again.
    """
    if capture is None:
        return False
    if capture.showing_slate:
        return True
    if capture.state == st.CAPTURE_STATE_REFUSED:
        return False
    if progress.peek(capture_key(stream.source_id)).has_been:
        return True
    return capture.state in (st.CAPTURE_STATE_STARTING, st.CAPTURE_STATE_CAPTURING)


def _subscriptions(state: State, progress: ProgressTable) -> Iterator[Step]:
    recorded = recording_plan.recorded_remotes(state)
    for room in state.reported.rooms:
        if room.state != st.ROOM_STATE_JOINED:
            continue
        for user in room.users:
            for stream in user.streams:
                wants = wants_subscription(state, room.room_id, user.user_id, stream.kind, stream.name)
                key = subscription_key(room.room_id, user.user_id, stream.kind, stream.name)
                ordered = wants is not None
                is_auto = _is_auto_subscribed(state, room.room_id, stream.kind)
                is_recorded = (room.room_id, user.user_id, stream.kind, stream.name) in recorded
                unheard = is_recorded and not (is_auto if wants is None else wants)
                if unheard:
                    wants, ordered = True, False
                if wants is None:
                    if progress.peek(key).applied is None:
                        continue
                    wants = is_auto  # the order about it has ended
                is_subscribed = stream.subscription == st.SUBSCRIPTION_STATE_SUBSCRIBED
                quality = wanted_quality(state, room.room_id, user.user_id, stream.kind, stream.name)
                asked = digest(str(wants), str(ordered), str(unheard), quality)
                applied = progress.peek(key).applied
                is_new = (ordered and wants) or applied is not None
                if (is_subscribed != wants or is_new) and applied != asked:
                    stream_of = (room.room_id, user.user_id, stream.kind, stream.name)
                    how = (wants, quality, ordered, unheard)
                    yield SetSubscribed(key, asked, *stream_of, *how)


def _is_auto_subscribed(state: State, room_id: str, kind: ty.StreamKind.ValueType) -> bool:
    room = state.get(room_key(room_id), st.DesiredRoom)
    if room is None:
        return False
    is_audio = kind in (ty.STREAM_KIND_MICROPHONE, ty.STREAM_KIND_SCREEN_AUDIO, ty.STREAM_KIND_OTHER_AUDIO)
    return room.config.auto_subscribe_audio if is_audio else room.config.auto_subscribe_video
