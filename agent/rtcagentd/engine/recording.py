"""One recording: when a file begins, which streams are its tracks, and what ends it.

A file has the tracks that it began with. A stream that comes later begins the next file, with all that are there; one
that goes away and comes back goes on in its track. Writing is native, see bindings/media/recording_part.h.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import recordings_pb2
from rtcagent.v1 import state_pb2 as state
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native
from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.media_events import MediaEvents
from rtcagentd.engine.recording_files import RecordingFolder, Used, forget_note, write_note
from rtcagentd.engine.recording_taps import RecordingTap, StreamKey, stream_key
from rtcagentd.engine.threads import in_thread

log = logging.getLogger(__name__)

FIRST_WAIT_S = 1.5  # for the others, once the first stream is there
NEXT_WAIT_S = 0.5  # likewise, when a stream has come that the file has no track for
EMPTY_S = 5.0  # a file of which every stream is gone is completed; before, they may come back into it

MakeTap = Callable[[state.RecordedTrack, Callable[[], None]], RecordingTap]


class _Part:
    """A file that is being written."""

    def __init__(
        self, native: _native.RecordingPart, file: recordings_pb2.RecordingFile, keys: list[StreamKey]
    ) -> None:
        self.native = native
        self.file = file
        self.keys = keys

    def reading(self) -> recordings_pb2.RecordingFile:
        """The file as it is now."""
        reading = recordings_pb2.RecordingFile()
        reading.CopyFrom(self.file)
        stats = self.native.stats()
        reading.size_bytes, reading.duration_ms = stats.bytes, stats.duration_us // 1000
        for track, counted in zip(reading.tracks, stats.tracks, strict=True):
            track.frame_count, track.frames_dropped = counted.frames, counted.dropped
        return reading


class Recording:
    """On the event loop only. `on_change` is told how it is, and with a failure or at a limit why it is over: then only
    `close` it.
    """

    def __init__(
        self,
        recording_id: str,
        folder: RecordingFolder,
        make_tap: MakeTap,
        media_events: MediaEvents,
        on_change: Callable[["Recording", EngineError | None], None],
    ) -> None:
        self.recording_id = recording_id
        self.is_over = False
        self._folder = folder
        self._make_tap = make_tap
        self._media_events = media_events
        self._on_change = on_change
        self._request = contract.SetRecordingRequest()
        self._taps: dict[StreamKey, RecordingTap] = {}
        self._part: _Part | None = None
        self._used = Used()
        self._limit = ""
        self._due: asyncio.TimerHandle | None = None
        self._turn = asyncio.Lock()  # files begin and end one after another
        self._tasks: set[asyncio.Task[None]] = set()

    async def set(self, request: contract.SetRecordingRequest) -> None:
        """Record these streams from now on. EngineError: the folder is of no use."""
        if self._part is None:
            self._used = await in_thread(lambda: self._folder.prepare(self.recording_id))
        is_new_form = self._part is not None and _form(self._request) != _form(request)
        self._request = request
        wanted = {stream_key(stream): stream for stream in request.streams}
        for key, tap in list(self._taps.items()):
            if key not in wanted:
                tap.detach()
                if self._part is None or key not in self._part.keys:
                    self._taps.pop(key).close()
        for key, stream in wanted.items():
            if key not in self._taps:
                self._taps[key] = self._make_tap(stream, self._look)
            self._taps[key].attach()
        if self._is_at_limit():
            self._reached_limit()
        elif is_new_form:
            self._schedule(0)
        else:
            self._look()

    def source_changed(self) -> None:
        for tap in self._taps.values():
            tap.source_changed()

    def status(self) -> state.RecordingStatus:
        status = state.RecordingStatus(recording_id=self.recording_id)
        if self._limit:
            status.state = state.RECORDING_STATE_ENDED
            status.cause.CopyFrom(types.Cause(reason=types.REASON_RECORDING_LIMIT, message=self._limit))
        elif self._part is not None:
            status.state = state.RECORDING_STATE_RECORDING
            status.file = self._part.file.file
            status.tracks.extend(self._part.file.tracks)
        else:
            status.state = state.RECORDING_STATE_WAITING
            text = "none of its streams is there yet"
            status.cause.CopyFrom(types.Cause(reason=types.REASON_STREAM_NOT_PUBLISHED, message=text))
        return status

    def reading(self) -> recordings_pb2.RecordingFile | None:
        """The file that is being written."""
        return self._part.reading() if self._part is not None else None

    async def close(self) -> None:
        """Back when the file is complete."""
        self.is_over = True
        if self._due is not None:
            self._due.cancel()
        for tap in self._taps.values():
            tap.close()
        async with self._turn:
            await self._end_part()
        self._taps.clear()

    def _look(self) -> None:
        """Begin or end a file in a while, if what there is asks for it."""
        if self.is_over:
            return
        keys = set(self._part.keys) if self._part is not None else set()
        ready = {key for key, tap in self._taps.items() if tap.is_ready and tap.is_attached}
        attached = [tap for tap in self._taps.values() if tap.is_attached]
        if ready - keys:
            is_all = self._part is None and all(tap.is_ready for tap in attached)
            self._schedule(0 if is_all else FIRST_WAIT_S if self._part is None else NEXT_WAIT_S)
        elif self._part is not None and not attached:
            self._schedule(EMPTY_S)
        elif self._due is not None:
            self._due.cancel()
            self._due = None

    def _schedule(self, after_s: float) -> None:
        loop = asyncio.get_running_loop()
        if self._due is not None:
            if self._due.when() <= loop.time() + after_s:
                return
            self._due.cancel()
        self._due = loop.call_later(after_s, self._begin_task)

    def _begin_task(self) -> None:
        self._due = None
        task = asyncio.create_task(self._guarded(), name=f"recording {self.recording_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self) -> None:
        try:
            async with self._turn:
                await self._turn_over()
        except EngineError as error:
            self._over(error)
        except OSError as error:
            text = f"the recording cannot be written: {error.strerror or error}"
            self._over(EngineError(types.REASON_FOLDER_UNUSABLE, text))
        except Exception as error:
            log.exception("recording %s failed", self.recording_id)
            self._over(EngineError(types.REASON_INTERNAL, f"the recording failed: {error!r}"))

    async def _turn_over(self) -> None:
        """End the file, and begin the next one with all that is there."""
        if self.is_over:
            return
        taps = {key: tap for key, tap in self._taps.items() if tap.is_attached and tap.is_ready}
        if not taps:
            await self._end_part()
            for key in [key for key, tap in self._taps.items() if not tap.is_attached]:
                self._taps.pop(key).close()
            self._on_change(self, None)
            return
        old = self._part
        used = await in_thread(lambda: self._folder.prepare(self.recording_id))
        if old is None:
            self._used = used
        else:  # its length is not written down yet
            reading = old.reading()
            self._used = Used(
                used.next_number,
                self._used.size_bytes + reading.size_bytes,
                self._used.duration_ms + reading.duration_ms,
            )
        if self._is_at_limit():
            self._reached_limit()
            return
        part = self._make_part(taps)
        try:
            await in_thread(part.native.start)
        except _native.NativeError as error:
            raise EngineError.from_native(*error.args) from error
        # The taps feed the new file by now.
        self._part = part
        if old is not None:
            await self._complete(old)
        path = self._folder.path(self.recording_id, self._used.next_number, self._request.container)
        await in_thread(lambda: write_note(path, part.file))
        for key in [key for key, tap in self._taps.items() if not tap.is_attached and key not in part.keys]:
            self._taps.pop(key).close()
        log.info("recording %s goes into %s", self.recording_id, part.file.file)
        if not self.is_over:
            self._on_change(self, None)
            self._look()

    def _make_part(self, taps: dict[StreamKey, RecordingTap]) -> _Part:
        request = self._request
        path = self._folder.path(self.recording_id, self._used.next_number, request.container)
        file = recordings_pb2.RecordingFile(file=path.name, tracks=[tap.stream for tap in taps.values()])
        file.started_at.FromNanoseconds(time.time_ns())
        key = self._media_events.listen(f"recording {self.recording_id}", lambda event: self._on_event(event))
        native = _native.RecordingPart(
            key=key,
            path=str(path),
            title=f"{self.recording_id}, part {self._used.next_number}",
            is_mp4=request.container == types.RECORDING_CONTAINER_MP4,
            max_bytes=max(1, request.max_bytes - self._used.size_bytes) if request.max_bytes else 0,
            max_duration_us=max(1, request.max_duration_ms - self._used.duration_ms) * 1000
            if request.max_duration_ms
            else 0,
            min_free_bytes=self._folder.min_free_bytes,
            tracks=[tap.spec() for tap in taps.values()],
            events=self._media_events.queue,
        )
        return _Part(native, file, list(taps))

    async def _end_part(self) -> None:
        part, self._part = self._part, None
        if part is not None:
            await self._complete(part)

    async def _complete(self, part: _Part) -> None:
        await in_thread(part.native.stop)
        done = part.reading()
        done.is_complete = True
        done.ClearField("size_bytes")  # the file's own says it
        path = self._folder.path(self.recording_id, 1, self._request.container).with_name(done.file)
        try:
            await in_thread(lambda: write_note(path, done) if path.exists() else forget_note(path))
        except OSError as error:
            log.warning("what there is to say of %s was not written down: %s", path, error)

    def _is_at_limit(self) -> bool:
        request, used = self._request, self._used
        return bool(
            (request.max_bytes and used.size_bytes >= request.max_bytes)
            or (request.max_duration_ms and used.duration_ms >= request.max_duration_ms)
        )

    def _reached_limit(self) -> None:
        request = self._request
        is_long = request.max_duration_ms and self._used.duration_ms >= request.max_duration_ms
        self._at_limit("duration" if is_long else "bytes")

    def _at_limit(self, which: str) -> None:
        request = self._request
        if which == "duration":
            self._limit = f"it has come to its length of {request.max_duration_ms / 1000:g} s"
        else:
            self._limit = f"it has come to its size of {request.max_bytes} bytes"
        self._over(None)

    def _over(self, error: EngineError | None) -> None:
        if not self.is_over:
            self.is_over = True
            log.info("recording %s is over: %s", self.recording_id, error.message if error else self._limit)
            self._on_change(self, error)

    def _on_event(self, event: _native.Event) -> None:
        if event.kind == "limit":
            self._at_limit(event.message)
        elif event.kind == "failed":
            self._over(EngineError.from_native(event.reason, event.message))


def _form(request: contract.SetRecordingRequest) -> tuple[int, int, int]:
    """What a file cannot change once it is begun."""
    return request.container, request.max_bytes, request.max_duration_ms
