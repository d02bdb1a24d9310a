"""Keeps the second copy in step with the database: after each commit it appends what that commit changed.

Triggers that live with the connection note the changes, within the transaction that makes them, so whatever writes
orders is followed.
"""

import sqlite3

from rtcagentd.store import contents
from rtcagentd.store.contents import OWN_META, Content, StoredRequest, StoredRow
from rtcagentd.store.desired_copy import DesiredCopy

_TRIGGERS = f"""
CREATE TEMP TABLE changed_rows (kind TEXT, key TEXT, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TEMP TABLE changed_requests (request_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TRIGGER row_put AFTER INSERT ON main.desired
    BEGIN INSERT OR REPLACE INTO changed_rows VALUES (new.kind, new.key); END;
CREATE TEMP TRIGGER row_changed AFTER UPDATE ON main.desired
    BEGIN INSERT OR REPLACE INTO changed_rows VALUES (new.kind, new.key); END;
CREATE TEMP TRIGGER row_removed AFTER DELETE ON main.desired
    BEGIN INSERT OR REPLACE INTO changed_rows VALUES (old.kind, old.key); END;
CREATE TEMP TABLE changed_meta (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TRIGGER meta_put AFTER INSERT ON main.meta WHEN new.key NOT IN {OWN_META}
    BEGIN INSERT OR REPLACE INTO changed_meta VALUES (new.key); END;
CREATE TEMP TRIGGER request_kept AFTER INSERT ON main.requests
    BEGIN INSERT OR REPLACE INTO changed_requests VALUES (new.request_id); END;
"""


class Follower:
    """Follows one connection. Used on the writer thread."""

    def __init__(self, connection: sqlite3.Connection, copy: DesiredCopy) -> None:
        """Writes the copy whole, so that it begins equal to the database. OSError: it could not, `is_behind` is set."""
        self._connection = connection
        self._copy = copy
        self.is_behind = True
        connection.executescript(_TRIGGERS)

    def follow(self) -> None:
        """Bring the copy to the last commit. After an OSError it is behind, and is written whole the next time."""
        rows = self._connection.execute("SELECT kind, key FROM changed_rows").fetchall()
        requests = self._connection.execute("SELECT request_id FROM changed_requests").fetchall()
        meta = self._connection.execute("SELECT key FROM changed_meta").fetchall()
        if not (rows or requests or meta or self.is_behind):
            return
        if self.is_behind or self._copy.is_long:
            self.is_behind = True
            self._copy.write_whole(contents.read(self._connection))
        else:
            self.is_behind = True
            self._copy.append(*self._change(rows, requests, meta))
        self.is_behind = False
        self._connection.execute("DELETE FROM changed_rows")
        self._connection.execute("DELETE FROM changed_requests")
        self._connection.execute("DELETE FROM changed_meta")

    def _change(
        self, keys: list[tuple[str, str]], request_ids: list[tuple[str]], names: list[tuple[str]]
    ) -> tuple[Content, list[tuple[str, str]]]:
        change = Content(contents.read_revision(self._connection))
        removed = []
        for key in keys:
            row = self._connection.execute(
                "SELECT revision, boot_id, body, secret FROM desired WHERE kind = ? AND key = ?", key
            ).fetchone()
            if row is None:
                removed.append(key)
            else:
                change.rows[key] = StoredRow(*row)
        for (request_id,) in request_ids:
            found = self._connection.execute(
                "SELECT digest, revision, objects, at_s FROM requests WHERE request_id = ?", (request_id,)
            ).fetchone()
            if found is not None:
                change.requests[request_id] = StoredRequest(*found)
        for name in names:
            change.meta.update(self._connection.execute("SELECT key, value FROM meta WHERE key = ?", name))
        return change, removed
