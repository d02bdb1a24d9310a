"""Takes orders: each is an edit of the desired state, made and synced in one transaction with its event and its
request_id.
"""

import asyncio
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from rtcagent.v1 import agent_pb2
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control import screen_share
from rtcagentd.control.errors import invalid
from rtcagentd.control.events import event
from rtcagentd.control.objects import IN_ROOMS, MESSAGES, Desired, Key, as_state, ref_of, room_id_of, room_key
from rtcagentd.control.state import Commit, Row, State
from rtcagentd.journal.journal import insert

M = TypeVar("M", bound=Desired)

Change = agent_pb2.ObjectChange

REQUEST_KEPT_S = 24 * 3600.0


@dataclass(frozen=True)
class Order:
    """Who orders what, and for how long it is to hold."""

    method: str
    controller: ty.Controller
    keep: ty.Keep
    request_id: str = ""
    digest: bytes = b""


@dataclass(frozen=True)
class Taken:
    """An order that is stored: the objects that it was about, whether it wants each to be, and what it changed."""

    revision: int
    objects: dict[Key, bool]
    changes: dict[Key, Change.Kind.ValueType] = field(default_factory=dict)


class Edit:
    """The desired state inside an order's transaction. Runs on the writer thread: touches nothing of the event loop."""

    def __init__(self, connection: sqlite3.Connection, order: Order, boot_id: str) -> None:
        self._connection = connection
        self._order = order
        self._boot_id = boot_id
        self._revision = _revision(connection)
        self.changes: dict[Key, Row | None] = {}
        self.touched: dict[Key, bool] = {}
        self._existed: dict[Key, bool] = {}  # of what is in `changes`: whether it was there when the order came

    @property
    def revision(self) -> int:
        """The revision in force when the order came, plus one once it has changed something."""
        return self._revision + 1 if self.changes else self._revision

    def get(self, key: Key, kind: type[M]) -> M | None:
        """The object as it is desired now."""
        row = self.row(key)
        return row.body if row is not None and isinstance(row.body, kind) else None

    def row(self, key: Key) -> Row | None:
        if key in self.changes:
            return self.changes[key]
        found = self._connection.execute(
            "SELECT boot_id, body, secret FROM desired WHERE kind = ? AND key = ?", key
        ).fetchone()
        return Row(MESSAGES[key.kind].FromString(found[1]), found[2], found[0]) if found else None

    def keys(self, kind: str) -> list[Key]:
        """The keys of every desired object of one kind."""
        rows = self._connection.execute("SELECT key FROM desired WHERE kind = ? ORDER BY key", (kind,))
        return [Key(kind, text) for (text,) in rows]

    def kinds_of_change(self) -> dict[Key, Change.Kind.ValueType]:
        """What the order has done to each object that it has changed."""
        kinds = {}
        for key, row in self.changes.items():
            if row is None:
                kinds[key] = Change.KIND_REMOVED
            else:
                kinds[key] = Change.KIND_CHANGED if self._existed[key] else Change.KIND_ADDED
            if row is None and not self._existed[key]:
                del kinds[key]
        return kinds

    def bodies(self) -> Iterator[tuple[Key, Desired]]:
        """Everything that is asked for now."""
        for kind, text, body in self._connection.execute("SELECT kind, key, body FROM desired").fetchall():
            yield Key(kind, text), MESSAGES[kind].FromString(body)

    def desired(self) -> st.DesiredState:
        """The whole desired state as it is now."""
        return as_state(self.revision, self.bodies())

    def recall(self, name: str) -> str:
        """What was remembered under a name; empty where nothing was."""
        found = self._connection.execute("SELECT value FROM meta WHERE key = ?", (name,)).fetchone()
        return str(found[0]) if found else ""

    def remember(self, name: str, text: str) -> None:
        """Store a text with the order."""
        _set_meta(self._connection, name, text)

    def put(self, key: Key, body: Desired, secret: str = "", *, keep: ty.Keep | None = None) -> None:
        """Ask for an object to be so, for as long as `keep` says, else the order. Changes nothing, not even the
        revision, where just that is asked for already.
        """
        self.touched[key] = True
        before = self.row(key)
        body.ClearField("order")
        body.order.keep.CopyFrom(keep or self._order.keep)
        is_this_boots = body.order.keep.kind == ty.Keep.KIND_THIS_BOOT
        if before is not None and before.secret == secret and (before.boot_id == self._boot_id or not is_this_boots):
            same = type(body)()
            same.CopyFrom(before.body)  # type: ignore[arg-type]  # of the same kind, as the key says
            same.ClearField("order")
            same.order.keep.CopyFrom(before.body.order.keep)
            if same == body:
                return
        body.order.revision = self._revision + 1
        body.order.at.GetCurrentTime()
        body.order.controller.CopyFrom(self._order.controller)
        self._existed.setdefault(key, before is not None)
        self.changes[key] = Row(body, secret, self._boot_id)
        self._connection.execute(
            "INSERT OR REPLACE INTO desired (kind, key, revision, boot_id, body, secret) VALUES (?, ?, ?, ?, ?, ?)",
            (key.kind, key.text, self._revision + 1, self._boot_id, body.SerializeToString(), secret),
        )

    def remove(self, key: Key) -> None:
        """Ask no longer for an object."""
        self.touched[key] = False
        if self.row(key) is not None:
            self._existed.setdefault(key, True)
            self.changes[key] = None
            self._connection.execute("DELETE FROM desired WHERE kind = ? AND key = ?", key)

    def remove_room(self, key: Key) -> dict[Key, Row]:
        """Ask no longer for a room, nor for what was ordered in it, and first of all no longer for the screens that are
        shared in no other room: these are returned.
        """
        screens = {}
        for screen in screen_share.ends_with_rooms(self.bodies(), [key]):
            if (row := self.row(screen)) is not None:
                screens[screen] = row
                self.remove(screen)
        self.remove(key)
        for kind in IN_ROOMS:
            for other in self.keys(kind):
                if room_id_of(other) == key.text:
                    self.remove(other)
        return screens


