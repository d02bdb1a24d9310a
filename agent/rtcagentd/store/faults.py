"""Tells what an error of SQLite means for the store: not writable now, damaged, or a defect of the caller."""

import sqlite3
from enum import Enum


class StoreError(Exception):
    """The store cannot be opened or written; the text says why and what to do."""


class Fault(Enum):
    """What is to be done about an error."""

    UNWRITABLE = "try again later"  # no space, no permission, an I/O error, a lock
    DAMAGED = "set the file aside"
    DEFECT = "the statement was wrong"


_UNWRITABLE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_DAMAGED_EXTENDED = {sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}


class Damaged(sqlite3.DatabaseError):
    """What was read makes no sense, though SQLite is content with it."""


def fault_of(error: BaseException) -> Fault:
    """What `error` means; errors that are not the store's own are defects."""
    if isinstance(error, Damaged):
        return Fault.DAMAGED
    if isinstance(error, OSError):
        return Fault.UNWRITABLE
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(error, sqlite3.OperationalError) and code is None and "decode" in str(error):
        return Fault.DAMAGED  # a text that is none
    if not isinstance(error, sqlite3.Error) or code is None:
        return Fault.DEFECT
    if code in _DAMAGED_EXTENDED or code & 0xFF in _DAMAGED:
        return Fault.DAMAGED
    return Fault.UNWRITABLE if code & 0xFF in _UNWRITABLE else Fault.DEFECT
