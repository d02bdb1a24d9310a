"""The one SQLite database, and the one thread that writes to it.

Writes are functions that run on the writer thread, each in a savepoint of its own; those that wait together share one
commit and so one sync to disk. Results are handed to the event loop in the order of the commits, after the sync.
"""

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from rtcagentd.store.schema import SCHEMA, SCHEMA_VERSION

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_GROUP = 256  # writes that share a commit; bounds how long the first of them waits


class StoreError(Exception):
    """The database cannot be opened or written; the text says why and what to do."""


@dataclass
class _Write(Generic[T]):
    work: Callable[[sqlite3.Connection], T]
    then: Callable[[T], None] | None
    future: asyncio.Future[T]


@dataclass
class _Done:
    write: _Write[Any]
    result: Any = None
    error: BaseException | None = None


class Database:
    """Owns the connections and the writer thread. Called on the event loop only, functions given to `write` aside."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.on_commit: Callable[[float], None] = lambda took_s: None  # called on the writer thread
        self._queue: queue.SimpleQueue[_Write[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer")
        self._reader_lock = threading.Lock()  # the reader connection is used by several worker threads in turn

    async def __aenter__(self) -> "Database":
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._open)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._reader.close()
        self._writer.close()

    def write(
        self, work: Callable[[sqlite3.Connection], T], then: Callable[[T], None] | None = None
    ) -> "asyncio.Future[T]":
        """Run `work` on the writer thread; the future has its result once that is synced to disk, or its error.

        `then` is called with the result on the event loop, in the order of the commits, even when nobody awaits the
        future.
        What `work` raises undoes its own changes and nobody else's.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Write(work, then, future))
        return future

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on a worker thread with a connection that only reads. It sees whole commits."""

        def locked() -> T:
            with self._reader_lock:
                return work(self._reader)

        return await asyncio.to_thread(locked)

    def _open(self) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._writer = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            self._path.chmod(0o600)
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 5000"):
                self._writer.execute(f"PRAGMA {pragma}").fetchall()
            self._prepare()
            self._reader = sqlite3.connect(
                f"{self._path.as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"cannot open the database {self._path}: {error}") from error

    def _prepare(self) -> None:
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._writer.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            raise StoreError(
                f"the database {self._path} has schema {version} and this version of rtcagentd reads {SCHEMA_VERSION}: "
                "start the version that wrote it, or move the file away to begin with an empty state"
            )

    def _run(self) -> None:
        stopping = False
        while not stopping:
            group = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(group) < MAX_GROUP:
                    group.append(self._queue.get_nowait())
            stopping = None in group
            done = self._commit([write for write in group if write is not None])
            if done:
                self._loop.call_soon_threadsafe(self._deliver, done)

    def _commit(self, writes: list[_Write[Any]]) -> list[_Done]:
        """Make the writes durable together; when that fails, none of them was made."""
        if not writes:
            return []
        started_at = time.monotonic()
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            done = [self._perform(write) for write in writes]
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            log.error("writing to %s failed: %s", self._path, error)
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
            failure = StoreError(f"cannot write to the database {self._path}: {error}")
            return [_Done(write, error=failure) for write in writes]
        self.on_commit(time.monotonic() - started_at)
        return done

    def _perform(self, write: _Write[Any]) -> _Done:
        self._writer.execute("SAVEPOINT one")
        try:
            result = write.work(self._writer)
        except sqlite3.Error:
            raise
        except Exception as error:
            self._writer.execute("ROLLBACK TO one")
            self._writer.execute("RELEASE one")
            return _Done(write, error=error)
        self._writer.execute("RELEASE one")
        return _Done(write, result=result)

    def _deliver(self, done: list[_Done]) -> None:
        for item in done:
            if item.error is None and item.write.then is not None:
                item.write.then(item.result)
            if item.write.future.cancelled():
                continue
            if item.error is not None:
                item.write.future.set_exception(item.error)
                item.write.future.exception()  # seen: not everybody awaits
            else:
                item.write.future.set_result(item.result)
