"""Brings the machine to the desired state: at each change it sets the gate, compares, and starts the next step of
each object.

Boot, orders, faults, devices and new engines all come here, and nowhere else. One step is in flight per object, each
in a task of its own, so that a slow join delays nothing else.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control import engine_events, plan
from rtcagentd.control.about import about
from rtcagentd.control.errors import unavailable
from rtcagentd.control.events import cause, event
from rtcagentd.control.objects import Key, capture_key, room_key, stream_key
from rtcagentd.control.presence import Presence
from rtcagentd.control.progress import ProgressTable
from rtcagentd.control.quarantine import Quarantine
from rtcagentd.control.refusals import RefusalPolicy
from rtcagentd.control.repairs import Remedy, Repairs
from rtcagentd.control.server_watch import ServerWatch
from rtcagentd.control.sound_steps import playback_is
from rtcagentd.control.state import State
from rtcagentd.control.steps import Complete, Steps
from rtcagentd.control.wanted import Gate, gate
from rtcagentd.supervise.engine_end import EngineEnd
from rtcagentd.supervise.engine_session import EngineGone, EngineSession, StepTimeout

log = logging.getLogger(__name__)

T = TypeVar("T")

SHUT_S = 3.0  # longer than a gate takes at most: an engine that does not answer is killed before

_STATE_AFTER = {
    EngineEnd.Kind.STOPPED: st.ENGINE_STATE_STOPPED,
    EngineEnd.Kind.PLANNED: st.ENGINE_STATE_REPLACING,
}


class Reconciler:
    """Owns the engine's progress. Is the owner that supervise/engine_process.py tells about its engines."""

    def __init__(
        self,
        state: State,
        complete: Complete,
        first_retry_s: float,
        max_retry_s: float,
        spread_s: float = 0.0,
        refusals: RefusalPolicy = RefusalPolicy(),  # noqa: B008 -- frozen
    ) -> None:
        self._state = state
        self._complete = complete
        self._refusals = refusals
        self.progress = ProgressTable(first_retry_s, max_retry_s)
        self.quarantine = Quarantine()
        self.session: EngineSession | None = None
        self._steps: Steps | None = None
        self._gate: Gate | None = None
        self._open = Gate()  # what the engine may let through: that of its gate, and of one that is being set
        self._gate_changed = asyncio.Event()
        self._also_captured: set[str] = set()
        self._repairs = Repairs()
        self._presence = Presence()
        self._wake = asyncio.Event()
        self._servers = ServerWatch(self.progress, spread_s, self._wake.set)
        self.passes = 0  # made so far
        self.applied = asyncio.Event()  # set once every first step towards the desired state was begun
        self._tasks: dict[asyncio.Task[None], Key] = {}
        self._held_back: dict[Key, list[en.EngineEvent]] = {}
        self._joined: set[str] = set()
        self.attached = en.AttachResponse()  # what the newest engine said of itself
        self.replace_engine: Callable[[str], None] = log.error  # at once: it does not do what it should
        self.recycle_engine: Callable[[str], None] = log.error  # in good order
        self.on_message: Callable[[en.ReceivedMessage], Awaitable[None]] = _ignore
        state.on_change(self._wake.set)

    def retry_now(self, keys: Iterable[Key]) -> None:
        """An order was about these objects: what was refused, or waits for its time, is tried at once."""
        keys = list(keys)
        self.quarantine.lift(keys)
        self._retry(keys)

    async def nothing_forbidden_is_sent(self) -> None:
        """Return when the engine's gate is shut for all that the orders do not allow; at once where it is.

        Otherwise an order might be answered, and the daemon killed, with an engine that sends on until it notices.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHUT_S):
                while self._wanted_gate().takes_away_from(self._open):
                    self._gate_changed.clear()
                    await self._gate_changed.wait()

    async def ask(self, question: Callable[[EngineSession], Awaitable[T]]) -> T:
        """Ask the engine something that changes nothing. OrderError(UNAVAILABLE) when there is none to ask, or it does
        not answer.
        """
        session = self.session
        if session is None:
            raise unavailable("ENGINE_STARTING", "the engine is being started: try again in a moment")
        try:
            return await question(session)
        except (EngineGone, StepTimeout) as error:
            raise unavailable("ENGINE_LOST", f"the engine did not answer: {error}") from error

    def wake(self) -> None:
        """Make a pass, whether or not anything has changed."""
        self._wake.set()

    async def run(self) -> None:
        """Reconcile until cancelled."""
        try:
            await self._run()
        finally:
            await self._servers.close()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            times = [at for at in (self.progress.next_retry(now), self.quarantine.next_trial(now)) if at is not None]
            timeout_s = max(0.0, min(times) - now) if times else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):  # wait_for would now and then lose a cancellation
                    await self._wake.wait()
            self._wake.clear()
            session = self.session
            try:
                await self._reconcile(loop.time())
            except EngineGone as gone:
                if self.session is session:
                    self.replace_engine(str(gone))
            except Exception:
                log.exception("reconciling failed; it goes on with the next change")
            self.passes += 1

    async def _reconcile(self, now: float) -> None:
        session, steps = self.session, self._steps
        if session is None or steps is None:
            return
        wanted = self._wanted_gate()
        if wanted != self._gate:
            await self._set_gate(session, wanted)
        if session is not self.session:
            return
        for step in list(self.quarantine.admit(plan.plan(self._state, self.progress, now), now)):
            self.quarantine.began(step, now)
            self.progress.of(step.key).in_flight = True
            task = asyncio.create_task(self._make(steps, step), name=f"{type(step).__name__} {step.key.text}")
            self._tasks[task] = step.key
            task.add_done_callback(self._tasks.pop)
        self.applied.set()

    def _wanted_gate(self) -> Gate:
        return gate(self._state) | Gate(capture=frozenset(self._also_captured))

    @contextlib.asynccontextmanager
    async def also_captured(self, source_id: str) -> AsyncIterator[None]:
        """Let the engine capture what is no part of the desired state, meanwhile. The gate is shut at the end."""
        self._also_captured.add(source_id)
        try:
            await self._may_be_captured(source_id)
            yield
        finally:
            self._also_captured.discard(source_id)
            self._wake.set()
            await self.nothing_forbidden_is_sent()

    async def _may_be_captured(self, source_id: str) -> None:
        """Return when the gate lets it."""
        try:
            async with asyncio.timeout(SHUT_S):
                while source_id not in self._open.capture or self._open != self._gate:
                    self._gate_changed.clear()
                    self._wake.set()
                    await self._gate_changed.wait()
        except TimeoutError as error:
            raise unavailable("ENGINE_STARTING", "the engine is being started: try again in a moment") from error

    async def _set_gate(self, session: EngineSession, wanted: Gate) -> None:
        """The gate comes before the steps: what is not allowed any more has stopped before anything else is done."""
        request = en.SetGateRequest(capture=sorted(wanted.capture))
        for room_id, source_id in sorted(wanted.send):
            request.send.add(room_id=room_id, source_id=source_id)
        self._open |= wanted
        await session.set_gate(request, shuts=self._gate is not None and wanted.takes_away_from(self._gate))
        self._gate = self._open = wanted
        self._gate_changed.set()

    async def _make(self, steps: Steps, step: plan.Step) -> None:
        about.set(step.key)
        try:
            await steps.make(step)
        except EngineGone as gone:
            if steps is self._steps:
                self.replace_engine(str(gone))
            return
        except StepTimeout:
            # every step that may take long handles its own timeout; one that may not has a hung engine behind it
            if steps is self._steps:
                self.replace_engine(f"the engine did not end {type(step).__name__} of {step.key.text} in time")
            return
        finally:
            if steps is self._steps:
                self.progress.of(step.key).in_flight = False
                self.quarantine.ended(step, asyncio.get_running_loop().time())
        for held in self._held_back.pop(step.key, []):
            await self.engine_event(held)
        self._state.touch()

    # -- the engine's life, told by supervise/engine_process.py

    async def engine_starting(self, generation: int) -> None:
        await self._record_engine(st.EngineStatus(state=st.ENGINE_STATE_STARTING, generation=generation))

    async def engine_up(self, session: EngineSession, pid: int) -> None:
        attached = self.attached = session.attached
        self.progress.clear()
        self._held_back.clear()
        await self._record_devices(attached.report.devices)
        if attached.report.sound != self._state.reported.sound:
            await self._state.record(event(ev.SoundStatusChanged(sound=attached.report.sound)))
        await self._state.record(event(ev.DisplaysChanged(displays=attached.report.displays)))
        await self._record_engine(
            st.EngineStatus(
                state=st.ENGINE_STATE_RUNNING,
                kind=attached.kind,
                version=attached.version,
                generation=session.generation,
                pid=pid,
            )
        )
        await playback_is(attached.report.playback, self._state)
        self._gate = None
        self._open = Gate()
        self._steps = Steps(
            *(self._state, self.progress, session, self._complete, self._servers, self._presence, self._joined),
            self._refusals,
        )
        self.session = session
        self._wake.set()

    async def engine_event(self, happened: en.EngineEvent) -> None:
        """Take an event of the engine. One about an object with a step in flight waits until that step's outcome is
        known.
        """
        if self._steps is None:
            return
        key = engine_events.key_of(happened)
        if key is not None and self.progress.peek(key).in_flight:
            self._held_back.setdefault(key, []).append(happened)
            return
        await engine_events.take(happened, self._state, self.progress, self._steps)
        if happened.publication_ended.failure.cause.reason == ty.REASON_MEDIA_STALLED:
            self._repair(happened.publication_ended)
        if happened.WhichOneof("event") in ("device_changed", "sound_status_changed"):
            self._devices_changed()

    async def engine_message(self, received: en.ReceivedMessage) -> None:
        """Take a message of a room."""
        await self.on_message(received)

    def _repair(self, ended: en.PublicationEnded) -> None:
        """A stream did not get through. It is published anew in any case; what else, depends on how often it was so."""
        now = asyncio.get_running_loop().time()
        remedy = self._repairs.stalled(stream_key(ended.room_id, ended.source_id), now)
        log.warning("%s in %s stalled: %s", ended.source_id, ended.room_id, remedy.name.lower())
        if remedy is Remedy.REJOIN:
            self.progress.of(room_key(ended.room_id)).drop = ended.failure.cause
            self._wake.set()
        elif remedy is Remedy.REPLACE:
            self.replace_engine(f"frames of {ended.source_id} do not get through, in a room joined anew either")

    def _devices_changed(self) -> None:
        """Another camera may be what a capture waits for; whatever was held against one is tried once more."""
        captures = list(self._state.all(st.DesiredCapture))
        cameras = [item for item in captures if item.config.input.WhichOneof("input") in (None, "camera")]
        self.quarantine.try_again([capture_key(item.source_id) for item in cameras], asyncio.get_running_loop().time())
        self._retry([capture_key(item.source_id) for item in captures])

    def _retry(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.progress.retry_now(key)
        self._wake.set()

    async def engine_down(self, end: EngineEnd) -> None:
        crashed = end.kind is EngineEnd.Kind.CRASHED
        self.quarantine.engine_ended(asyncio.get_running_loop().time(), crashed=crashed)
        self.session = self._steps = None
        self._open = Gate()
        self._gate_changed.set()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.progress.clear()
        for room in self._state.reported.rooms:
            self._presence.lost(room)
        status = st.EngineStatus(state=_STATE_AFTER.get(end.kind, st.ENGINE_STATE_FAILED))
        if end.kind is EngineEnd.Kind.PLANNED:
            log.warning("the engine is replaced: %s", end.why)
        elif end.kind is not EngineEnd.Kind.STOPPED:
            log.error("engine failed: %s", end.why)
        if end.kind is not EngineEnd.Kind.STOPPED:
            status.cause.CopyFrom(cause(ty.REASON_ENGINE_LOST, end.why))
        await self._record_engine(status)

    async def _record_engine(self, status: st.EngineStatus) -> None:
        known = self._state.reported.engine
        status.generation = status.generation or known.generation
        status.kind = status.kind or known.kind
        status.version = status.version or known.version
        await self._state.record(event(ev.EngineStateChanged(engine=status)))

    async def _record_devices(self, present: Iterable[ty.Device]) -> None:
        """The new engine's devices against those known: told are only the differences."""
        devices = {device.device_id: device for device in present}
        known = {device.device_id: device for device in self._state.reported.devices}
        changes = [
            event(ev.DeviceAdded(device=device)) for key, device in sorted(devices.items()) if known.get(key) != device
        ]
        changes += [
            event(ev.DeviceRemoved(device_id=key))
            for key, device in sorted(known.items())
            if device.present and key not in devices
        ]
        if changes:
            await self._state.record(*changes)


async def _ignore(received: en.ReceivedMessage) -> None:
    """Until somebody wants messages."""
