"""One source while it is open: its native capture, from start to stop."""

import asyncio
import logging
import time
from collections.abc import Callable

from rtcagent.v1 import capture_pb2 as capture
from rtcagent.v1 import state_pb2 as state
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native
from rtcagentd.engine.capture_settings import Plan, is_view_turned_round, mirror_of
from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.logs import redact
from rtcagentd.engine.media_events import MediaEvents
from rtcagentd.engine.threads import in_thread

log = logging.getLogger(__name__)

STOP_DEADLINE_S = 5.0

Consumer = _native.FrameSink | _native.VideoTap | _native.VideoRecordTap


class Source:
    """An open source. `on_end` is called once if it ends by itself after it had its first frame; `on_format` when the
    size or rate of its frames changes, `on_hidden` when a window is minimised or shown. None of them is called after
    `stop` was.
    """

    def __init__(
        self,
        source_id: str,
        config: types.CaptureConfig,
        plan: Plan,
        media_events: MediaEvents,
        on_end: Callable[["Source", EngineError], None],
        on_format: Callable[["Source"], None],
        on_hidden: Callable[["Source"], None],
    ) -> None:
        self.source_id = source_id
        self.config = config
        self.plan = plan
        self.format = types.VideoFormat()
        self.progress_at = time.monotonic()  # when the last new frame was noticed
        self._frame_count = 0
        self._media_events = media_events
        self._on_end = on_end
        self._on_format = on_format
        self._on_hidden = on_hidden
        self.is_hidden = False  # a window that is minimised: its last picture goes on
        self._first_frame: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._key = media_events.listen(source_id, self._on_event)
        self._capture = _native.Capture(self._key, plan.settings, media_events.queue)
        self._starting: asyncio.Future[None] | None = None
        self._stopping: asyncio.Task[None] | None = None

    @property
    def is_capturing(self) -> bool:
        return self._first_frame.done() and self._first_frame.exception() is None and self._stopping is None

    async def start(self, deadline_s: float) -> None:
        """Open it and wait for the first frame; EngineError when that fails. Whatever the outcome, `stop` closes it."""
        self._starting = in_thread(self._capture.start)
        try:
            async with asyncio.timeout(deadline_s):
                await asyncio.shield(self._starting)
                await asyncio.shield(self._first_frame)
        except _native.NativeError as error:
            reason, message = error.args
            raise EngineError.from_native(reason, redact(message)) from error
        except TimeoutError:
            raise EngineError(
                types.REASON_TIMEOUT, f"{self.plan.input_words} sent no frame for {deadline_s:g} s"
            ) from None

    def set_slate(self, slate: _native.Slate | None) -> None:
        """Before start: what its capture shows when it ends."""
        self._capture.set_slate(slate)

    async def update(self, config: types.CaptureConfig, the_plan: Plan) -> bool:
        """Change it while it runs; False where it must be opened anew for that."""
        if not await in_thread(lambda: self._capture.update(the_plan.settings)):
            return False
        self.config, self.plan = config, the_plan
        stats = self._capture.stats()  # the news of it may come later
        self.format = types.VideoFormat(width=stats.width, height=stats.height, max_fps=stats.max_fps)
        return True

    def attach(self, sink: Consumer) -> None:
        self._capture.attach(sink)

    def detach(self, sink: Consumer) -> None:
        self._capture.detach(sink)

    def stop(self, error: EngineError) -> "asyncio.Task[None]":
        """Close it; whoever still waits for its first frame gets `error`. The task ends when the device is closed, and
        fails with TimeoutError when it does not close.
        """
        if self._stopping is None:
            self._media_events.forget(self._key)
            if not self._first_frame.done():
                self._first_frame.set_exception(error)
                self._first_frame.exception()  # there may be nobody who waits
            self._stopping = asyncio.create_task(self._stop(), name=f"stop {self.source_id}")
        return self._stopping

    def check_progress(self, now: float) -> float:
        """Seconds since a new frame was seen."""
        count = self._capture.stats().frames_captured
        if count != self._frame_count:
            self._frame_count = count
            self.progress_at = now
        return now - self.progress_at

    def status(self) -> state.CaptureStatus:
        return state.CaptureStatus(
            source_id=self.source_id,
            state=state.CAPTURE_STATE_CAPTURING if self.is_capturing else state.CAPTURE_STATE_STARTING,
            device_id=self.plan.device_id,
            format=self.format,
            input=self.plan.input_words,
            rotation=self.config.rotation or types.ROTATION_0,
            mirror_in=mirror_of(self.config),
        )

    def stats(self) -> capture.SourceStats:
        stats = self._capture.stats()
        return capture.SourceStats(
            source_id=self.source_id,
            frames_captured=stats.frames_captured,
            frames_dropped=stats.frames_dropped,
            longest_gap_us=stats.longest_gap_us,
            fps=stats.fps,
        )

    async def snapshot(self, image_format: str) -> _native.Snapshot | None:
        """As the local view shows it."""
        mirrored = is_view_turned_round(self.config)
        return await in_thread(lambda: self._capture.snapshot(image_format, mirrored))

    async def _stop(self) -> None:
        async with asyncio.timeout(STOP_DEADLINE_S):
            if self._starting is not None:
                # Native start and stop of one capture are not made to overlap.
                await asyncio.wait([self._starting])
                if not self._starting.cancelled():
                    self._starting.exception()
            await asyncio.shield(in_thread(self._capture.stop))

    def _on_event(self, event: _native.Event) -> None:
        match event.kind:
            case "first_frame":
                self._take_format(event)
                self.progress_at = time.monotonic()
                if not self._first_frame.done():
                    self._first_frame.set_result(None)
            case "format":
                self._take_format(event)
                if self.is_capturing:
                    self._on_format(self)
            case "hidden" | "shown":
                self.is_hidden = event.kind == "hidden"
                self._on_hidden(self)
            case "ended":
                message = redact(event.message) or f"{self.plan.input_words} came to its end"
                self._end(EngineError(types.REASON_END_OF_MEDIA, message))
            case "failed":
                self._end(EngineError.from_native(event.reason, redact(event.message)))

    def _take_format(self, event: _native.Event) -> None:
        self.format = types.VideoFormat(width=event.width, height=event.height, max_fps=event.fps)

    def _end(self, error: EngineError) -> None:
        if self._first_frame.done():
            self._on_end(self, error)
        else:
            self._first_frame.set_exception(error)
            self._first_frame.exception()
