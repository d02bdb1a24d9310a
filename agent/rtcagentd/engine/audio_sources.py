"""All open sources of sound by source_id, and the sinks of publications that take their frames, open or not."""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import capture_pb2 as capture
from rtcagent.v1 import state_pb2 as state
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine.audio_settings import AudioPlan, plan
from rtcagentd.engine.audio_source import AudioSource, Consumer, MakeProcessor
from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.events import Events
from rtcagentd.engine.gate import Gate
from rtcagentd.engine.media_events import MediaEvents

log = logging.getLogger(__name__)

FIRST_FRAME_DEADLINE_S = 10.0
NO_FRAME_S = 5.0
# How long the gate waits for inputs that are no device of this machine: their sound stops at once.
_GATE_WAIT_S = 0.05


class AudioSources:
    """Opened and closed on the event loop, with at most one call at a time for each source."""

    def __init__(
        self,
        gate: Gate,
        media_events: MediaEvents,
        events: Events,
        media_folders: Sequence[Path],
        make_processor: MakeProcessor,
        die: Callable[[str], None],
    ) -> None:
        self._gate = gate
        self._media_events = media_events
        self._events = events
        self._media_folders = media_folders
        self._make_processor = make_processor
        self._die = die
        self._sources: dict[str, AudioSource] = {}
        self._sinks: defaultdict[str, list[Consumer]] = defaultdict(list)
        self._stops: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None

    async def open(self, source_id: str, config: types.AudioCaptureConfig, channels: int) -> state.CaptureStatus:
        """Capture the source with this configuration. When that fails, the source is closed."""
        if not self._gate.may_capture(source_id):
            raise _gate_error(source_id)
        try:
            the_plan = plan(config, channels, self._media_folders)
        except EngineError:
            await self.close(source_id)
            raise
        current = self._sources.get(source_id)
        if current and current.is_capturing and _is_same_input(current, config, channels):
            await current.change(config)
            return current.status()
        await self.close(source_id)
        if not self._gate.may_capture(source_id):
            raise _gate_error(source_id)
        source = self._make(source_id, config, the_plan)
        try:
            await source.start(FIRST_FRAME_DEADLINE_S)
        except BaseException as error:
            self._forget(source)
            reason = (
                error
                if isinstance(error, EngineError)
                else EngineError(types.REASON_ORDERED, "was not wanted any more")
            )
            await asyncio.wait([self._stop(source, reason)])
            raise
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_progress(), name="sound progress")
        log.info("source %s captures the %s", source_id, the_plan.input_words)
        return source.status()

    async def close(self, source_id: str) -> None:
        """Stop capturing the source. Its sinks stay, and take the sound of the next capture."""
        source = self._sources.get(source_id)
        if source is None:
            return
        self._forget(source)
        await asyncio.wait([self._stop(source, EngineError(types.REASON_ORDERED, f"{source_id} was closed"))])
        log.info("source %s is closed", source_id)

    async def apply_gate(self) -> None:
        """Close what the gate does not allow. Microphones are closed when this returns."""
        devices: list[asyncio.Task[None]] = []
        others: list[asyncio.Task[None]] = []
        for source in list(self._sources.values()):
            if self._gate.may_capture(source.source_id):
                continue
            self._forget(source)
            (devices if source.plan.is_device else others).append(self._stop(source, _gate_error(source.source_id)))
            log.info("the gate closed source %s", source.source_id)
        if devices:
            await asyncio.wait(devices)
        if others:
            await asyncio.wait(others, timeout=_GATE_WAIT_S)

    def attach(self, source_id: str, sink: Consumer) -> None:
        """Give the source's sound to `sink`, now and whenever it is captured."""
        self._sinks[source_id].append(sink)
        if source := self._sources.get(source_id):
            source.attach(sink)

    def detach(self, source_id: str, sink: Consumer) -> None:
        """No sound goes to `sink` after this."""
        sinks = self._sinks.get(source_id, [])
        if sink in sinks:
            sinks.remove(sink)
            if not sinks:
                del self._sinks[source_id]
        if source := self._sources.get(source_id):
            source.detach(sink)

    def levels(self) -> dict[str, types.AudioLevel]:
        """How loud each captured source was in the last tenth of a second, published or not."""
        return {source_id: source.level() for source_id, source in self._sources.items() if source.is_capturing}

    def statuses(self) -> list[state.CaptureStatus]:
        return [source.status() for _, source in sorted(self._sources.items()) if source.is_capturing]

    def stats(self) -> list[capture.SourceStats]:
        return [source.stats() for _, source in sorted(self._sources.items()) if source.is_capturing]

    async def close_all(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        for source in list(self._sources.values()):
            self._forget(source)
            self._stop(source, EngineError(types.REASON_ORDERED, "the engine closes"))
        if self._stops:
            await asyncio.wait(self._stops)

    def _make(self, source_id: str, config: types.AudioCaptureConfig, the_plan: AudioPlan) -> AudioSource:
        source = AudioSource(
            source_id, config, the_plan, self._media_events, self._make_processor, self._on_end, self._on_device
        )
        for sink in self._sinks.get(source_id, []):
            source.attach(sink)
        self._sources[source_id] = source
        return source

    def _forget(self, source: AudioSource) -> None:
        """From here on its sound reaches nobody."""
        if self._sources.get(source.source_id) is source:
            del self._sources[source.source_id]
        for sink in self._sinks.get(source.source_id, []):
            source.detach(sink)

    def _stop(self, source: AudioSource, error: EngineError) -> "asyncio.Task[None]":
        task = source.stop(error)
        if task not in self._stops:
            self._stops.add(task)
            task.add_done_callback(self._on_stopped)
        return task

    def _on_stopped(self, task: "asyncio.Task[None]") -> None:
        self._stops.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._die(f"{task.get_name()} failed: {task.exception()!r}")  # the microphone would stay open for ever

    def _on_end(self, source: AudioSource, error: EngineError) -> None:
        if self._sources.get(source.source_id) is not source:
            return
        self._forget(source)
        self._stop(source, error)
        log.warning("source %s ended: %s", source.source_id, error.message)
        event = contract.SourceEnded(source_id=source.source_id, failure=error.failure())
        self._events.emit(contract.EngineEvent(source_ended=event))

    def _on_device(self, source: AudioSource) -> None:
        log.info("source %s captures from %s now", source.source_id, source.device_id)
        event = contract.SourceDeviceChanged(source_id=source.source_id, device_id=source.device_id)
        self._events.emit(contract.EngineEvent(source_device_changed=event))

    async def _watch_progress(self) -> None:
        # A sound server that hangs sends nothing, and no error.
        while True:
            await asyncio.sleep(1)
            now = time.monotonic()
            for source in list(self._sources.values()):
                if source.is_capturing and source.check_progress(now) >= NO_FRAME_S:
                    self._on_end(source, EngineError(types.REASON_CAPTURE_FAILED, f"no sound for {NO_FRAME_S:g} s"))


def _is_same_input(source: AudioSource, config: types.AudioCaptureConfig, channels: int) -> bool:
    return source.config.input == config.input and source.plan.settings.channels == channels


def _gate_error(source_id: str) -> EngineError:
    return EngineError(types.REASON_ORDERED, f"the gate does not allow capturing {source_id}")
