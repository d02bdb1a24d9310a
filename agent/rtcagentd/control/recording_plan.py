"""The next steps for recordings; see control/plan.py. And which streams are recorded, and what the outcomes are."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import fold

from rtcagentd.control.events import cause
from rtcagentd.control.objects import Key, capture_key, recording_key
from rtcagentd.control.progress import ProgressTable
from rtcagentd.control.state import State
from rtcagentd.control.wanted import capture_kind

Judged = tuple[ty.Outcome.Kind.ValueType, ty.Cause | None]
RemoteKey = tuple[str, str, int, str]  # room_id, user_id, kind, name


@dataclass(frozen=True, slots=True)
class SetRecording:
    key: Key
    digest: bytes
    request: en.SetRecordingRequest


@dataclass(frozen=True, slots=True)
class RemoveRecording:
    key: Key
    recording_id: str


Step = SetRecording | RemoveRecording


@dataclass
class Resolved:
    """What a recording comes to now: the streams that are there, and why others are not."""

    streams: list[st.RecordedTrack] = field(default_factory=list)
    quiet: list[st.RecordedTrack] = field(default_factory=list)  # those that may give nothing: muted, without a device
    missing: list[ty.Cause] = field(default_factory=list)

    def add(self, stream: st.RecordedTrack, *, is_quiet: bool) -> None:
        if stream not in self.streams:
            self.streams.append(stream)
        if is_quiet:
            self.quiet.append(stream)


def steps(state: State, progress: ProgressTable) -> Iterator[Step]:
    """What the engine is to be told next."""
    wanted = set()
    for recording in state.all(st.DesiredRecording):
        key = recording_key(recording.recording_id)
        wanted.add(key)
        status = fold.find_recording(state.reported, recording.recording_id)
        if status is not None and status.state == st.RECORDING_STATE_ENDED:
            continue  # its order is being ended
        request = request_of(state, recording)
        asked = _digest(request)
        if progress.peek(key).applied != asked:
            yield SetRecording(key, asked, request)
    for status in state.reported.recordings:
        if recording_key(status.recording_id) not in wanted:
            yield RemoveRecording(recording_key(status.recording_id), status.recording_id)


def request_of(state: State, recording: st.DesiredRecording) -> en.SetRecordingRequest:
    """What the engine is to record."""
    config, limits = recording.config, state.recording_limits
    return en.SetRecordingRequest(
        recording_id=recording.recording_id,
        container=config.container,
        max_bytes=config.max_bytes or limits.max_bytes,
        max_duration_ms=config.max_duration_ms or limits.max_duration_ms,
        streams=resolve(state, recording.config).streams,
    )


def resolve(state: State, config: ty.RecordingConfig) -> Resolved:
    """The streams that a recording asks for, as they are now."""
    resolved = Resolved()
    rooms = []
    for stream in config.streams:
        match stream.WhichOneof("of"):
            case "source_id":
                _add_source(state, stream.source_id, resolved)
            case "remote":
                _add_remote(state, stream.remote, resolved)
            case "room_id":
                rooms.append(stream.room_id)
    for room_id in rooms:  # after the sources: one that is recorded by itself already is not recorded twice
        _add_room(state, room_id, resolved)
    return resolved


def recorded_remotes(state: State) -> set[RemoteKey]:
    """The streams of others that are recorded."""
    found: set[RemoteKey] = set()
    for recording in state.all(st.DesiredRecording):
        for stream in resolve(state, recording.config).streams:
            if not stream.source_id:
                found.add((stream.room_id, stream.user_id, stream.kind, stream.name))
    return found


def judge_recording(state: State, progress: ProgressTable, key: Key) -> Judged:
    """What became of a recording; without a cause where nothing is known of it."""
    recording = state.get(key, st.DesiredRecording)
    status = fold.find_recording(state.reported, key.text)
    if recording is None:
        if status is None:
            return ty.Outcome.KIND_REACHED, None
        return ty.Outcome.KIND_WAITING, cause(ty.REASON_ORDERED, "the recording's file is being completed")
    if status is None:
        return ty.Outcome.KIND_WAITING, None
    if status.state == st.RECORDING_STATE_ENDED:
        return ty.Outcome.KIND_REFUSED, status.cause
    resolved = resolve(state, recording.config)
    item = progress.peek(key)
    if item.cause is not None and item.applied is None:
        return ty.Outcome.KIND_REFUSED if item.refused is not None else ty.Outcome.KIND_WAITING, status.cause
    if item.applied != _digest(request_of(state, recording)):
        return ty.Outcome.KIND_WAITING, cause(ty.REASON_ORDERED, "the recording is being changed")
    if resolved.missing:
        return ty.Outcome.KIND_WAITING, resolved.missing[0]
    late = [stream for stream in resolved.streams if stream not in status.tracks]
    if any(stream not in resolved.quiet for stream in late):
        text = "a stream's first frame has not come yet, or begins another file in a moment"
        return ty.Outcome.KIND_WAITING, cause(ty.REASON_ORDERED, text)
    if status.state != st.RECORDING_STATE_RECORDING:
        return ty.Outcome.KIND_WAITING, status.cause
    return ty.Outcome.KIND_REACHED, None


def _add_source(state: State, source_id: str, resolved: Resolved) -> None:
    desired = state.get(capture_key(source_id), st.DesiredCapture)
    is_captured = desired is not None and _is_captured(state, source_id)
    if desired is not None:
        track = st.RecordedTrack(source_id=source_id, kind=capture_kind(desired), name=source_id)
        resolved.add(track, is_quiet=not is_captured)
    if not is_captured:
        text = f"source {source_id!r} is not captured: start its capture"
        resolved.missing.append(cause(ty.REASON_SOURCE_NOT_CAPTURED, text))


def _add_remote(state: State, remote: ty.ObjectRef.RemoteStream, resolved: Resolved) -> None:
    room = fold.find_room(state.reported, remote.room_id)
    if room is None or room.state not in (st.ROOM_STATE_JOINED, st.ROOM_STATE_RECONNECTING):
        text = f"the agent is not in room {remote.room_id!r}"
        resolved.missing.append(cause(ty.REASON_ROOM_NOT_JOINED, text))
        return
    user = fold.find_user(state.reported, remote.room_id, remote.user_id)
    streams = [each for each in (user.streams if user is not None else ()) if each.kind == remote.kind]
    streams = [each for each in streams if remote.name in ("", each.name)]
    for stream in streams:
        resolved.add(_remote(remote.room_id, remote.user_id, stream), is_quiet=stream.muted)
    if not streams:
        text = f"user {remote.user_id!r} publishes no such stream in room {remote.room_id!r} now"
        resolved.missing.append(cause(ty.REASON_STREAM_NOT_PUBLISHED, text))


def _add_room(state: State, room_id: str, resolved: Resolved) -> None:
    room = fold.find_room(state.reported, room_id)
    if room is None or room.state not in (st.ROOM_STATE_JOINED, st.ROOM_STATE_RECONNECTING):
        resolved.missing.append(cause(ty.REASON_ROOM_NOT_JOINED, f"the agent is not in room {room_id!r}"))
        return
    recorded = {stream.source_id for stream in resolved.streams}
    found = False
    for publication in room.publications:
        is_sent = publication.state == st.PUBLICATION_STATE_PUBLISHED and not publication.muted
        if is_sent and publication.source_id not in recorded:
            track = st.RecordedTrack(source_id=publication.source_id, room_id=room_id, user_id=room.user_id)
            track.kind, track.name = publication.kind, publication.name
            resolved.add(track, is_quiet=not _is_captured(state, publication.source_id))
        found |= is_sent
    for user in room.users:
        for stream in user.streams:
            resolved.add(_remote(room_id, user.user_id, stream), is_quiet=stream.muted)
            found = True
    if not found:
        text = f"nobody publishes anything in room {room_id!r} now"
        resolved.missing.append(cause(ty.REASON_STREAM_NOT_PUBLISHED, text))


def _remote(room_id: str, user_id: str, stream: st.RemoteStream) -> st.RecordedTrack:
    return st.RecordedTrack(room_id=room_id, user_id=user_id, kind=stream.kind, name=stream.name)


def _is_captured(state: State, source_id: str) -> bool:
    status = fold.find_capture(state.reported, source_id)
    return status is not None and status.state == st.CAPTURE_STATE_CAPTURING


def _digest(request: en.SetRecordingRequest) -> bytes:
    return hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