class Ledger:
    """Stores orders, and the ends of orders."""

    def __init__(self, state: State, boot_id: str) -> None:
        self._state = state
        self._boot_id = boot_id

    async def take(self, order: Order, edit: Callable[[Edit], object]) -> Taken:
        """Store an order; `edit` raises OrderError to refuse it. A repeated request_id gives what its first call gave.

        When the caller is cancelled the order is stored whole or not at all.
        """

        def work(connection: sqlite3.Connection) -> Commit:
            before = _find_request(connection, order)
            if before is not None:
                return Commit(before.revision, objects=before.objects, kinds=before.changes)
            edits = Edit(connection, order, self._boot_id)
            edit(edits)
            _keep_request(connection, order, Taken(edits.revision, edits.touched, edits.kinds_of_change()))
            if not edits.changes:
                return Commit(edits.revision, objects=edits.touched)
            changed = ev.DesiredStateChanged(
                revision=edits.revision,
                method=order.method,
                controller=order.controller,
                objects=[ref_of(key) for key in edits.changes],
            )
            return _finish(connection, edits, [event(changed)])

        commit = await asyncio.shield(self._state.write(work))
        return Taken(commit.revision, commit.objects, commit.kinds)

    async def end(self, keys: Iterable[Key], why: ty.Cause) -> None:
        """Remove orders whose time is over, each with an event. Those that were changed meanwhile stay. Also when the
        disk does not take it: what has ended does not go on for that.
        """
        order = Order("", ty.Controller(), ty.Keep())
        overdue = {key: row for key in keys if (row := self._state.rows.get(key)) is not None}

        def work(connection: sqlite3.Connection) -> Commit:
            edits = Edit(connection, order, self._boot_id)
            ended: list[ev.Event] = []
            for key, known in overdue.items():
                row = edits.row(key)
                if row is None or row.revision != known.revision:
                    continue
                if key.kind == "room":
                    screens = edits.remove_room(key)
                    ended.extend(_ended(screen, shared, edits.revision, why) for screen, shared in screens.items())
                else:
                    edits.remove(key)
                ended.append(_ended(key, row, edits.revision, why))
            return _finish(connection, edits, ended) if ended else Commit()

        revision = self._state.revision + 1
        bodies = ((key, row.body) for key, row in self._state.rows.items())
        ending = {key: self._state.rows[key] for key in screen_share.ends_with_rooms(bodies, overdue)} | overdue
        gone = [key for key in self._state.rows if key in ending or room_key(room_id_of(key)) in ending]
        held = Commit(revision, rows=dict.fromkeys(gone))
        held.events = [_ended(key, row, revision, why) for key, row in ending.items()]
        await self._state.keep(work, held)


def _ended(key: Key, row: Row, revision: int, why: ty.Cause) -> ev.Event:
    keep = row.body.order.keep
    return event(ev.OrderEnded(revision=revision, object=ref_of(key), keep=keep, cause=why))


def _finish(connection: sqlite3.Connection, edits: Edit, events: list[ev.Event]) -> Commit:
    _set_meta(connection, "revision", str(edits.revision))
    kinds = edits.kinds_of_change()
    commit = Commit(edits.revision, objects=edits.touched, rows=edits.changes, events=events, kinds=kinds)
    commit.entries = insert(connection, events)
    return commit


def _revision(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()
    return int(row[0]) if row else 0


def _set_meta(connection: sqlite3.Connection, key: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))


def _find_request(connection: sqlite3.Connection, order: Order) -> Taken | None:
    if not order.request_id:
        return None
    connection.execute("DELETE FROM requests WHERE at_s < ?", (time.time() - REQUEST_KEPT_S,))
    found = connection.execute(
        "SELECT digest, revision, objects FROM requests WHERE request_id = ?", (order.request_id,)
    ).fetchone()
    if found is None:
        return None
    digest, revision, objects = found
    if digest != order.digest:
        raise invalid(
            "order.request_id",
            "REQUEST_ID_REUSED",
            f"request_id {order.request_id!r} was used for another order within the last day: choose a new one",
        )
    stored = [(Key(kind, text), wanted, change) for kind, text, wanted, *change in json.loads(objects)]
    changes = {key: change[0] for key, _, change in stored if change and change[0]}
    return Taken(revision, {key: wanted for key, wanted, _ in stored}, changes)


def _keep_request(connection: sqlite3.Connection, order: Order, taken: Taken) -> None:
    if order.request_id:
        objects = json.dumps([[*key, wanted, taken.changes.get(key, 0)] for key, wanted in taken.objects.items()])
        connection.execute(
            "INSERT INTO requests (request_id, digest, revision, objects, at_s) VALUES (?, ?, ?, ?, ?)",
            (order.request_id, order.digest, taken.revision, objects, time.time()),
        )


def digest_of(method: str, request: bytes) -> bytes:
    """What tells two orders with the same request_id apart."""
    return hashlib.sha256(method.encode() + b"\0" + request).digest()
