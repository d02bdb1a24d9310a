"""rtcagent.v1.Recordings: recordings, and their files."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import recordings_pb2, recordings_pb2_grpc
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import fold

from rtcagentd.api.ordering import OrderDesk
from rtcagentd.control.errors import Code, OrderError, invalid, precondition
from rtcagentd.control.events import cause, event
from rtcagentd.control.objects import recording_key
from rtcagentd.control.reconciler import Reconciler
from rtcagentd.control.recording_files import FolderUnreadable, RecordingFiles
from rtcagentd.control.recording_orders import RecordingOrders, recording_id
from rtcagentd.control.state import State

PIECE_BYTES = 256 << 10

Recording = recordings_pb2.ListRecordingsResponse.Recording


class RecordingsService(recordings_pb2_grpc.RecordingsServicer):
    """See proto/rtcagent/v1/recordings.proto."""

    def __init__(
        self, state: State, orders: RecordingOrders, desk: OrderDesk, reconciler: Reconciler, files: RecordingFiles
    ) -> None:
        self._state = state
        self._orders = orders
        self._desk = desk
        self._reconciler = reconciler
        self._files = files

    async def StartRecording(
        self, request: recordings_pb2.StartRecordingRequest, context: Any
    ) -> recordings_pb2.StartRecordingResponse:
        result = await self._desk.take(request, request.order, self._orders.start(request), context)
        named = next((one.object.recording_id for one in result.outcomes), request.recording_id)
        return recordings_pb2.StartRecordingResponse(result=result, recording_id=named)

    async def StopRecording(
        self, request: recordings_pb2.StopRecordingRequest, context: Any
    ) -> recordings_pb2.StopRecordingResponse:
        result = await self._desk.take(request, request.order, self._orders.stop(request), context)
        return recordings_pb2.StopRecordingResponse(result=result)

    async def ListRecordings(
        self, request: recordings_pb2.ListRecordingsRequest, context: Any
    ) -> recordings_pb2.ListRecordingsResponse:
        asked = {recording_id(each, "recording_ids") for each in request.recording_ids}
        response = recordings_pb2.ListRecordingsResponse()
        ids = {one.recording_id for one in self._state.all(st.DesiredRecording)}
        ids |= {one.recording_id for one in self._state.reported.recordings}
        try:
            ids |= set(await asyncio.to_thread(self._files.recording_ids))
        except FolderUnreadable as error:
            response.cause.CopyFrom(cause(ty.REASON_FOLDER_UNUSABLE, str(error)))
        response.free_bytes = await asyncio.to_thread(self._files.free_bytes)
        open_files = await self._open_files()
        for each in sorted(ids & asked if asked else ids):
            recording = response.recordings.add(recording_id=each)
            await self._describe(recording, open_files)
        return response

    async def DownloadRecording(
        self, request: recordings_pb2.DownloadRecordingRequest, context: Any
    ) -> AsyncIterator[recordings_pb2.DownloadRecordingResponse]:
        path = await asyncio.to_thread(self._files.path, recording_id(request.recording_id), request.file)
        self._check_not_written(request.recording_id, path.name, "downloaded")
        try:
            digest = await asyncio.to_thread(self._files.digest, path)
        except FileNotFoundError:
            raise _changed(path) from None
        offset = request.offset
        if offset > digest.size:
            text = f"offset is {offset}, and {path.name} has {digest.size} bytes"
            raise invalid("offset", "OFFSET_INVALID", text)
        while True:
            data = await asyncio.to_thread(self._files.read, path, offset, PIECE_BYTES, digest)
            if data is None or (not data and offset < digest.size):
                raise _changed(path)
            yield recordings_pb2.DownloadRecordingResponse(
                file=path.name, size_bytes=digest.size, sha256=digest.sha256, offset=offset, data=data
            )
            offset += len(data)
            if offset >= digest.size:
                return

    async def DeleteRecording(
        self, request: recordings_pb2.DeleteRecordingRequest, context: Any
    ) -> recordings_pb2.DeleteRecordingResponse:
        key = recording_key(recording_id(request.recording_id))
        path = await asyncio.to_thread(self._files.path, key.text, request.file)
        if request.file:
            self._check_not_written(key.text, path.name, "deleted")
        elif key in self._state.rows or fold.find_recording(self._state.reported, key.text) is not None:
            text = f"recording {key.text!r} goes on: stop it before its files are deleted"
            raise precondition("RECORDING_IN_PROGRESS", text, recording_id=key.text)
        try:
            deleted = await asyncio.to_thread(self._files.delete, key.text, request.file)
        except PermissionError as error:
            text = f"the daemon may not delete {error.filename}: see docs/recording.md for the folder's owner and group"
            raise precondition("FOLDER_UNUSABLE", text, recording_id=key.text) from error
        await self._state.record(event(ev.RecordingDeleted(recording_id=key.text, files=deleted)))
        return recordings_pb2.DeleteRecordingResponse(files=deleted)

    async def _open_files(self) -> dict[str, recordings_pb2.RecordingFile]:
        """What is being written, by name; nothing while there is no engine."""
        if self._reconciler.session is None:
            return {}
        try:
            answer = await self._reconciler.ask(lambda session: session.recording_files())
        except OrderError:
            return {}
        return {file.file: file for file in answer.files}

    async def _describe(self, recording: Recording, open_files: dict[str, recordings_pb2.RecordingFile]) -> None:
        named = recording.recording_id
        desired = self._state.get(recording_key(named), st.DesiredRecording)
        if desired is not None:
            recording.desired.CopyFrom(desired)
        status = fold.find_recording(self._state.reported, named)
        if status is not None:
            recording.status.CopyFrom(status)
        for file in await asyncio.to_thread(self._files.files, named):
            recording.files.append(open_files.get(file.file, file))
        recording.size_bytes = sum(file.size_bytes for file in recording.files)
        recording.duration_ms = sum(file.duration_ms for file in recording.files)

    def _check_not_written(self, named: str, file: str, what: str) -> None:
        status = fold.find_recording(self._state.reported, named)
        if status is not None and status.file == file:
            text = f"{file} is still being written: stop the recording, or wait for its next file, before it is {what}"
            raise precondition("RECORDING_IN_PROGRESS", text, recording_id=named)


def _changed(path: Path) -> OrderError:
    text = f"{path.name} was changed or deleted while it was downloaded: begin anew"
    return OrderError(Code.ABORTED, "FILE_CHANGED", text)
