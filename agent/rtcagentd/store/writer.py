"""The connections to the database file: commits, checks what went wrong, and replaces a damaged or missing file.

Belongs to the writer thread, but for `read` and `load`.
"""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rtcagentd.store import contents, opening
from rtcagentd.store.desired_copy import CopyDamaged, DesiredCopy
from rtcagentd.store.faults import Fault, StoreError, fault_of
from rtcagentd.store.following import Follower
from rtcagentd.store.schema import Schema

log = logging.getLogger(__name__)

T = TypeVar("T")

COPY_SUFFIX = ".desired"


@dataclass
class Renewal:
    """Another file, or another event log, has taken the place of the one before."""

    mended: str
    loaded: list[tuple[Callable[[Any], None], Any]] = field(default_factory=list)


class Writer:
    """One database file with its second copy. While the file cannot be opened, a stand-in in memory is read."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self._path = path
        self._schema = schema
        self._copy = DesiredCopy(path.with_name(path.name + COPY_SUFFIX))
        self._lock = threading.Lock()  # of the reader, which several worker threads use in turn
        self._loaders: list[tuple[Callable[[sqlite3.Connection], Any], Callable[[Any], None]]] = []
        self._connection: sqlite3.Connection | None = None  # None while there is only the stand-in
        self._reader: sqlite3.Connection | None = None
        self._follower: Follower | None = None
        self._is_copy_told = False
        self._mended: str | None = None  # not None: the loaders are to be called again
        self._begin_log = ""
        self.renewals = 0

    def open(self) -> str:
        """Returns what had to be mended. StoreError: the daemon cannot work with what is there."""
        try:
            opened = opening.open_database(self._path, self._copy, self._schema)
        except (sqlite3.Error, OSError) as error:
            try:
                content = self._copy.load()
            except (CopyDamaged, OSError):
                content = None
            if content is None or fault_of(error) is not Fault.UNWRITABLE:
                raise StoreError(f"cannot open the database {self._path}: {error}") from error
            log.error("cannot open the database %s: %s; going on with its second copy", self._path, error)
            self._reader = opening.stand_in(content, self._schema)
            return ""
        self._take(opened)
        self._mended = None  # nobody has loaded anything yet
        return opened.mended

    def close(self) -> None:
        self._close_file()

    @property
    def has_more_to_do(self) -> bool:
        """Whether something waits for the disk that no write will bring."""
        return (
            self._connection is None
            or self._mended is not None
            or bool(self._begin_log)
            or (self._follower is not None and self._follower.is_behind)
        )

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            if self._reader is None:
                raise sqlite3.OperationalError("the database is being replaced")
            return work(self._reader)

    def load(self, load: Callable[[sqlite3.Connection], T], then: Callable[[T], None]) -> T:
        """Load now, and at each renewal."""
        self._loaders.append((load, then))
        return self.read(load)

    def begin_log(self, why: str) -> None:
        """Begin a new event log with the next commit."""
        self._begin_log = why

    def commit(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in one transaction and sync it, and what of it is desired state to the second copy too. When that
        raises, nothing was done; a damaged file has been replaced then, and the work was tried again.
        """
        for is_again in (False, True):
            try:
                return self._commit(work)
            except (sqlite3.Error, OSError) as error:
                if self._connection is not None and self._connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                if is_again or fault_of(error) is not Fault.DAMAGED:
                    raise
                self.replace(str(error))
        raise AssertionError("not reached")

    def replace(self, problem: str) -> None:
        """Set the damaged file aside; the next commit opens a new one."""
        log.error("the database %s is damaged: %s", self._path, problem)
        content = self._best_content()
        self._close_file()
        self.renewals += 1
        try:
            opened = opening.replace(self._path, content, self._schema, problem)
        except (sqlite3.Error, OSError) as error:
            log.error("no new database could be made: %s", error)
            self._reader = opening.stand_in(content or contents.Content(), self._schema)
            self._mended = f"the database was damaged ({problem}), and a new event log begun"
            return
        self._take(opened)

    def take_renewal(self) -> Renewal | None:
        """What the loaders found in the new file or log, once after each renewal."""
        if self._mended is None or self._connection is None:
            return None
        renewal = Renewal(self._mended, [(then, load(self._connection)) for load, then in self._loaders])
        self._mended = None
        return renewal

    def _commit(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            mended = self._mended
            self._take(opening.open_database(self._path, self._copy, self._schema))
            self._mended = self._mended or mended or ""
        connection = self._connection
        assert connection is not None
        connection.execute("BEGIN IMMEDIATE")
        if self._begin_log:
            contents.begin_log(connection)
        result = work(connection)
        connection.execute("COMMIT")
        if self._begin_log:
            self._mended, self._begin_log = self._begin_log, ""
            self.renewals += 1
        self._follow()
        return result

    def _follow(self) -> None:
        """An order is stored once the database has it. A second copy that cannot be written now follows later."""
        if self._follower is None:
            return
        try:
            self._follower.follow()
            self._is_copy_told = False
        except OSError as error:
            if not self._is_copy_told:
                log.error("the second copy of the desired state cannot be written: %s", error)
            self._is_copy_told = True

    def _take(self, opened: opening.Opened) -> None:
        self._connection = opened.connection
        self._follower = Follower(opened.connection, self._copy)
        reader = opening.open_reader(self._path)
        with self._lock:
            if self._reader is not None:
                self._reader.close()
            self._reader = reader
        self._mended = opened.mended
        self._follow()

    def _best_content(self) -> contents.Content | None:
        """The second copy; the damaged file itself where it has a later revision, because the copy could not follow."""
        second, _ = opening.load_second(self._copy)
        salvaged = None
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                salvaged = contents.read(self._connection)
        return opening.better(salvaged, second)

    def _close_file(self) -> None:
        self._copy.close()
        self._follower = None
        with self._lock:
            for connection in (self._reader, self._connection):
                if connection is not None:
                    with contextlib.suppress(sqlite3.Error):
                        connection.close()
            self._reader = self._connection = None
