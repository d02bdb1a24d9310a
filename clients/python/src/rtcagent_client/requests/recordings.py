"""The calls of the service Recordings. What every order takes is told in requests/rooms.py."""

from collections.abc import Iterable
from typing import Literal

from rtcagent.v1.recordings_pb2 import (
    DeleteRecordingRequest,
    DeleteRecordingResponse,
    ListRecordingsRequest,
    ListRecordingsResponse,
    StartRecordingRequest,
    StartRecordingResponse,
    StopRecordingRequest,
)
from rtcagent.v1.types_pb2 import Keep, OrderResult, RecordedStream, RecordingConfig, RecordingContainer

from rtcagent_client import errors
from rtcagent_client.requests.call import ANSWER_S, DEFAULT_WAIT_MS, Call, order_call, order_options
from rtcagent_client.words import enum_value

ContainerName = Literal["mkv", "mp4"]


def start_recording(
    streams: Iterable[RecordedStream | str],
    *,
    recording_id: str = "",
    container: ContainerName | int | None = None,
    max_bytes: int = 0,
    max_duration_ms: int = 0,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[StartRecordingResponse]:
    """Record streams into files on the agent's machine; for a recording that is there, change it.

    `streams`: each a source_id, or what inputs.recorded_stream and inputs.recorded_room make; `recording_id`: 1-64 of
    A-Z a-z 0-9 _ -, empty: made of the time, and told in the answer. Limits of 0: the agent's own. Raises
    InvalidArgument, ResourceExhausted.
    """
    config = RecordingConfig(
        streams=[RecordedStream(source_id=each) if isinstance(each, str) else each for each in streams],
        container=enum_value(RecordingContainer, container),
        max_bytes=max_bytes,
        max_duration_ms=max_duration_ms,
    )
    request = StartRecordingRequest(
        recording_id=recording_id, config=config, order=order_options(wait_ms, keep, request_id)
    )

    def result(response: StartRecordingResponse) -> StartRecordingResponse:
        if check:
            errors.check(response.result)
        return response

    wait_s = (DEFAULT_WAIT_MS if wait_ms is None else wait_ms) / 1000
    return Call("recordings", "StartRecording", request, result, is_order=True, answer_s=wait_s + ANSWER_S)


def stop_recording(
    recording_id: str, *, wait_ms: int | None = None, request_id: str | None = None, check: bool = True
) -> Call[OrderResult]:
    """End a recording; its files stay. NotFound: there is no order for it."""
    request = StopRecordingRequest(recording_id=recording_id, order=order_options(wait_ms, None, request_id))
    return order_call("recordings", "StopRecording", request, wait_ms=wait_ms, check=check)


def list_recordings(recording_ids: Iterable[str] = ()) -> Call[ListRecordingsResponse]:
    """The recordings that are ordered, and those that there are files of; all, or these."""
    request = ListRecordingsRequest(recording_ids=recording_ids)
    return Call("recordings", "ListRecordings", request, lambda response: response)


def delete_recording(recording_id: str, *, file: str = "") -> Call[DeleteRecordingResponse]:
    """Delete a recording's files, or one of them. NotFound; FailedPrecondition: it goes on."""
    request = DeleteRecordingRequest(recording_id=recording_id, file=file)
    return Call("recordings", "DeleteRecording", request, lambda response: response)
