"""The database's tables, the version of them that this build reads and writes, and the steps from older versions."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

# Within a transaction of its own, from one version to the next.
Step = Callable[[sqlite3.Connection], None]


@dataclass(frozen=True)
class Schema:
    """The tables as a new database has them, and how each older version becomes them: steps[0] leads from 1 to 2."""

    tables: str
    steps: tuple[Step, ...] = ()

    @property
    def version(self) -> int:
        return 1 + len(self.steps)


_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- What controllers asked for: one row for each object. `body` is the rtcagent.v1 Desired message named by `kind`;
-- `secret` is the room token.
CREATE TABLE desired (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    revision INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    body BLOB NOT NULL,
    secret TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;

-- Orders that came with a request_id: what they did, for when they are repeated.
-- `objects` is JSON: [[kind, key, whether it is to be], ...].
CREATE TABLE requests (
    request_id TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    revision INTEGER NOT NULL,
    objects TEXT NOT NULL,
    at_s REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX requests_by_time ON requests (at_s);

-- The event log. `body` is an rtcagent.v1 Event, as it is sent.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at_s REAL NOT NULL,
    type TEXT NOT NULL,
    room_id TEXT NOT NULL,
    body BLOB NOT NULL
);

-- Devices that this machine has or had. `body` is an rtcagent.v1 Device.
CREATE TABLE devices (device_id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
"""

SCHEMA = Schema(_TABLES)
