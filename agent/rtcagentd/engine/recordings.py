"""All recordings by recording_id: set and removed by the daemon, told of when they change."""

import asyncio
import logging

from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import recordings_pb2
from rtcagent.v1 import state_pb2 as state

from rtcagentd.engine.audio_sources import AudioSources
from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.events import Events
from rtcagentd.engine.media_events import MediaEvents
from rtcagentd.engine.recording import Recording
from rtcagentd.engine.recording_files import RecordingFolder
from rtcagentd.engine.recording_taps import RecordingTap
from rtcagentd.engine.sources import Sources
from rtcagentd.engine.viewing import Viewing

log = logging.getLogger(__name__)


class Recordings:
    """On the event loop only, with at most one call at a time for each recording."""

    def __init__(
        self,
        folder: RecordingFolder,
        sources: Sources,
        audio_sources: AudioSources,
        viewing: Viewing,
        media_events: MediaEvents,
        events: Events,
    ) -> None:
        self._folder = folder
        self._sources = sources
        self._audio_sources = audio_sources
        self._viewing = viewing
        self._media_events = media_events
        self._events = events
        self._recordings: dict[str, Recording] = {}
        self._closing: set[asyncio.Task[None]] = set()
        sources.on_change(self._source_changed)

    async def set(self, request: contract.SetRecordingRequest) -> state.RecordingStatus:
        """Record so from now on; how it is. EngineError: it is not recorded."""
        recording_id = request.recording_id
        recording = self._recordings.get(recording_id)
        if recording is None:
            await self._wait_closed(recording_id)
            recording = self._make(recording_id)
        try:
            await recording.set(request)
        except EngineError:
            await self.remove(recording_id)
            raise
        return recording.status()

    async def remove(self, recording_id: str) -> None:
        """Back when its file is complete."""
        recording = self._recordings.pop(recording_id, None)
        if recording is not None:
            self._close(recording)
        await self._wait_closed(recording_id)

    def files(self) -> list[recordings_pb2.RecordingFile]:
        """Those that are being written."""
        readings = [recording.reading() for _, recording in sorted(self._recordings.items())]
        return [reading for reading in readings if reading is not None]

    async def close(self) -> None:
        for recording in self._recordings.values():
            self._close(recording)
        self._recordings.clear()
        if self._closing:
            await asyncio.wait(self._closing)

    def _make(self, recording_id: str) -> Recording:
        recording = Recording(
            recording_id,
            self._folder,
            lambda stream, on_ready: RecordingTap(
                *(recording_id, stream, self._sources, self._audio_sources, self._viewing, self._media_events),
                on_ready,
            ),
            self._media_events,
            self._on_change,
        )
        self._recordings[recording_id] = recording
        return recording

    def _on_change(self, recording: Recording, error: EngineError | None) -> None:
        if self._recordings.get(recording.recording_id) is not recording:
            return
        changed = contract.RecordingChanged(recording=recording.status())
        if error is not None:
            changed.failure.CopyFrom(error.failure())
        if recording.is_over:
            del self._recordings[recording.recording_id]
            self._close(recording)
        self._events.emit(contract.EngineEvent(recording_changed=changed))

    def _close(self, recording: Recording) -> None:
        task = asyncio.create_task(recording.close(), name=recording.recording_id)
        self._closing.add(task)
        task.add_done_callback(self._on_closed)

    def _on_closed(self, task: "asyncio.Task[None]") -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("recording %s did not close: %r", task.get_name(), error)

    async def _wait_closed(self, recording_id: str) -> None:
        """Return when no file of an earlier one of this id is being written."""
        closing = [task for task in self._closing if task.get_name() == recording_id]
        if closing:
            await asyncio.wait(closing)

    def _source_changed(self) -> None:
        for recording in self._recordings.values():
            recording.source_changed()
