"""The one SQLite database, and the one thread that writes to it.

Writes are functions that run on the writer thread, each in a savepoint of its own; those that wait together share one
commit and so one sync to disk. Results are handed to the event loop in the order of the commits, after the sync.

A write that cannot be made fails, and was not made. One that must not get lost (`hold`) waits in memory instead, in its
order, until the disk takes it; what it changes is so at once, and nobody waits for it. A damaged file is replaced.
"""

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from rtcagentd.store.faults import Fault, StoreError, fault_of
from rtcagentd.store.schema import SCHEMA, Schema
from rtcagentd.store.writer import Renewal, Writer

__all__ = ["Database", "StoreError", "StoreStatus"]

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_GROUP = 256  # writes that share a commit; bounds how long the first of them waits
RETRY_S = 1.0  # between tries to write what waits in memory
HOLD_AFTER_S = 2.0  # a disk that takes longer than this counts as one that cannot be written
MAX_WAITING_BYTES = 8 << 20
STOP_S = 3.0


@dataclass(eq=False)
class _Write(Generic[T]):
    work: Callable[[sqlite3.Connection], T]
    then: Callable[[T], None] | None
    future: asyncio.Future[T]
    hold: Callable[[], T] | None = None
    weight: int = 0  # bytes, of one that may be dropped when too much waits
    since: float = 0.0
    is_held: bool = False
    is_done: bool = False


@dataclass
class _Done:
    write: _Write[Any]
    result: Any = None
    error: BaseException | None = None
    was_dropped: bool = False


@dataclass
class _Damage:
    problem: str
    renewals: int  # seen when the damage was


@dataclass(frozen=True)
class StoreStatus:
    """Whether the store can be written, and if not, why and since when (seconds since 1970)."""

    problem: str = ""
    since_s: float = 0.0

    @property
    def is_writable(self) -> bool:
        return not self.problem


@dataclass
class _Group:
    """What the writer thread took from its queue at once."""

    writes: list[_Write[Any]] = field(default_factory=list)
    damage: list[_Damage] = field(default_factory=list)
    is_last: bool = False


