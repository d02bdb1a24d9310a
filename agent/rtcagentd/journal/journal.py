"""The event log: numbers events, writes them down, and keeps the newest in memory for those who follow live.

Events are inserted on the store's writer thread and published on the event loop after their commit, in the order of
their seq. An event is serialised once, whoever reads it. When the store has to begin the log anew, its id changes.
"""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from rtcagent.v1 import event_pb2 as ev

from rtcagentd.journal.retention import Retention, prune
from rtcagentd.store.database import Database
from rtcagentd.store.faults import Damaged

log = logging.getLogger(__name__)

TAIL_EVENTS = 8192  # kept in memory; watchers further behind read from the database
TAIL_BYTES = 8 << 20
PAGE_EVENTS = 256  # read from the database at once
PRUNE_EVERY = 1000  # events between two looks at the retention


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as it is stored and sent."""

    seq: int
    type: str
    room_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Missing:
    """The events with first_seq <= seq < next_seq are no longer in the log."""

    first_seq: int
    next_seq: int


class Journal:
    """The log's position, its newest events, and a wake-up call for its readers. Lives on the event loop."""

    def __init__(self, database: Database, retention: Retention) -> None:
        self._database = database
        self._retention = retention
        self._tail: deque[Entry] = deque()
        self._tail_bytes = 0
        self._grown = asyncio.Event()
        self._pruned_at_seq = 0
        self.log_id = ""
        self.last_seq = 0

    async def open(self) -> None:
        """Read the log's id and position, now and whenever the log begins anew."""
        await self._database.attach(_position, self._begin)
        self._prune()

    def _begin(self, position: tuple[str, int]) -> None:
        log_id, seq = position
        if (log_id, seq) == (self.log_id, self.last_seq):
            return
        self.log_id, self.last_seq = log_id, seq
        self._tail.clear()
        self._tail_bytes = 0
        self._pruned_at_seq = seq
        self._wake_readers()

    def _wake_readers(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    def keep(self, retention: Retention) -> None:
        """Change the retention: what is past it goes at the next look."""
        self._retention = retention

    def publish(self, entries: Iterable[Entry]) -> None:
        """Make committed events visible to readers. Called in the order of their seq."""
        for entry in entries:
            self._tail.append(entry)
            self._tail_bytes += len(entry.body)
            self.last_seq = entry.seq
        while len(self._tail) > TAIL_EVENTS or self._tail_bytes > TAIL_BYTES:
            self._tail_bytes -= len(self._tail.popleft().body)
        self._wake_readers()
        if self.last_seq - self._pruned_at_seq >= PRUNE_EVERY:
            self._pruned_at_seq = self.last_seq
            self._prune()

    async def wait_beyond(self, seq: int, log_id: str) -> None:
        """Return when the log has an event after `seq`, or is another one."""
        while self.last_seq <= seq and self.log_id == log_id:
            await self._grown.wait()

    async def wait_for_another(self, log_id: str, timeout_s: float) -> None:
        """Return when the log is another one than this, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.log_id == log_id:
                    await self._grown.wait()

    async def read(self, after: int) -> Sequence[Entry] | Missing:
        """The next events after `after`, at most a page of them; empty at the end of the log."""
        if after >= self.last_seq:
            return []
        if self._tail and self._tail[0].seq <= after + 1:
            start = after + 1 - self._tail[0].seq  # seq has no holes, so it is an index
            return [self._tail[index] for index in range(start, min(start + PAGE_EVENTS, len(self._tail)))]
        page = await self._database.read(lambda connection: _read_page(connection, after))
        if page[0].seq != after + 1:
            return Missing(first_seq=after + 1, next_seq=page[0].seq)
        return page

    async def oldest_seq(self) -> int:
        """The first event that can be replayed."""
        return await self._database.read(_oldest_seq)

    def _prune(self) -> None:
        """Drop what is past the retention, a part at a time so that no order waits long for it."""
        self._database.write(lambda connection: prune(connection, self._retention), then=self._pruned)

    def _pruned(self, has_more: bool) -> None:
        if has_more:
            self._prune()


def insert(connection: sqlite3.Connection, events: Iterable[ev.Event]) -> list[Entry]:
    """Number and write down events that are part of the transaction under way. Runs on the writer thread."""
    (seq,) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
    now = time.time()
    entries = []
    for event in events:
        seq += 1
        event.seq = seq
        if not event.HasField("at"):
            event.at.FromNanoseconds(int(now * 1e9))
        entries.append(Entry(seq, event.WhichOneof("payload") or "", event.room_id, event.SerializeToString()))
    connection.executemany(
        "INSERT INTO events (seq, at_s, type, room_id, body) VALUES (?, ?, ?, ?, ?)",
        [(entry.seq, now, entry.type, entry.room_id, entry.body) for entry in entries],
    )
    return entries


def _position(connection: sqlite3.Connection) -> tuple[str, int]:
    (log_id,) = connection.execute("SELECT value FROM meta WHERE key = 'log_id'").fetchone()
    (seq,) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
    return log_id, seq


def _oldest_seq(connection: sqlite3.Connection) -> int:
    (seq,) = connection.execute("SELECT coalesce(min(seq), 0) FROM events").fetchone()
    return int(seq)


def _read_page(connection: sqlite3.Connection, after: int) -> list[Entry]:
    """Raises Damaged for what is no event: SQLite has no checksums, and nobody is to be sent what was never written."""
    rows = connection.execute(
        "SELECT seq, type, room_id, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (after, PAGE_EVENTS)
    )
    page = [Entry(*row) for row in rows]
    for entry in page:
        try:
            is_sound = ev.Event.FromString(entry.body).seq == entry.seq
        except DecodeError:
            is_sound = False
        if not is_sound:
            raise Damaged(f"event {entry.seq} is not what was written")
    return page
