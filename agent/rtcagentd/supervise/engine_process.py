"""Keeps an engine process running: starts it, attaches, watches its heartbeat, and replaces it when it fails.

It alone decides when an engine starts and ends; how is launcher.py's affair. What the engine is to do is control's,
told by `EngineOwner`.
"""

import asyncio
import contextlib
import logging
import time
from typing import Protocol

from rtcagent.engine.v1 import engine_pb2 as en

from rtcagentd.config import Config
from rtcagentd.supervise.engine_session import EngineGone, EngineSession, StepTimeout
from rtcagentd.supervise.launcher import LaunchedEngine, Launcher

log = logging.getLogger(__name__)

HEARTBEAT_EVERY_S = 1.0
TERM_S = 2.0  # from the engine's answer to Shutdown to SIGKILL
EXIT_NOTICE_S = 0.1  # a connection breaks a moment before the kernel tells that its process has ended, and how
RESTART_FIRST_S = 0.1
RESTART_MAX_S = 10.0
STEADY_S = 60.0  # an engine that ran this long is started again without delay


class EngineOwner(Protocol):
    """Who uses the engine. Called on the event loop, in order; `engine_down` follows each `engine_starting`."""

    async def engine_starting(self, generation: int) -> None: ...
    async def engine_up(self, session: EngineSession, pid: int) -> None: ...
    async def engine_event(self, event: en.EngineEvent) -> None: ...
    async def engine_down(self, why: str, *, stopping: bool) -> None: ...


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
        self._fail: asyncio.Event = asyncio.Event()
        self._fail_why = ""
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "EngineProcess":
        await self._launcher.end_leftover()
        self._task = asyncio.create_task(self._keep_running(), name="engine process")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def replace(self, why: str) -> None:
        """End this engine and start another."""
        self._fail_why = self._fail_why or why
        self._fail.set()

    async def _keep_running(self) -> None:
        delay_s = RESTART_FIRST_S
        while True:
            started_at = time.monotonic()
            self._fail, self._fail_why = asyncio.Event(), ""
            self._generation += 1
            why, stopping = "the engine ended", True
            try:
                await self._owner.engine_starting(self._generation)
                await self._run_once()
                stopping = False
            except (EngineGone, StepTimeout, OSError) as error:
                why, stopping = self._fail_why or str(error) or "the engine did not answer in time", False
            except Exception as error:
                log.exception("handling the engine failed; it is replaced")
                why, stopping = f"the daemon could not handle the engine: {error}", False
            finally:
                why = await asyncio.shield(self._end(why, stopping))
                await self._owner.engine_down(why, stopping=stopping)
            steady = time.monotonic() - started_at > STEADY_S
            delay_s = RESTART_FIRST_S if steady else min(delay_s * 2, RESTART_MAX_S)
            await asyncio.sleep(delay_s)

    async def _run_once(self) -> None:
        self._process = await self._launcher.start()
        session = EngineSession(str(self._launcher.socket_path), self._generation)
        self._session = session
        tasks: list[asyncio.Task[None]] = []
        try:
            exited = asyncio.create_task(self._exited(self._process))
            attached = asyncio.create_task(self._attach(session))
            tasks = [exited, attached]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not attached.done():
                exited.result()
            attached.result()
            tasks += [
                asyncio.create_task(self._pump_events(session)),
                asyncio.create_task(self._beat(session)),
                asyncio.create_task(self._failed()),
            ]
            await self._owner.engine_up(session, self._process.pid)
            watched = [task for task in tasks if task is not attached]
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([exited], timeout=EXIT_NOTICE_S)
            done = [task for task in watched if task.done()]
            for task in sorted(done, key=lambda task: task is not exited):  # how it ended says more than a lost call
                task.result()
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

    async def _beat(self, session: EngineSession) -> None:
        timeout_s = self._config.engine.heartbeat_timeout_ms / 1000
        while True:
            try:
                await session.heartbeat(timeout_s)
            except StepTimeout as error:
                raise EngineGone(f"the engine gave no sign of life for {timeout_s:.1f} s") from error
            await asyncio.sleep(HEARTBEAT_EVERY_S)

    async def _failed(self) -> None:
        await self._fail.wait()
        raise EngineGone(self._fail_why)

    async def _exited(self, process: LaunchedEngine) -> None:
        raise EngineGone(await process.wait())

    async def _end(self, why: str, stopping: bool) -> str:
        """Make sure that the process is gone, politely where it is still asked to stop; says how it went."""
        process, self._process = self._process, None
        session, self._session = self._session, None
        if process is not None and not process.ended:
            if stopping and session is not None:
                with contextlib.suppress(EngineGone, StepTimeout):
                    await session.shutdown()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), TERM_S)
            if not process.ended:
                await process.kill()
                await process.wait()
        elif process is not None:
            why = process.ended
        if session is not None:
            await session.close()
        if process is not None:
            process.close()
        return why
