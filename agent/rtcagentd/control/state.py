"""The agent's state in memory: what is desired, what is reported, and up to which event.

Both change only when a write has been committed, on the event loop, in the order of the commits. So this view is
consistent at any moment, and equal to what the store and the log would give.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import fold

from rtcagentd.control.objects import MESSAGES, Desired, Key
from rtcagentd.journal.journal import Entry, Journal, insert
from rtcagentd.store.database import Database

M = TypeVar("M", bound=Desired)


@dataclass(frozen=True, slots=True)
class Row:
    """One object of the desired state."""

    body: Desired
    secret: str = ""
    boot_id: str = ""

    @property
    def revision(self) -> int:
        return self.body.order.revision


@dataclass
class Commit:
    """What one write was about, and what it changed: rows put (or, as None, removed), and events."""

    revision: int = 0
    objects: dict[Key, bool] = field(default_factory=dict)
    rows: dict[Key, Row | None] = field(default_factory=dict)
    events: list[ev.Event] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


class State:
    """Desired and reported state. `changed` is set, and made anew, at every change."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self._database = database
        self._journal = journal
        self.rows: dict[Key, Row] = {}
        self.revision = 0
        self.reported = st.ReportedState()
        self.version = 0
        self._changed = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    async def load(self) -> None:
        """Take over what the store has: the desired state and the known devices."""
        await self._database.write(_load, then=self._take_over)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change."""
        self._listeners.append(listener)

    async def wait_for_change(self, version: int) -> None:
        """Return when the state is newer than `version`."""
        while self.version == version:
            await self._changed.wait()

    def touch(self) -> None:
        """Tell everybody who waits that something beside the state itself (a step's progress) has changed."""
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()
        for listener in self._listeners:
            listener()

    def get(self, key: Key, kind: type[M]) -> M | None:
        """The desired object of this key."""
        row = self.rows.get(key)
        return row.body if row is not None and isinstance(row.body, kind) else None

    def all(self, kind: type[M]) -> Iterable[M]:
        """Every desired object of one kind."""
        return (row.body for row in self.rows.values() if isinstance(row.body, kind))

    def desired(self) -> st.DesiredState:
        """The desired state as a message."""
        desired = st.DesiredState(revision=self.revision)
        for key in sorted(self.rows):
            body = self.rows[key].body
            match body:
                case st.DesiredRoom():
                    desired.rooms.append(body)
                case st.DesiredCapture():
                    desired.captures.append(body)
                case st.DesiredStream():
                    desired.streams.append(body)
                case st.DesiredSubscription():
                    desired.subscriptions.append(body)
                case st.DesiredSlot():
                    desired.slots.append(body)
        return desired

    def record(self, *events: ev.Event) -> "asyncio.Future[Commit]":
        """Write events down; when that is done the reported state has them. Devices among them are remembered."""

        def work(connection: sqlite3.Connection) -> Commit:
            commit = Commit(events=list(events))
            commit.entries = insert(connection, commit.events)
            for event in commit.events:
                if event.HasField("device_added"):
                    device = event.device_added.device
                    connection.execute(
                        "INSERT OR REPLACE INTO devices (device_id, body) VALUES (?, ?)",
                        (device.device_id, device.SerializeToString()),
                    )
            return commit

        return self.write(work)

    def write(self, work: Callable[[sqlite3.Connection], Commit]) -> "asyncio.Future[Commit]":
        """Run a write that changes the state, and apply it once it is committed."""
        return self._database.write(work, then=self._apply)

    def _apply(self, commit: Commit) -> None:
        if not commit.rows and not commit.entries:
            return
        self.revision = max(self.revision, commit.revision)
        for key, row in commit.rows.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        for event in commit.events:
            fold.apply(self.reported, event)
        self._journal.publish(commit.entries)
        self.touch()

    def _take_over(self, loaded: tuple[int, dict[Key, Row], list[ty.Device]]) -> None:
        self.revision, self.rows, devices = loaded
        for device in devices:
            device.present = False
            device.path = ""
            self.reported.devices.append(device)
        self.touch()


def _load(connection: sqlite3.Connection) -> tuple[int, dict[Key, Row], list[ty.Device]]:
    row = connection.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()
    rows = {}
    for kind, text, boot_id, body, secret in connection.execute("SELECT kind, key, boot_id, body, secret FROM desired"):
        rows[Key(kind, text)] = Row(MESSAGES[kind].FromString(body), secret, boot_id)
    devices = [
        ty.Device.FromString(body) for (body,) in connection.execute("SELECT body FROM devices ORDER BY device_id")
    ]
    return int(row[0]) if row else 0, rows, devices
