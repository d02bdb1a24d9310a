"""Keeps an engine process running: starts it, attaches, watches its heartbeat, and replaces it when it fails.

It alone decides when an engine starts and ends; how is launcher.py's affair. What the engine is to do is control's,
told by `EngineOwner`.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Protocol

from rtcagent.engine.v1 import engine_pb2 as en

from rtcagentd.config import Config
from rtcagentd.supervise.engine_end import EngineEnd
from rtcagentd.supervise.engine_memory import MemoryLimit
from rtcagentd.supervise.engine_session import EngineGone, EngineSession, StepTimeout
from rtcagentd.supervise.launcher import LaunchedEngine, Launcher

log = logging.getLogger(__name__)

HEARTBEAT_EVERY_S = 0.5
LAST_HEARTBEAT_S = (
    0.5  # the last of the time for a sign of life is asked for anew: it may be the daemon that was held up
)
STOPPED_LOOK_S = 0.25  # between two looks whether the process is stopped; two in a row, and it is
TERM_S = 2.0  # from the engine's answer to Shutdown to SIGKILL
EXIT_NOTICE_S = 0.1  # a connection breaks a moment before the kernel tells that its process has ended, and how
RESTART_FIRST_S = 0.1
RESTART_MAX_S = 10.0
STEADY_S = 3.0  # an engine that ran this long is started again without delay: the wait is for those that do not start


class EngineOwner(Protocol):
    """Who uses the engine. Called on the event loop, in order; `engine_down` follows each `engine_starting`."""

    async def engine_starting(self, generation: int) -> None: ...
    async def engine_up(self, session: EngineSession, pid: int) -> None: ...
    async def engine_event(self, event: en.EngineEvent) -> None: ...
    async def engine_message(self, received: en.ReceivedMessage) -> None: ...
    async def engine_down(self, end: EngineEnd) -> None: ...


class _Ended(Exception):
    """The engine has ended, or is to be ended."""

    def __init__(self, end: EngineEnd) -> None:
        super().__init__(end.why)
        self.end = end


class EngineProcess:
    """The engine of this daemon. `async with` runs it; leaving stops it within a few seconds."""

    def __init__(self, config: Config, owner: EngineOwner, version: str, launcher: Launcher) -> None:
        self._config = config
        self._owner = owner
        self._version = version
        self._launcher = launcher
        self._generation = time.time_ns() // 1_000_000
        self._process: LaunchedEngine | None = None
        self._session: EngineSession | None = None
        self._memory = MemoryLimit(config.engine.max_rss_mb)
        self._ordered: asyncio.Future[EngineEnd] | None = None  # the end of this engine, once somebody asks for it
        self._task: asyncio.Task[None] | None = None
        self.moved_at = time.monotonic()  # when this supervision last got on: its deadlines bound what lies between

    async def __aenter__(self) -> "EngineProcess":
        await self._launcher.end_leftover()
        self._task = asyncio.create_task(self._keep_running(), name="engine process")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def wait(self) -> None:
        """Return when this supervision has ended, which it does when it is left, or with the defect that ended it."""
        if self._task is not None:
            await asyncio.shield(self._task)

    def replace(self, why: str) -> None:
        """Kill this engine and start another: it does not do what it should."""
        self._order(EngineEnd(EngineEnd.Kind.LOST, why))

    def recycle(self, why: str) -> None:
        """End this engine in good order and start another."""
        self._order(EngineEnd(EngineEnd.Kind.PLANNED, why))

    def _order(self, end: EngineEnd) -> None:
        if self._ordered is not None and not self._ordered.done():
            self._ordered.set_result(end)

    async def _keep_running(self) -> None:
        delay_s = RESTART_FIRST_S
        while True:
            started_at = self.moved_at = time.monotonic()
            self._ordered = asyncio.get_running_loop().create_future()
            self._generation += 1
            end = EngineEnd(EngineEnd.Kind.STOPPED, "the agent is stopping")
            try:
                await self._owner.engine_starting(self._generation)
                await self._run_once(self._ordered)
            except _Ended as ended:
                end = ended.end
            except (EngineGone, StepTimeout, OSError) as error:
                end = EngineEnd(EngineEnd.Kind.LOST, str(error) or "the engine did not answer in time")
            except Exception as error:
                log.exception("handling the engine failed; it is replaced")
                end = EngineEnd(EngineEnd.Kind.LOST, f"the daemon could not handle the engine: {error}")
            finally:
                await _to_its_end(self._end(end))
            if end.kind is EngineEnd.Kind.PLANNED:
                continue
            steady = time.monotonic() - started_at > STEADY_S
            delay_s = RESTART_FIRST_S if steady else min(delay_s * 2, RESTART_MAX_S)
            await asyncio.sleep(delay_s)

    async def _run_once(self, ordered: "asyncio.Future[EngineEnd]") -> None:
        """Start an engine and stay with it. Ends with the exception that says why there is none any more."""
        process = self._process = await self._launcher.start()
        session = self._session = EngineSession(str(self._launcher.socket_path), self._generation)
        tasks: list[asyncio.Task[None]] = []
        try:
            exited = asyncio.create_task(self._exited(process))
            watched = [exited, asyncio.create_task(_stopped(process)), asyncio.create_task(_raised(ordered))]
            attached = asyncio.create_task(self._attach(session))
            tasks += [*watched, attached]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await _first_failure(watched, exited)
            attached.result()
            works = (self._pump_events(session), self._pump_messages(session), self._beat(session))
            watched += [asyncio.create_task(work) for work in works]
            tasks += watched[3:]
            await self._owner.engine_up(session, process.pid)
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            await _first_failure(watched, exited)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _attach(self, session: EngineSession) -> None:
        timeout_s = self._config.engine.start_timeout_ms / 1000
        try:
            await session.attach(self._version, timeout_s)
        except StepTimeout as error:
            raise EngineGone(f"the engine did not start within {timeout_s:.0f} s") from error

    async def _pump_events(self, session: EngineSession) -> None:
        async for event in session.events():
            await self._owner.engine_event(event)

    async def _pump_messages(self, session: EngineSession) -> None:
        async for message in session.messages():
            await self._owner.engine_message(message)

    async def _beat(self, session: EngineSession) -> None:
        while True:
            alive = await self._sign_of_life(session)
            self.moved_at = time.monotonic()
            if too_large := self._memory.exceeded(alive.rss_bytes, time.monotonic()):
                raise _Ended(EngineEnd(EngineEnd.Kind.PLANNED, too_large))
            await asyncio.sleep(HEARTBEAT_EVERY_S)

    async def _sign_of_life(self, session: EngineSession) -> en.HeartbeatResponse:
        timeout_s = self._config.engine.heartbeat_timeout_ms / 1000
        with contextlib.suppress(StepTimeout):
            return await session.heartbeat(timeout_s - LAST_HEARTBEAT_S)
        try:
            return await session.heartbeat(LAST_HEARTBEAT_S)
        except StepTimeout as error:
            silence = f"the engine gave no sign of life for {timeout_s:.1f} s"
            raise _Ended(EngineEnd(EngineEnd.Kind.CRASHED, silence)) from error

    async def _exited(self, process: LaunchedEngine) -> None:
        raise EngineGone(await process.wait())

    async def _end(self, end: EngineEnd) -> None:
        """Make sure that the process is gone, asked before where that is in good order; tell the owner."""
        process, self._process = self._process, None
        session, self._session = self._session, None
        if process is not None:
            if end.in_good_order and session is not None and not process.ended and not _is_stopped(process.pid):
                await _ask_to_end(process, session)
            end = end.as_the_process_ended(process.status, process.ended)
            if not process.ended:
                await process.kill()
                await process.wait()
                end = end.as_the_process_ended(process.status, process.ended, killed=True)
        if session is not None:
            await session.close()
        if process is not None:
            process.close()
        await self._owner.engine_down(end)


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Do `work` whole, also when this is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def _first_failure(watched: "list[asyncio.Task[None]]", exited: "asyncio.Task[None]") -> None:
    """Raise what one of these tasks has ended with, if one has. How the process ended says more than a lost call."""
    if any(task.done() for task in watched):
        await asyncio.wait([exited], timeout=EXIT_NOTICE_S)
        for task in sorted(watched, key=lambda task: task is not exited):
            if task.done():
                task.result()


async def _raised(ordered: "asyncio.Future[EngineEnd]") -> None:
    raise _Ended(await asyncio.shield(ordered))


async def _stopped(process: LaunchedEngine) -> None:
    """Raise as soon as the process is stopped, by SIGSTOP: it would not answer any more, and need not be waited for."""
    looks = 0
    while True:
        await asyncio.sleep(STOPPED_LOOK_S)
        looks = looks + 1 if _is_stopped(process.pid) else 0
        if looks == 2:
            raise _Ended(EngineEnd(EngineEnd.Kind.LOST, "the engine process was stopped (SIGSTOP)"))


def _is_stopped(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False  # it is gone, which is told otherwise
    return state == "T"  # a debugger's "t" is none of ours


async def _ask_to_end(process: LaunchedEngine, session: EngineSession) -> None:
    try:
        await session.shutdown()
    except StepTimeout:
        return  # it hangs
    except EngineGone:
        term_s = EXIT_NOTICE_S  # not attached yet, or just gone
    else:
        term_s = TERM_S
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), term_s)
