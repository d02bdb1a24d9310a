"""Opens the database file whatever state it is in: makes it, checks it, brings it to this schema, and sets it aside for
a new one where it is damaged, with the desired state from its second copy.
"""

import contextlib
import logging
import sqlite3
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from rtcagentd.store import contents
from rtcagentd.store.contents import Content
from rtcagentd.store.desired_copy import CopyDamaged, DesiredCopy, sync_folder
from rtcagentd.store.faults import Damaged, Fault, fault_of
from rtcagentd.store.migrations import migrate, version_of
from rtcagentd.store.schema import Schema

log = logging.getLogger(__name__)

WHOLE_CHECK_S = 0.5  # for the tables that may be large; the small ones are always checked to the end
SET_ASIDE_KEPT = 2
_SMALL_TABLES = ("meta", "desired", "requests", "devices")
_PROGRESS_STEPS = 10_000  # of SQLite's virtual machine between two looks at the clock


@dataclass
class Opened:
    """An open database; `mended` says in a sentence what was wrong with it, if anything was."""

    connection: sqlite3.Connection
    mended: str = ""


def open_database(path: Path, copy: DesiredCopy, schema: Schema) -> Opened:
    """Open, check and mend. Raises SchemaTooNew, or what hinders writing (sqlite3.Error, OSError): try again later."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    second, problem = load_second(copy)
    if not path.exists() or path.stat().st_size == 0:
        if second is None and not problem:
            return Opened(_connect(path, schema)[0])
        return replace(path, second, schema, "the file is empty" if path.exists() else "the file is gone")
    salvaged = None
    connection = None
    try:
        connection, is_migrated = _connect(path, schema)
        _check(connection, _SMALL_TABLES)
        salvaged = contents.read(connection)
        _check(connection, ())
        wrong = _compare(salvaged, second, is_migrated)
        if not wrong:
            return Opened(connection)
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        if fault_of(error) is not Fault.DAMAGED:
            raise
        return replace(path, better(salvaged, second), schema, str(error))
    # The file is sound, but an older one: its newest commits were lost with the file beside it, or it was put back.
    assert second is not None
    connection.execute("BEGIN IMMEDIATE")
    contents.replace(connection, second)
    contents.begin_log(connection)
    connection.execute("COMMIT")
    return Opened(connection, f"{wrong}; the desired state was taken from its second copy, and a new event log begun")


def replace(path: Path, content: Content | None, schema: Schema, why: str) -> Opened:
    """Set a damaged file aside and make a new one with this desired state."""
    aside = set_aside(path, "damaged")
    connection, _ = _connect(path, schema)
    connection.execute("BEGIN IMMEDIATE")
    if content is not None:
        contents.replace(connection, content)
    contents.begin_log(connection)
    connection.execute("COMMIT")
    where = f"; the file was set aside as {aside.name}" if aside is not None else ""
    kept = (
        f"the desired state of revision {content.revision} was kept"
        if content is not None
        else "there is no second copy that could be trusted, so nothing is asked for any more"
    )
    mended = f"the database was damaged ({why}){where}; {kept}, and a new event log begun"
    log.error("%s", mended)
    return Opened(connection, mended)


def stand_in(content: Content, schema: Schema) -> sqlite3.Connection:
    """A database in memory, to be read while the file cannot be opened."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _fill_new(connection, schema)
    contents.replace(connection, content)
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A further connection, which only reads."""
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)


def set_aside(path: Path, word: str) -> Path | None:
    """Rename a database, with the files that belong to it, and remove the oldest that were set aside."""
    aside = path.with_name(f"{path.name}.{word}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    while aside.exists():
        aside = aside.with_name(aside.name + "+")
    for ending in ("-shm", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + ending).replace(aside.with_name(aside.name + ending))
    try:
        path.replace(aside)
    except FileNotFoundError:
        return None
    sync_folder(path.parent)
    older = sorted(
        file for file in path.parent.glob(f"{path.name}.{word}-*") if not file.name.endswith(("-wal", "-shm"))
    )
    for file in older[:-SET_ASIDE_KEPT]:
        for ending in ("-shm", "-wal", ""):
            file.with_name(file.name + ending).unlink(missing_ok=True)
    return aside


def _connect(path: Path, schema: Schema) -> tuple[sqlite3.Connection, bool]:
    """The connection, and whether the database was brought to this schema just now."""
    is_migrated = False
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        path.chmod(0o600)
        for pragma in (
            "busy_timeout = 5000",
            "page_size = 1024",  # of a new file; small pages nearly halve what each commit writes
            "auto_vacuum = INCREMENTAL",  # of a new file; so that it can shrink without being written anew
            "journal_mode = WAL",
            "synchronous = FULL",
            "temp_store = MEMORY",
            "wal_autocheckpoint = 4000",  # pages, so 4 MB
            "journal_size_limit = 4194304",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        if version_of(connection) == 0:
            _fill_new(connection, schema)
        else:
            is_migrated = migrate(connection, path, schema)
            _make_shrinkable(connection)
    except BaseException:
        connection.close()
        raise
    return connection, is_migrated


def _fill_new(connection: sqlite3.Connection, schema: Schema) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise Damaged("it has tables, but no version")
    connection.executescript(
        f"BEGIN IMMEDIATE; {schema.tables} PRAGMA user_version = {schema.version};"
        f"INSERT INTO meta (key, value) VALUES ('log_id', '{uuid.uuid4().hex}'); COMMIT;"
    )


def _make_shrinkable(connection: sqlite3.Connection) -> None:
    """Files made by the first versions cannot give space back before they are written anew, once."""
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] == 0:
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("VACUUM")
        except sqlite3.Error as error:
            if fault_of(error) is not Fault.UNWRITABLE:
                raise
            log.warning("the database cannot be made to shrink now: %s", error)


def _check(connection: sqlite3.Connection, tables: tuple[str, ...]) -> None:
    """Raise Damaged if the structure of these tables is not sound; without tables, of all, as far as time allows."""
    for table in tables:
        _judge(connection.execute(f"PRAGMA quick_check('{table}')").fetchall())
    if tables:
        return
    until = time.monotonic() + WHOLE_CHECK_S
    connection.set_progress_handler(lambda: time.monotonic() > until, _PROGRESS_STEPS)
    try:
        _judge(connection.execute("PRAGMA quick_check(1)").fetchall())
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
    finally:
        connection.set_progress_handler(None, 0)


def _judge(answer: list[tuple[str]]) -> None:
    if answer != [("ok",)]:
        raise Damaged("; ".join(line for (line,) in answer[:3]))


def load_second(copy: DesiredCopy) -> tuple[Content | None, str]:
    try:
        return copy.load(), ""
    except CopyDamaged as error:
        log.error("the second copy of the desired state is of no use: %s", error)
        return None, str(error)


def _compare(content: Content, second: Content | None, is_migrated: bool) -> str:
    """What is wrong with the database, judged by its second copy, which is never the newer one."""
    if second is None or second.revision < content.revision:
        return ""
    if second.revision > content.revision:
        return f"the database has lost the orders after revision {content.revision}"
    if second.rows != content.rows and not is_migrated:
        raise Damaged(f"the desired state of revision {content.revision} does not match its second copy")
    return ""


def better(salvaged: Content | None, second: Content | None) -> Content | None:
    """The newer one. Of equals the second copy, which has checksums."""
    if salvaged is None or second is None:
        return second or salvaged
    return salvaged if salvaged.revision > second.revision else second
