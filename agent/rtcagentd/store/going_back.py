"""Goes back to an older schema: puts the copy that this version understands in the place of a newer version's database.

The event log begins anew with it, for the newer version's log went on elsewhere. The desired state is that of the
second copy where this version reads that, as it is younger than the database's copy.
"""

import os
import shutil
import sqlite3
from pathlib import Path

from rtcagentd.store import contents
from rtcagentd.store.desired_copy import CopyDamaged, DesiredCopy, sync_folder
from rtcagentd.store.faults import StoreError
from rtcagentd.store.migrations import copies, version_of
from rtcagentd.store.opening import set_aside
from rtcagentd.store.schema import SCHEMA, Schema
from rtcagentd.store.writer import COPY_SUFFIX


def use_copy(path: Path, schema: Schema = SCHEMA) -> str:
    """Do it, and say what was done. StoreError: there is nothing to be done, or nothing to do it with."""
    try:
        return _use_copy(path, schema)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"the copy could not be put in place: {error}") from error


def what_to_do(path: Path, command: str, schema: Schema = SCHEMA) -> str:
    """What mends it that the database is too new; `command` is the one that ends in use_copy."""
    if _usable(path, schema) is not None or _has_second(path):
        return f"start that version again, or go back to the state that this version understands with `{command}`"
    return (
        f"start that version again; no copy is there for this one, which can only begin with nothing: move {path} away"
    )


def _use_copy(path: Path, schema: Schema) -> str:
    if path.exists():
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            version = version_of(connection)
        finally:
            connection.close()
        if version <= schema.version:
            raise StoreError(f"{path} has schema {version}, which this version reads: no copy is needed")
    copy = _usable(path, schema)
    if copy is None and not _has_second(path):
        raise StoreError(f"there is no copy beside {path} that this version understands")
    temporary = path.with_name(path.name + ".new")
    if copy is not None:
        shutil.copyfile(copy, temporary)
        temporary.chmod(0o600)
        if os.geteuid() == 0:  # who looks after the machine need not be who the daemon runs as
            os.chown(temporary, copy.stat().st_uid, copy.stat().st_gid)
        _begin_log(temporary)
    aside = set_aside(path, "newer")
    if copy is not None:
        temporary.replace(path)
    sync_folder(path.parent)
    source = copy.name if copy is not None else path.name + COPY_SUFFIX
    kept = f"; the newer version's database was kept as {aside.name}" if aside is not None else ""
    return f"{path} was made from {source}{kept}"


def _usable(path: Path, schema: Schema) -> Path | None:
    fitting = {version: file for version, file in copies(path).items() if version <= schema.version}
    return fitting[max(fitting)] if fitting else None


def _has_second(path: Path) -> bool:
    try:
        return DesiredCopy(path.with_name(path.name + COPY_SUFFIX)).load() is not None
    except (CopyDamaged, OSError):
        return False


def _begin_log(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        contents.begin_log(connection)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
