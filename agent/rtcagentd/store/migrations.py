"""Brings an older database to this version's schema, after a copy for the version that wrote it was put aside."""

import contextlib
import logging
import os
import re
import sqlite3
from pathlib import Path

from rtcagentd.store.desired_copy import sync_folder
from rtcagentd.store.faults import StoreError
from rtcagentd.store.schema import Schema

log = logging.getLogger(__name__)

COPIES_KEPT = 2


class SchemaTooNew(StoreError):
    """A newer version wrote the database: going_back.py knows what can be done about it."""


def version_of(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(connection: sqlite3.Connection, path: Path, schema: Schema) -> bool:
    """Take every step from the database's version to the schema's, all in one transaction; returns whether any was."""
    version = version_of(connection)
    if version > schema.version:
        raise SchemaTooNew(
            f"the database {path} has schema {version}, which a newer rtcagentd wrote; this version reads schema "
            f"{schema.version}"
        )
    if version == schema.version:
        return False
    log.info("bringing %s from schema %d to %d", path, version, schema.version)
    _put_aside(connection, path, version)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in schema.steps[version - 1 :]:
            step(connection)
        connection.execute(f"PRAGMA user_version = {schema.version}")
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return True


def copy_path(path: Path, version: int) -> Path:
    """Where the copy of a database of an older schema lies."""
    return path.with_name(f"{path.name}.schema-{version}")


def copies(path: Path) -> dict[int, Path]:
    """The copies that there are, by schema."""
    found = {}
    for file in path.parent.glob(f"{path.name}.schema-*"):
        match = re.fullmatch(r"schema-(\d+)", file.name.removeprefix(f"{path.name}."))
        if match:
            found[int(match[1])] = file
    return found


def _put_aside(connection: sqlite3.Connection, path: Path, version: int) -> None:
    target = copy_path(path, version)
    temporary = target.with_name(target.name + ".new")
    temporary.unlink(missing_ok=True)
    copy = sqlite3.connect(temporary)
    try:
        connection.backup(copy)
    finally:
        copy.close()
    temporary.chmod(0o600)
    fd = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    temporary.replace(target)
    sync_folder(path.parent)
    for old in sorted(copies(path).items())[:-COPIES_KEPT]:
        old[1].unlink(missing_ok=True)
