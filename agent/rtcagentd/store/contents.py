"""What of the database must never be lost, read and written as a whole: the desired state and the orders of the day.

And the beginning of a new event log, for when the old one cannot be gone on with.
"""

import sqlite3
import uuid
from dataclasses import dataclass, field
from typing import NamedTuple


class StoredRow(NamedTuple):
    """A row of the table `desired`, without its key."""

    revision: int
    boot_id: str
    body: bytes
    secret: str


class StoredRequest(NamedTuple):
    """A row of the table `requests`, without its request_id."""

    digest: bytes
    revision: int
    objects: str
    at_s: float


OWN_META = ("revision", "log_id")  # of the table `meta`: what is no text that an order remembers


@dataclass
class Content:
    """The desired state with its secrets, what orders remember, and those that came with a request_id."""

    revision: int = 0
    rows: dict[tuple[str, str], StoredRow] = field(default_factory=dict)
    requests: dict[str, StoredRequest] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)  # what orders remember, by name


def read_revision(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()
    return int(row[0]) if row else 0


def read(connection: sqlite3.Connection) -> Content:
    """All of it."""
    content = Content(read_revision(connection))
    content.meta = dict(connection.execute(f"SELECT key, value FROM meta WHERE key NOT IN {OWN_META}"))
    for kind, key, *row in connection.execute("SELECT kind, key, revision, boot_id, body, secret FROM desired"):
        content.rows[kind, key] = StoredRow(*row)
    for request_id, *request in connection.execute("SELECT request_id, digest, revision, objects, at_s FROM requests"):
        content.requests[request_id] = StoredRequest(*request)
    return content


def replace(connection: sqlite3.Connection, content: Content) -> None:
    """Make `content` what the database has. Within a transaction of the caller."""
    connection.execute("DELETE FROM desired")
    connection.execute("DELETE FROM requests")
    connection.executemany(
        "INSERT INTO desired (kind, key, revision, boot_id, body, secret) VALUES (?, ?, ?, ?, ?, ?)",
        [(*key, *row) for key, row in content.rows.items()],
    )
    connection.executemany(
        "INSERT INTO requests (request_id, digest, revision, objects, at_s) VALUES (?, ?, ?, ?, ?)",
        [(request_id, *request) for request_id, request in content.requests.items()],
    )
    connection.execute(f"DELETE FROM meta WHERE key NOT IN {OWN_META}")
    connection.executemany(
        "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
        [*content.meta.items(), ("revision", str(content.revision))],
    )


def begin_log(connection: sqlite3.Connection) -> None:
    """Begin an empty event log with an id of its own. Within a transaction of the caller."""
    connection.execute("DELETE FROM events")
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('log_id', ?)", (uuid.uuid4().hex,))
