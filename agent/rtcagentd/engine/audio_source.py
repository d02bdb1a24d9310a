"""One source of sound while it is open: its native capture, from start to stop, and what is changed meanwhile."""

import asyncio
import time
from collections.abc import Callable

from rtcagent.v1 import capture_pb2 as capture
from rtcagent.v1 import state_pb2 as state
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native
from rtcagentd.engine.audio_settings import AudioPlan
from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.logs import redact
from rtcagentd.engine.media_events import MediaEvents
from rtcagentd.engine.threads import in_thread

STOP_DEADLINE_S = 5.0

Consumer = _native.AudioSink | _native.AudioRecordTap

# Makes what processes a microphone's sound; None where all of it is switched off.
MakeProcessor = Callable[[types.AudioProcessing], _native.AudioProcessor | None]


class AudioSource:
    """An open source. `on_end` is called once if it ends by itself after it had its first frame; `on_device` when the
    microphone in use is another one. Neither is called after `stop` was.
    """

    def __init__(
        self,
        source_id: str,
        config: types.AudioCaptureConfig,
        plan: AudioPlan,
        media_events: MediaEvents,
        make_processor: MakeProcessor,
        on_end: Callable[["AudioSource", EngineError], None],
        on_device: Callable[["AudioSource"], None],
    ) -> None:
        self.source_id = source_id
        self.config = config
        self.plan = plan
        self.device_id = plan.device_id  # in use, as far as known
        self._progress_at = time.monotonic()
        self._frame_count = 0
        self._media_events = media_events
        self._make_processor = make_processor
        self._on_end = on_end
        self._on_device = on_device
        self._first_frame: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._key = media_events.listen(source_id, self._on_event)
        self._capture = _native.AudioCapture(self._key, plan.settings, media_events.queue)
        self._starting: asyncio.Future[None] | None = None
        self._stopping: asyncio.Task[None] | None = None

    @property
    def is_capturing(self) -> bool:
        return self._first_frame.done() and self._first_frame.exception() is None and self._stopping is None

    async def start(self, deadline_s: float) -> None:
        """Open it and wait for the first frame; EngineError when that fails. Whatever the outcome, `stop` closes it."""
        self._capture.set_volume(self.config.volume)
        self._starting = in_thread(self._open)
        try:
            async with asyncio.timeout(deadline_s):
                await asyncio.shield(self._starting)
                await asyncio.shield(self._first_frame)
        except _native.NativeError as error:
            reason, message = error.args
            raise EngineError.from_native(reason, redact(message)) from error
        except TimeoutError:
            raise EngineError(
                types.REASON_TIMEOUT, f"the {self.plan.input_words} gave no sound for {deadline_s:g} s"
            ) from None

    async def change(self, config: types.AudioCaptureConfig) -> None:
        """Take over another volume and processing while sound goes on."""
        self._capture.set_volume(config.volume)
        if config.processing != self.config.processing:
            await in_thread(lambda: self._capture.set_processing(self._make_processor(config.processing)))
        self.config = config

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
            self._progress_at = now
        return now - self._progress_at

    def status(self) -> state.CaptureStatus:
        return state.CaptureStatus(
            source_id=self.source_id,
            state=state.CAPTURE_STATE_CAPTURING if self.is_capturing else state.CAPTURE_STATE_STARTING,
            device_id=self.device_id,
            input=self.plan.input_words,
            audio=state.AudioCaptureStatus(
                channels=self.plan.settings.channels, volume=self.config.volume, processing=self.config.processing
            ),
        )

    def level(self) -> types.AudioLevel:
        """How loud it was in the last tenth of a second."""
        level = self._capture.level()
        return types.AudioLevel(peak_dbfs=level.peak_dbfs, rms_dbfs=level.rms_dbfs, linear=level.linear)

    def stats(self) -> capture.SourceStats:
        stats = self._capture.stats()
        return capture.SourceStats(
            source_id=self.source_id,
            frames_captured=stats.frames_captured,
            longest_gap_us=stats.longest_gap_us,
            fps=stats.fps,
            audio_level=self.level(),
        )

    def _open(self) -> None:
        self._capture.set_processing(self._make_processor(self.config.processing))
        self._capture.start()

    async def _stop(self) -> None:
        async with asyncio.timeout(STOP_DEADLINE_S):
            if self._starting is not None:
                # Native start and stop of one capture are not made to overlap.
                await asyncio.wait([self._starting])
                if not self._starting.cancelled():
                    self._starting.exception()
            await asyncio.shield(in_thread(self._close))

    def _close(self) -> None:
        self._capture.stop()
        self._capture.set_processing(None)

    def _on_event(self, event: _native.Event) -> None:
        match event.kind:
            case "first_frame":
                self._progress_at = time.monotonic()
                if not self._first_frame.done():
                    self._first_frame.set_result(None)
            case "device":
                self.device_id = event.message
                if self.is_capturing:
                    self._on_device(self)
            case "ended":
                self._end(EngineError(types.REASON_END_OF_MEDIA, f"the {self.plan.input_words} came to its end"))
            case "failed":
                self._end(EngineError.from_native(event.reason, redact(event.message)))

    def _end(self, error: EngineError) -> None:
        if self._first_frame.done():
            self._on_end(self, error)
        else:
            self._first_frame.set_exception(error)
            self._first_frame.exception()
