"""The second copy of the desired state: a small file beside the database, from which a damaged database is made anew.

The first record is the whole state; one record is appended, and synced, for each commit that changes it, before the
orders of that commit are answered. Each record has a checksum. When the records outweigh the state, the file is
written anew and renamed into its place. So it is whole at any moment, and an order costs one small sync more.
"""

import base64
import contextlib
import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rtcagentd.store.contents import Content, StoredRequest, StoredRow

HEADER = b"rtcagent desired state, format 1\n"
SLACK_BYTES = 64 << 10  # of records, before the file is written anew
SLACK_TIMES = 4


class CopyDamaged(Exception):
    """The file is no copy that could be trusted; the text says why."""


class DesiredCopy:
    """One file. Used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        self._size = 0
        self._whole_size = 0

    def load(self) -> Content | None:
        """What the file says; None where there is none. A record that was cut off at the end counts as never
        written; anything else that is wrong makes the whole of it untrustworthy, for an order that takes something
        back may be missing.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        if not data.startswith(HEADER):
            raise CopyDamaged(f"{self.path} does not begin like a copy that this version reads")
        *lines, _cut_off = data[len(HEADER) :].split(b"\n")
        content = Content()
        for number, line in enumerate(lines):
            record = _decode(line)
            if record is None:
                if number == len(lines) - 1 and number:
                    break
                raise CopyDamaged(f"{self.path} is damaged in record {number + 1} of {len(lines)}")
            _apply(content, record)
        if not lines:
            raise CopyDamaged(f"{self.path} has no record")
        return content

    def write_whole(self, content: Content) -> None:
        """Replace the file."""
        self.close()
        data = HEADER + _encode(content, ())
        temporary = self.path.with_name(self.path.name + ".new")
        with open(temporary, "wb", opener=_private) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        sync_folder(self.path.parent)
        self._size = self._whole_size = len(data)

    def append(self, change: Content, removed: Iterable[tuple[str, str]]) -> None:
        """Add what a commit changed: the rows and requests that it put, and the keys that it removed."""
        if self._fd is None:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        data = _encode(change, removed)
        try:
            if os.write(self._fd, data) != len(data):
                raise OSError(f"no space for the record in {self.path}")
            os.fdatasync(self._fd)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)  # half a record, and one more after it, would make it untrustworthy
            raise
        self._size += len(data)

    @property
    def is_long(self) -> bool:
        """Whether it is time to write it anew."""
        return self._size - self._whole_size > max(SLACK_BYTES, SLACK_TIMES * self._whole_size)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` outlast a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _encode(change: Content, removed: Iterable[tuple[str, str]]) -> bytes:
    record: dict[str, Any] = {"revision": change.revision}
    record["put"] = [
        [*key, row.revision, row.boot_id, base64.b64encode(row.body).decode(), row.secret]
        for key, row in change.rows.items()
    ]
    record["removed"] = [list(key) for key in removed]
    record["requests"] = [
        [request_id, base64.b64encode(item.digest).decode(), item.revision, item.objects, item.at_s]
        for request_id, item in change.requests.items()
    ]
    record["meta"] = change.meta
    text = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _decode(line: bytes) -> dict[str, Any] | None:
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    record: dict[str, Any] = json.loads(text)
    return record


def _apply(content: Content, record: dict[str, Any]) -> None:
    content.revision = record["revision"]
    for kind, key, revision, boot_id, body, secret in record["put"]:
        content.rows[kind, key] = StoredRow(revision, boot_id, base64.b64decode(body), secret)
    for kind, key in record["removed"]:
        content.rows.pop((kind, key), None)
    content.meta.update(record["meta"])
    for request_id, digest, revision, objects, at_s in record["requests"]:
        content.requests[request_id] = StoredRequest(base64.b64decode(digest), revision, objects, at_s)
