"""What the service manager is told of the daemon: that it is ready, what it does, and that its parts make progress.

Each check of progress asks its part for something; the next look tells whether that has been done.
"""

import asyncio
import sqlite3
import time
from collections.abc import Coroutine

from rtcagentd.config import EngineSettings
from rtcagentd.control.outcomes import Outcomes
from rtcagentd.control.reconciler import Reconciler
from rtcagentd.control.state import State
from rtcagentd.control.summary import in_words
from rtcagentd.store.database import Database
from rtcagentd.supervise.engine_process import EngineProcess
from rtcagentd.supervise.systemd import Check, Service, is_asked

STATUS_PAUSE_S = 0.5  # between two texts: a join makes many small changes
ENGINE_MARGIN_S = 25.0  # to end an engine, and the longest pause before the next


def works(
    service: Service,
    state: State,
    outcomes: Outcomes,
    reconciler: Reconciler,
    engine: EngineProcess,
    settings: EngineSettings,
    database: Database,
) -> list[Coroutine[None, None, None]]:
    """What is to run beside the parts; nothing, where no service manager asks."""
    if not is_asked():
        return []
    patience_s = max(settings.start_timeout_ms, settings.heartbeat_timeout_ms) / 1000 + ENGINE_MARGIN_S
    checks: dict[str, Check] = {
        "control loop": ControlLoop(reconciler),
        "engine supervision": Supervision(engine, patience_s),
        "journal": Store(database),
    }
    return [_say_ready(service, reconciler), _keep_status(service, state, outcomes), service.feed(checks)]


async def _say_ready(service: Service, reconciler: Reconciler) -> None:
    """The API serves when this runs; the first reconcile is what remains to be waited for."""
    await reconciler.applied.wait()
    service.ready()


async def _keep_status(service: Service, state: State, outcomes: Outcomes) -> None:
    while True:
        version = state.version
        service.status(in_words(state, outcomes))
        await state.wait_for_change(version)
        await asyncio.sleep(STATUS_PAUSE_S)


class ControlLoop:
    """The reconciler makes a pass when it is woken."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self._passes = -1

    def __call__(self) -> str:
        before, self._passes = self._passes, self._reconciler.passes
        self._reconciler.wake()
        return "the reconciler made no pass" if self._passes == before else ""


class Supervision:
    """The supervision of the engine is never in one place for longer than its own deadlines allow."""

    def __init__(self, engine: EngineProcess, patience_s: float) -> None:
        self._engine = engine
        self._patience_s = patience_s

    def __call__(self) -> str:
        still_s = time.monotonic() - self._engine.moved_at
        return f"nothing moved for {still_s:.0f} s" if still_s > self._patience_s else ""


class Store:
    """The writer thread takes an empty write. One that fails, on a full disk, is progress too: the daemon says so."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._probe: asyncio.Future[None] | None = None

    def __call__(self) -> str:
        if self._probe is not None and not self._probe.done():
            return "a write is not done"
        self._probe = self._database.write(_nothing)
        return ""


def _nothing(connection: sqlite3.Connection) -> None:
    """Committed like any other write, and without a byte written."""
