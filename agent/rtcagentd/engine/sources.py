"""All open sources by source_id, and the sinks of publications that take their frames, open or not."""

import asyncio
import contextlib
import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import capture_pb2 as capture
from rtcagent.v1 import state_pb2 as state
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native
from rtcagentd.engine.capture_settings import FindDevice, Plan, is_same_input, is_view_turned_round, plan
from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.events import Events
from rtcagentd.engine.gate import Gate
from rtcagentd.engine.media_events import MediaEvents
from rtcagentd.engine.pipewire_cameras import PATH_PREFIX
from rtcagentd.engine.portal import PortalScreens
from rtcagentd.engine.slates import Slates, is_wanted
from rtcagentd.engine.source import Consumer, Source

log = logging.getLogger(__name__)

FIRST_FRAME_DEADLINE_S = 10.0
NO_FRAME_S = 5.0
# How long the gate waits for inputs that are no device of this machine: their frames stop at once.
_GATE_WAIT_S = 0.05


class Sources:
    """Opened and closed on the event loop, with at most one call at a time for each source."""

    def __init__(
        self,
        gate: Gate,
        media_events: MediaEvents,
        events: Events,
        find_device: FindDevice,
        media_folders: Sequence[Path],
        die: Callable[[str], None],
    ) -> None:
        self._gate = gate
        self._media_events = media_events
        self._events = events
        self._find_device = find_device
        self._media_folders = media_folders
        self._die = die
        self._portal = PortalScreens(self._on_lost)
        self.slates = Slates(media_events, events, media_folders)
        self._delivered: dict[str, bytes] = {}  # the configuration with which each source was captured last
        self._sources: dict[str, Source] = {}
        self._sinks: defaultdict[str, list[Consumer]] = defaultdict(list)
        self._stops: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[], None]] = []

    async def open(self, source_id: str, config: types.CaptureConfig) -> state.CaptureStatus:
        """Capture the source with this configuration. When that fails, the source is closed, and its slate is shown."""
        try:
            status = await self._open(source_id, config)
        except EngineError as error:
            if self._was_there(source_id, config) and error.permanent and config.input.WhichOneof("input") == "rtsp":
                # A server that is being started says that it has no such stream, until it has.
                error = EngineError(types.REASON_SERVER_UNREACHABLE, error.message)
            if self._gate.may_capture(source_id) and is_wanted(config) and not error.permanent:
                self.slates.prepare(source_id, config, self._published(source_id))
                self.slates.show(source_id, error.reason)
            else:
                self.slates.drop(source_id)
            raise error from None
        self._delivered[source_id] = config.SerializeToString()
        self.slates.tell()
        return status

    async def stand_in(self, source_id: str, config: types.CaptureConfig, absent: types.Cause) -> state.CaptureStatus:
        """Show the source's slate, as there is no device to capture from."""
        if not self._gate.may_capture(source_id):
            raise _gate_error(source_id)
        await self._close(source_id)
        self.slates.prepare(source_id, config, self._published(source_id))
        self.slates.show(source_id, absent.reason)
        return state.CaptureStatus(
            source_id=source_id,
            state=state.CAPTURE_STATE_WAITING,
            cause=absent,
            format=self.slates.format_of(source_id),
            showing_slate=self.slates.is_shown(source_id),
        )

    def slate_status(self, source_id: str) -> state.CaptureStatus:
        """Whether a source that is not captured shows its slate, and in which size."""
        return state.CaptureStatus(
            source_id=source_id,
            format=self.slates.format_of(source_id),
            showing_slate=self.slates.is_shown(source_id),
        )

    def _was_there(self, source_id: str, config: types.CaptureConfig) -> bool:
        """Whether the source has been captured with this very configuration."""
        return self._delivered.get(source_id) == config.SerializeToString()

    async def _open(self, source_id: str, config: types.CaptureConfig) -> state.CaptureStatus:
        if not self._gate.may_capture(source_id):
            raise _gate_error(source_id)
        current = self._sources.get(source_id)
        if current and current.is_capturing and current.config == config:
            return current.status()
        try:
            the_plan = plan(config, self._find_device, self._media_folders)
        except EngineError:
            await self._close(source_id)
            raise
        may_go_on = current and current.is_capturing and the_plan.portal is None
        if current and may_go_on and is_same_input(current.config, config) and await current.update(config, the_plan):
            self._changed()
            return current.status()
        if the_plan.portal is None:
            self._portal.release(source_id)
        else:
            try:
                stream = await self._portal.stream(source_id, the_plan.portal)
            except EngineError:
                await self._close(source_id)
                raise
            the_plan.settings.pipewire_fd, the_plan.settings.pipewire_node = stream
        try:
            return await self._open_planned(source_id, config, the_plan)
        finally:
            if the_plan.portal is not None:
                os.close(the_plan.settings.pipewire_fd)  # GStreamer has taken one of its own

    async def _open_planned(self, source_id: str, config: types.CaptureConfig, the_plan: Plan) -> state.CaptureStatus:
        current = self._sources.get(source_id)
        was_hidden = current is not None and current.is_hidden
        await self._close(source_id)
        if self._stops:  # of this source or another one: it may hold the device that is opened next
            await asyncio.wait(self._stops)
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
            self._portal.release(source_id)  # it may be its stream that is of no use
            raise
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_progress(), name="frame progress")
        if was_hidden and not source.is_hidden:
            self._on_hidden(source)  # what was said of the window before does not hold for this one
        size = source.format
        self._changed()
        log.info("source %s captures %s, %dx%d", source_id, the_plan.input_words, size.width, size.height)
        return source.status()

    async def close(self, source_id: str) -> None:
        """Stop capturing the source, and showing its slate. Its sinks stay, and take the frames of the next capture."""
        self.slates.drop(source_id)
        self._delivered.pop(source_id, None)
        self._portal.release(source_id)
        await self._close(source_id)

    async def _close(self, source_id: str) -> None:
        source = self._sources.get(source_id)
        if source is None:
            return
        self._forget(source)
        await asyncio.wait([self._stop(source, EngineError(types.REASON_ORDERED, f"{source_id} was closed"))])
        log.info("source %s is closed", source_id)

    async def apply_gate(self) -> None:
        """Close what the gate does not allow. Devices are closed when this returns."""
        devices: list[asyncio.Task[None]] = []
        others: list[asyncio.Task[None]] = []
        for source_id in self.slates.source_ids():
            if not self._gate.may_capture(source_id):
                self.slates.drop(source_id)
        self._portal.release_unless(self._gate.may_capture)
        for source in list(self._sources.values()):
            if self._gate.may_capture(source.source_id):
                continue
            self._forget(source)
            (devices if source.plan.device_id else others).append(self._stop(source, _gate_error(source.source_id)))
            log.info("the gate closed source %s", source.source_id)
        if devices:
            await asyncio.wait(devices)
        if others:
            await asyncio.wait(others, timeout=_GATE_WAIT_S)

    def attach(self, source_id: str, sink: Consumer) -> None:
        """Give the source's frames to `sink`, now and whenever it is captured."""
        self._sinks[source_id].append(sink)
        if isinstance(sink, _native.FrameSink):  # a canvas of ours shows no slate: it says that it waits
            self.slates.attach(source_id, sink)
        if source := self._sources.get(source_id):
            source.attach(sink)

    def detach(self, source_id: str, sink: Consumer) -> None:
        """No frame goes to `sink` after this."""
        if isinstance(sink, _native.FrameSink):
            self.slates.detach(source_id, sink)
        sinks = self._sinks.get(source_id, [])
        if sink in sinks:
            sinks.remove(sink)
            if not sinks:
                del self._sinks[source_id]
        if source := self._sources.get(source_id):
            source.detach(sink)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` when a source was opened or closed."""
        self._listeners.append(listener)

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()

    def is_capturing(self, source_id: str) -> bool:
        """Whether its own pictures come, rather than its slate."""
        source = self._sources.get(source_id)
        return source is not None and source.is_capturing

    def is_view_turned_round(self, source_id: str) -> bool:
        """Whether the source's local view is to be mirrored, as what is sent is not; or the other way round."""
        source = self._sources.get(source_id)
        return source is not None and is_view_turned_round(source.config)

    def opened(self) -> dict[str, types.CaptureConfig]:
        """What is captured, or being opened, by source_id."""
        return {source_id: source.config for source_id, source in self._sources.items()}

    def _published(self, source_id: str) -> list[_native.FrameSink]:
        return [sink for sink in self._sinks.get(source_id, []) if isinstance(sink, _native.FrameSink)]

    def format_of(self, source_id: str) -> types.VideoFormat | None:
        """The format of its frames, or of its slate; None when neither is shown."""
        source = self._sources.get(source_id)
        if source and source.is_capturing:
            return source.format
        return self.slates.format_of(source_id) if self.slates.is_shown(source_id) else None

    async def snapshot(
        self, source_id: str, image_format: str
    ) -> "_native.Snapshot | contract.TakeSnapshotResponse.Missing.ValueType":
        source = self._sources.get(source_id)
        if source is None:
            return contract.TakeSnapshotResponse.MISSING_NOT_CAPTURED
        return await source.snapshot(image_format) or contract.TakeSnapshotResponse.MISSING_NO_FRAME

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
        self._portal.release_unless(lambda _: False)
        if self._stops:
            await asyncio.wait(self._stops)
        await self.slates.close()

    def _make(self, source_id: str, config: types.CaptureConfig, the_plan: Plan) -> Source:
        try:
            source = Source(
                source_id,
                config,
                the_plan,
                self._media_events,
                self._on_end,
                self._on_format,
                self._on_hidden,
            )
        except _native.NativeError as error:
            raise EngineError.from_native(*error.args) from error
        source.set_slate(self.slates.prepare(source_id, config, self._published(source_id)))
        for sink in self._sinks.get(source_id, []):
            source.attach(sink)
        self._sources[source_id] = source
        self._changed()
        return source

    def _forget(self, source: Source) -> None:
        """From here on its frames reach nobody."""
        if self._sources.get(source.source_id) is source:
            del self._sources[source.source_id]
            self._changed()
        for sink in self._sinks.get(source.source_id, []):
            source.detach(sink)

    def _stop(self, source: Source, error: EngineError) -> "asyncio.Task[None]":
        task = source.stop(error)
        if task not in self._stops:
            self._stops.add(task)
            task.add_done_callback(self._on_stopped)
        return task

    def _on_stopped(self, task: "asyncio.Task[None]") -> None:
        self._stops.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._die(f"{task.get_name()} failed: {task.exception()!r}")  # the device would stay open for ever

    def on_device_gone(self, device: types.Device) -> None:
        """End what captures it. V4L2 tells by itself; of a camera of PipeWire no more comes than no pictures."""
        for source in list(self._sources.values()):
            if source.plan.settings.device_path == device.path and device.path.startswith(PATH_PREFIX):
                text = f"camera {device.name} is gone from PipeWire"
                self._on_lost(source.source_id, EngineError(types.REASON_DEVICE_UNPLUGGED, text))

    def _on_lost(self, source_id: str, error: EngineError) -> None:
        source = self._sources.get(source_id)
        if source is not None and source.is_capturing:
            self._on_end(source, error)
        elif source is not None:
            self._forget(source)
            self._stop(source, error)  # whoever waits for its first frame is told

    def _on_end(self, source: Source, error: EngineError) -> None:
        if self._sources.get(source.source_id) is not source:
            return
        self._forget(source)
        self._stop(source, error)
        self._portal.release(source.source_id)
        log.warning("source %s ended: %s", source.source_id, error.message)
        self.slates.show(source.source_id, error.reason)  # a capture that fell silent has not shown it itself
        event = contract.SourceEnded(
            source_id=source.source_id,
            failure=error.failure(),
            showing_slate=self.slates.is_shown(source.source_id),
            format=self.slates.format_of(source.source_id),
        )
        self._events.emit(contract.EngineEvent(source_ended=event))

    def _on_format(self, source: Source) -> None:
        event = contract.SourceFormatChanged(source_id=source.source_id, format=source.format)
        self._events.emit(contract.EngineEvent(source_format_changed=event))

    def _on_hidden(self, source: Source) -> None:
        status = state.ScreenStatus(source_id=source.source_id, minimised=source.is_hidden)
        event = contract.ScreenStateChanged(screen=status)
        self._events.emit(contract.EngineEvent(screen_state_changed=event))

    async def _watch_progress(self) -> None:
        # Some inputs (network cameras above all) stop sending without an error.
        while True:
            await asyncio.sleep(1)
            now = time.monotonic()
            for source in list(self._sources.values()):
                if source.is_capturing and source.check_progress(now) >= NO_FRAME_S:
                    self._on_end(source, EngineError(types.REASON_CAPTURE_FAILED, f"no frame for {NO_FRAME_S:g} s"))


def _gate_error(source_id: str) -> EngineError:
    return EngineError(types.REASON_ORDERED, f"the gate does not allow capturing {source_id}")
