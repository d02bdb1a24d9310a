"""The agent's state in memory: what is desired, what is reported, and up to which event.

Both change only when a write has been committed, on the event loop, in the order of the commits. So this view is
consistent at any moment, and equal to what the store and the log would give. The one exception is told by `store`:
while the disk takes nothing, what happens is reported, and what ends has ended, before it is written down.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from google.protobuf.message import DecodeError
from rtcagent.v1 import agent_pb2
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import fold

from rtcagentd.control.events import cause, event
from rtcagentd.control.objects import MESSAGES, Desired, Key, as_state
from rtcagentd.control.recording_limits import RecordingLimits
from rtcagentd.journal.journal import Entry, Journal, insert
from rtcagentd.store.database import Database, StoreStatus

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Desired)

EVENT_BYTES = 300  # that an event takes in memory beside its contents


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
    """What one write was about, and what it changed: rows put (or, as None, removed), and events.

    `kinds`: whether it added, changed or removed each.
    """

    revision: int = 0
    objects: dict[Key, bool] = field(default_factory=dict)
    rows: dict[Key, Row | None] = field(default_factory=dict)
    events: list[ev.Event] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    is_reported: bool = False  # its events are in the reported state already
    kinds: dict[Key, agent_pb2.ObjectChange.Kind.ValueType] = field(default_factory=dict)


class State:
    """Desired and reported state. `changed` is set, and made anew, at every change."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self._database = database
        self._journal = journal
        self.rows: dict[Key, Row] = {}
        self.revision = 0
        self.reported = st.ReportedState()
        self.recording_limits = RecordingLimits()  # the configuration's
        self.default_layout = False  # of displays without an order about it: the configuration's
        self.version = 0
        self._changed = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    async def load(self) -> None:
        """Take over what the store has, now and whenever it is replaced: the desired state and the known devices."""
        await self._database.attach(_load, then=self._take_over)
        self._database.on_status = self._store_changed
        self._database.on_mended = self._store_mended
        if self._database.mended:
            await self.record(event(ev.ErrorOccurred(cause=cause(ty.REASON_STORE_MENDED, self._database.mended))))

    @property
    def store(self) -> StoreStatus:
        """Whether the store can be written."""
        return self._database.status

    @property
    def unwritten_count(self) -> int:
        """Writes that are in force here, but not on disk."""
        return self._database.held_count

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
        return as_state(self.revision, ((key, row.body) for key, row in self.rows.items()))

    def record(self, *events: ev.Event) -> "asyncio.Future[Commit]":
        """Write events down; when that is done the reported state has them. Devices among them are remembered.

        Never fails for want of a disk: then they are reported at once, and written down when it takes them again.
        """
        for item in events:
            if not item.HasField("at"):
                item.at.GetCurrentTime()

        def work(connection: sqlite3.Connection) -> Commit:
            commit = Commit(events=list(events))
            commit.entries = insert(connection, commit.events)
            for item in commit.events:
                if item.HasField("device_added"):
                    device = item.device_added.device
                    connection.execute(
                        "INSERT OR REPLACE INTO devices (device_id, body) VALUES (?, ?)",
                        (device.device_id, device.SerializeToString()),
                    )
            return commit

        weight = sum(EVENT_BYTES + item.ByteSize() for item in events)
        return self.keep(work, Commit(events=list(events)), weight)

    def write(self, work: Callable[[sqlite3.Connection], Commit]) -> "asyncio.Future[Commit]":
        """Run a write that changes the state, and apply it once it is committed."""
        return self._database.write(work, then=self._apply)

    def keep(
        self, work: Callable[[sqlite3.Connection], Commit], held: Commit, weight: int = 0
    ) -> "asyncio.Future[Commit]":
        """As write, for what must not get lost: as long as the disk does not take it, `held` is in force. With a
        weight in bytes it may be dropped when too much waits.
        """

        def hold() -> Commit:
            self._apply(held)
            held.is_reported = True
            return held

        def then(commit: Commit) -> None:
            commit.is_reported = held.is_reported
            self._apply(commit)

        return self._database.write(work, then, hold=hold, weight=weight)

    def _store_changed(self) -> None:
        if not self.store.is_writable:
            self.record(event(ev.ErrorOccurred(cause=cause(ty.REASON_STORE_FAILED, self.store.problem))))
        self.touch()

    def _store_mended(self, mended: str) -> None:
        if mended:
            self.record(event(ev.ErrorOccurred(cause=cause(ty.REASON_STORE_MENDED, mended))))

    def _apply(self, commit: Commit) -> None:
        if not commit.rows and not commit.events:
            return
        self.revision = max(self.revision, commit.revision)
        for key, row in commit.rows.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        for item in () if commit.is_reported else commit.events:
            fold.apply(self.reported, item)
        if commit.entries:
            self._journal.publish(commit.entries)
        self.touch()

    def _take_over(self, loaded: tuple[int, dict[Key, Row], list[ty.Device]]) -> None:
        self.revision, self.rows, devices = loaded
        known = {device.device_id for device in self.reported.devices}
        for device in devices:
            if device.device_id not in known:
                device.present = False
                device.path = ""
                self.reported.devices.append(device)
        self.touch()


def _load(connection: sqlite3.Connection) -> tuple[int, dict[Key, Row], list[ty.Device]]:
    row = connection.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()
    rows = {}
    for kind, text, boot_id, body, secret in connection.execute("SELECT kind, key, boot_id, body, secret FROM desired"):
        try:
            rows[Key(kind, text)] = Row(MESSAGES[kind].FromString(body), secret, boot_id)
        except (KeyError, DecodeError):
            log.error("the store asks for a %s %r that this version does not understand: it is left out", kind, text)
    devices = [
        ty.Device.FromString(body) for (body,) in connection.execute("SELECT body FROM devices ORDER BY device_id")
    ]
    return int(row[0]) if row else 0, rows, devices
