"""Orders about recordings, as edits of the desired state; see control/orders.py."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

from rtcagent.v1 import recordings_pb2
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control import checks
from rtcagentd.control.errors import Code, OrderError, invalid, not_found
from rtcagentd.control.ids import RECORDING_ID_PATTERN, matches
from rtcagentd.control.ledger import Edit
from rtcagentd.control.objects import recording_key
from rtcagentd.control.state import State

Edits: TypeAlias = Callable[[Edit], None]

MAX_RECORDINGS = 8  # each encodes its streams anew
MAX_STREAMS = 64
MIN_BYTES = 1_000_000
MIN_DURATION_MS = 1_000


class RecordingOrders:
    """Checks what can never work; whether a stream is there shows later."""

    def __init__(self, state: State) -> None:
        self._state = state

    def start(self, request: recordings_pb2.StartRecordingRequest) -> Edits:
        made_up = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        return self._start(request.recording_id, made_up, request.config)

    def set_recording(self, asked: st.DesiredRecording) -> Edits:
        """As the desired state has it."""
        return self._start(recording_id(asked.recording_id), "", asked.config)

    def stop(self, request: recordings_pb2.StopRecordingRequest) -> Edits:
        key = recording_key(recording_id(request.recording_id))

        def edit(edits: Edit) -> None:
            if edits.row(key) is None:
                text = f"there is no order for a recording {key.text!r}; `rtcctl record list` lists those there are"
                raise not_found("RECORDING_NOT_FOUND", text, recording_id=key.text)
            edits.remove(key)

        return edit

    def _start(self, asked_id: str, made_up: str, asked: ty.RecordingConfig) -> Edits:
        if asked_id:
            recording_id(asked_id)
        config = ty.RecordingConfig()
        config.CopyFrom(asked)
        if not 1 <= len(config.streams) <= MAX_STREAMS:
            text = f"a recording has 1-{MAX_STREAMS} streams, or rooms: {len(config.streams)} were given"
            raise invalid("config.streams", "STREAMS_INVALID", text)
        for index, stream in enumerate(config.streams):
            _check_stream(stream, f"config.streams[{index}]")
        if config.container not in ty.RecordingContainer.values():
            text = f"this agent knows no recording container {config.container}"
            raise invalid("config.container", "VALUE_UNKNOWN", text)
        config.container = config.container or ty.RECORDING_CONTAINER_MKV
        most = self._state.recording_limits
        _check_limit("max_bytes", config.max_bytes, MIN_BYTES, most.max_bytes)
        _check_limit("max_duration_ms", config.max_duration_ms, MIN_DURATION_MS, most.max_duration_ms)

        def edit(edits: Edit) -> None:
            taken = {key.text for key in edits.keys("recording")}
            name = asked_id or next(name for name in _names(made_up) if name not in taken)
            if len(taken - {name}) >= MAX_RECORDINGS:
                text = f"there are {MAX_RECORDINGS} recordings at most: stop one first"
                raise OrderError(Code.RESOURCE_EXHAUSTED, "LIMIT_REACHED", text, field="recording_id")
            edits.put(recording_key(name), st.DesiredRecording(recording_id=name, config=config))

        return edit


def recording_id(text: str, field: str = "recording_id") -> str:
    """A recording's id, as given: it names a folder, and has no dot or slash."""
    if not matches(RECORDING_ID_PATTERN, text):
        raise invalid(field, "RECORDING_ID_INVALID", "recording_id is not 1-64 characters of [A-Za-z0-9_-]")
    return text


def _names(first: str) -> "list[str]":
    return [first, *(f"{first}-{number}" for number in range(2, MAX_RECORDINGS + 2))]


def _check_stream(stream: ty.RecordedStream, field: str) -> None:
    match stream.WhichOneof("of"):
        case "source_id":
            checks.source_id(stream.source_id, f"{field}.source_id")
        case "room_id":
            checks.room_id(stream.room_id, f"{field}.room_id")
        case "remote":
            remote = stream.remote
            checks.room_id(remote.room_id, f"{field}.remote.room_id")
            checks.user_id(remote.user_id, f"{field}.remote.user_id")
            if remote.kind not in ty.StreamKind.values() or not remote.kind:
                raise invalid(f"{field}.remote.kind", "VALUE_UNKNOWN", "the kind of the stream is missing or unknown")
            checks.stream_name(remote.name)
        case _:
            text = "a recorded stream is a source_id, a remote stream or all of a room_id: set one"
            raise invalid(field, "STREAM_EMPTY", text)


def _check_limit(name: str, value: int, least: int, most: int) -> None:
    if value and (value < least or (most and value > most)):
        allowed = f"{least}-{most}" if most else f"{least} or more"
        text = f"{name} is {value}, and must be {allowed}, or 0: as the agent's configuration says"
        raise invalid(f"config.{name}", "LIMIT_INVALID", text)
