"""A store with its log, its state and its orders, as the daemon has them, for tests without a daemon."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagentd.control.events import event
from rtcagentd.control.ledger import Edit, Ledger, Order
from rtcagentd.control.objects import room_key
from rtcagentd.control.state import State
from rtcagentd.journal.journal import Journal, Missing
from rtcagentd.journal.retention import Retention
from rtcagentd.store.database import Database
from rtcagentd.store.schema import SCHEMA, Schema

BOOT = "this boot"


@dataclass
class Parts:
    """What is open."""

    database: Database
    journal: Journal
    state: State
    ledger: Ledger

    async def join(self, room_id: str, request_id: str = "", token: str = "") -> int:
        """An order; returns its revision."""
        order = Order("JoinRoom", ty.Controller(identity="ann"), ty.Keep(kind=ty.Keep.KIND_FOREVER), request_id)

        def edit(edits: Edit) -> None:
            edits.put(room_key(room_id), st.DesiredRoom(config=ty.RoomConfig(room_id=room_id)), token)

        return (await self.ledger.take(order, edit)).revision

    async def log(self) -> list[ev.Event]:
        """Every event that the log has."""
        events: list[ev.Event] = []
        while page := await self.journal.read(events[-1].seq if events else 0):
            assert not isinstance(page, Missing)
            events += [ev.Event.FromString(entry.body) for entry in page]
        return events

    @property
    def rooms(self) -> list[str]:
        return sorted(key.text for key in self.state.rows)


@contextlib.asynccontextmanager
async def opened(path: Path, *, max_bytes: int = 1 << 30, schema: Schema = SCHEMA) -> AsyncIterator[Parts]:
    async with Database(path, schema) as database:
        journal = Journal(database, Retention(1_000_000, 3600.0, max_bytes))
        await journal.open()
        state = State(database, journal)
        await state.load()
        yield Parts(database, journal, state, Ledger(state, BOOT))


def started(source_id: str, filling: int = 0) -> ev.Event:
    """An event that reports state, as large as is asked for."""
    capture = st.CaptureStatus(source_id=source_id, state=st.CAPTURE_STATE_CAPTURING, input="x" * filling)
    return event(ev.CaptureStateChanged(capture=capture))


def fill_disk(connection: sqlite3.Connection) -> None:
    """The file may take no further page: SQLite says what it says on a full disk."""
    connection.execute("PRAGMA max_page_count = 1").fetchall()


def empty_disk(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA max_page_count = 1000000000").fetchall()
