"""How much of the event log is kept: by count, by age, and by the size of the database file."""

import sqlite3
import time
from dataclasses import dataclass

PART_EVENTS = 5000  # dropped in one transaction
PART_PAGES = 2000  # given back to the file system in one transaction
KEPT_FREE_PAGES = 256  # for what comes next: giving them back and taking them again would be writing for nothing


@dataclass(frozen=True)
class Retention:
    """What is past any of the three is dropped, oldest first."""

    max_events: int
    max_age_s: float
    max_bytes: int


def prune(connection: sqlite3.Connection, retention: Retention) -> bool:
    """Drop a part of what is past the retention, the newest event never; returns whether there is more to drop."""
    first, last = connection.execute("SELECT coalesce(min(seq), 0), coalesce(max(seq), 0) FROM events").fetchone()
    (young,) = connection.execute(
        "SELECT coalesce((SELECT seq FROM events WHERE at_s >= ? ORDER BY seq LIMIT 1), ?)",
        (time.time() - retention.max_age_s, last),
    ).fetchone()
    keep_from = max(young, last - retention.max_events + 1)
    used = _used_bytes(connection)
    if used > retention.max_bytes:
        # the tenth more, so that it is not done again for each event
        keep_from = max(keep_from, first + round((last - first) * (1 - 0.9 * retention.max_bytes / used)))
    keep_from = min(keep_from, last)
    part_end = min(keep_from, first + PART_EVENTS)
    connection.execute("DELETE FROM events WHERE seq < ?", (part_end,))
    free = _pragma(connection, "freelist_count") - KEPT_FREE_PAGES
    if free > KEPT_FREE_PAGES:
        for _ in range(min(free, PART_PAGES)):  # Python takes one step, so one page, of this pragma at a time
            connection.execute("PRAGMA incremental_vacuum(1)")
    is_too_large = last > part_end and _used_bytes(connection) > retention.max_bytes
    return part_end < keep_from or free > PART_PAGES or (is_too_large and part_end > first)


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
    return pages * _pragma(connection, "page_size")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