class Database:
    """Owns the writer thread. Called on the event loop only, functions given to `write` and `attach` aside."""

    def __init__(self, path: Path, schema: Schema = SCHEMA) -> None:
        self._path = path
        self._writer = Writer(path, schema)
        self._queue: queue.SimpleQueue[_Write[Any] | _Damage | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._waiting: deque[_Write[Any]] = deque()  # on the writer thread: kept for when the disk takes them
        self._unsettled: deque[_Write[Any]] = deque()  # on the event loop: those with `hold` that are not written yet
        self._timer: asyncio.TimerHandle | None = None
        self._told_problem = ""
        self.on_commit: Callable[[float], None] = lambda took_s: None  # called on the writer thread
        self.status = StoreStatus()
        self.on_status: Callable[[], None] = lambda: None
        self.on_mended: Callable[[str], None] = lambda mended: None

    async def __aenter__(self) -> "Database":
        self._loop = asyncio.get_running_loop()
        self.mended = await asyncio.to_thread(self._writer.open)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, STOP_S)
        if self._thread.is_alive():
            log.error("the disk of %s does not answer: what it was last given to write may be lost", self._path)
            return
        if self._waiting:
            log.error("%d writes that %s could not take are lost with this process", len(self._waiting), self._path)
        self._writer.close()

    async def attach(self, load: Callable[[sqlite3.Connection], T], then: Callable[[T], None]) -> None:
        """Load something now, and again whenever another file or another event log takes the place of this one.

        `then` is called on the event loop, before the results of later commits are.
        """
        then(await asyncio.to_thread(self._writer.load, load, then))

    def write(
        self,
        work: Callable[[sqlite3.Connection], T],
        then: Callable[[T], None] | None = None,
        *,
        hold: Callable[[], T] | None = None,
        weight: int = 0,
    ) -> "asyncio.Future[T]":
        """Run `work` on the writer thread; the future has its result once that is synced to disk, or its error.

        `then` is called with the result on the event loop, in the order of the commits, even when nobody awaits the
        future. What `work` raises undoes its own changes and nobody else's. StoreError: it was not written.

        With `hold` there is no StoreError: when the disk does not take it, or not soon, `hold` is called instead, in
        the order of these writes, and the future has its result; the write is made, and `then` called, when the disk
        takes it again. When too much waits, those with a `weight` are dropped, and a new event log begins.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        write = _Write(work, then, future, hold, weight, self._loop.time())
        self._queue.put(write)
        if hold is not None:
            self._unsettled.append(write)
            if not self.status.is_writable:
                self._loop.call_soon(self._hold_all)
            elif self._timer is None:
                self._timer = self._loop.call_later(HOLD_AFTER_S, self._look_for_late)
        return future

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on a worker thread with a connection that only reads. It sees whole commits."""
        renewals = self._writer.renewals
        try:
            return await asyncio.to_thread(self._writer.read, work)
        except sqlite3.Error as error:
            if fault_of(error) is Fault.DAMAGED:
                self._queue.put(_Damage(str(error), renewals))
            raise StoreError(f"cannot read the database {self._path}: {error}") from error

    @property
    def held_count(self) -> int:
        """Writes that are in force but not on disk."""
        return sum(write.is_held for write in self._unsettled)

    # -- on the event loop

    def _look_for_late(self) -> None:
        self._timer = None
        if not self._unsettled:
            return
        now = self._loop.time()
        if any(now - write.since >= HOLD_AFTER_S for write in self._unsettled if not write.is_held):
            if self.status.is_writable:
                problem = f"writing to the database {self._path} takes longer than {HOLD_AFTER_S:g} s"
                log.error("%s", problem)
                self.status = StoreStatus(problem, time.time())
                self.on_status()
            self._hold_all()
        self._timer = self._loop.call_later(HOLD_AFTER_S / 2, self._look_for_late)

    def _hold_all(self) -> None:
        """Put what waits for the disk in force without it."""
        for write in self._unsettled:
            if write.is_held or write.is_done or write.hold is None:
                continue
            write.is_held = True
            result = write.hold()
            if not write.future.done():
                write.future.set_result(result)

    def _deliver(self, renewal: Renewal | None, done: list[_Done], problem: str) -> None:
        """Tell of one try of the writer thread."""
        if renewal is not None:
            for then, loaded in renewal.loaded:
                then(loaded)
        for item in done:
            item.write.is_done = True
        while self._unsettled and self._unsettled[0].is_done:
            self._unsettled.popleft()
        for item in done:
            self._settle(item)
        if problem != self.status.problem:
            self.status = StoreStatus(problem, (self.status.since_s or time.time()) if problem else 0.0)
            self.on_status()
        if problem:
            self._hold_all()
        if renewal is not None:
            self.on_mended(renewal.mended)

    def _settle(self, item: _Done) -> None:
        write, future = item.write, item.write.future
        if item.error is None and not item.was_dropped and write.then is not None:
            write.then(item.result)
        if future.done():
            return
        if item.error is not None:
            future.set_exception(item.error)
            future.exception()  # seen: not everybody awaits
        else:
            future.set_result(item.result)

    # -- on the writer thread

    def _run(self) -> None:
        is_last = False
        while not is_last:
            group = self._next_group()
            is_last = group.is_last
            for damage in group.damage:
                if damage.renewals == self._writer.renewals:
                    self._writer.replace(damage.problem)
            done, problem = self._try(group.writes)
            renewal = self._writer.take_renewal() if not problem else None
            if done or renewal is not None or problem != self._told_problem:
                self._told_problem = problem
                self._loop.call_soon_threadsafe(self._deliver, renewal, done, problem)

    def _next_group(self) -> _Group:
        group = _Group()
        with contextlib.suppress(queue.Empty):
            item = self._queue.get(timeout=RETRY_S if self._waiting or self._writer.has_more_to_do else None)
            while True:
                if item is None:
                    group.is_last = True
                elif isinstance(item, _Damage):
                    group.damage.append(item)
                else:
                    group.writes.append(item)
                if len(group.writes) >= MAX_GROUP:
                    break
                item = self._queue.get_nowait()
        return group

    def _try(self, writes: list[_Write[Any]]) -> tuple[list[_Done], str]:
        """Make the writes durable, those that wait first; returns what became of them, and why nothing was written."""
        together = [*self._waiting, *writes]
        started_at = time.monotonic()
        try:
            done = self._writer.commit(lambda connection: [_perform(connection, write) for write in together])
        except (sqlite3.Error, OSError, StoreError) as error:
            problem = f"cannot write to the database {self._path}: {error}"
            if problem != self._told_problem:
                log.error("%s", problem)
            self._waiting.extend(write for write in writes if write.hold is not None)
            done = [_Done(write, error=StoreError(problem)) for write in writes if write.hold is None]
            return [*done, *self._drop()], problem
        if together:
            self.on_commit(time.monotonic() - started_at)
        if self._told_problem:
            log.warning("the database %s is written again, with %d writes that waited", self._path, len(self._waiting))
        self._waiting.clear()
        return done, ""

    def _drop(self) -> list[_Done]:
        """Bound what waits in memory: a log without these events could not go on, so it begins anew."""
        if sum(write.weight for write in self._waiting) <= MAX_WAITING_BYTES:
            return []
        dropped = [write for write in self._waiting if write.weight]
        self._waiting = deque(write for write in self._waiting if not write.weight)
        self._writer.begin_log(f"{len(dropped)} or more events are lost: they waited for the disk, and were too many")
        return [_Done(write, was_dropped=True) for write in dropped]


def _perform(connection: sqlite3.Connection, write: _Write[Any]) -> _Done:
    connection.execute("SAVEPOINT one")
    try:
        result = write.work(connection)
    except Exception as error:
        if fault_of(error) is not Fault.DEFECT:
            raise
        connection.execute("ROLLBACK TO one")
        connection.execute("RELEASE one")
        return _Done(write, error=error)
    connection.execute("RELEASE one")
    return _Done(write, result=result)
