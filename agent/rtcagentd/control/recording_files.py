"""The files of recordings, as the daemon reads and deletes them; the engine writes them (engine/recording_files.py).

Every call waits for the disk: for another thread than the loop's. Names are those of the folder's own entries, so that
what a caller gives can name nothing else.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format
from rtcagent.v1 import recordings_pb2

from rtcagentd.control.errors import not_found
from rtcagentd.control.ids import RECORDING_ID_PATTERN, matches

_PART = re.compile(r"-\d{4,}\.(mkv|mp4)")
_PIECE = 1 << 20


class FolderUnreadable(Exception):
    """The folder of recordings is missing, or may not be read."""


@dataclass(frozen=True)
class Digest:
    """Of a whole file, for as long as it is this very one."""

    size: int
    sha256: bytes
    stamp: tuple[int, int, int]


class RecordingFiles:
    """Of all recordings."""

    def __init__(self, folder: Path, min_free_bytes: int) -> None:
        self._folder = folder
        self._min_free_bytes = min_free_bytes
        self._digests: dict[Path, Digest] = {}

    def recording_ids(self) -> list[str]:
        """Those that there are files of."""
        try:
            names = [entry.name for entry in self._folder.iterdir() if matches(RECORDING_ID_PATTERN, entry.name)]
        except OSError as error:
            raise FolderUnreadable(f"{self._folder} cannot be read: {error.strerror}") from error
        return sorted(name for name in names if self._paths(name))

    def free_bytes(self) -> int:
        try:
            disk = os.statvfs(self._folder)
        except OSError:
            return 0
        return max(0, disk.f_bavail * disk.f_frsize - self._min_free_bytes)

    def files(self, recording_id: str) -> list[recordings_pb2.RecordingFile]:
        """The files of one recording, in their order."""
        return [_told(path) for path in self._paths(recording_id)]

    def path(self, recording_id: str, name: str) -> Path:
        """The file of this name, or the first one. OrderError(NOT_FOUND)."""
        paths = self._paths(recording_id)
        if not paths:
            text = f"there are no files of a recording {recording_id!r}; `rtcctl record list` lists those there are"
            raise not_found("RECORDING_NOT_FOUND", text, recording_id=recording_id)
        found = next((path for path in paths if name in ("", path.name)), None)
        if found is None:
            known = ", ".join(path.name for path in paths)
            text = f"recording {recording_id!r} has no file {name[:80]!r}; it has: {known}"
            raise not_found("FILE_NOT_FOUND", text, recording_id=recording_id)
        return found

    def digest(self, path: Path) -> Digest:
        """Size and SHA-256; read once for as long as the file does not change."""
        stamp = _stamp(path)
        known = self._digests.get(path)
        if known is None or known.stamp != stamp:
            sha = hashlib.sha256()
            size = 0
            with open(path, "rb") as file:
                while piece := file.read(_PIECE):
                    sha.update(piece)
                    size += len(piece)
            known = self._digests[path] = Digest(size, sha.digest(), stamp)
        return known

    def read(self, path: Path, offset: int, size: int, of: Digest) -> bytes | None:
        """A piece of the file; None when it is not the one any more that the digest is of."""
        try:
            with open(path, "rb") as file:
                if _stamp(path) != of.stamp:
                    return None
                file.seek(offset)
                return file.read(size)
        except FileNotFoundError:
            return None

    def delete(self, recording_id: str, name: str) -> list[str]:
        """Delete one file, or (with an empty name) all of the recording; which they were."""
        first = self.path(recording_id, name)
        paths = [first] if name else self._paths(recording_id)
        for path in paths:
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)
            self._digests.pop(path, None)
        folder = self._folder / recording_id
        if not self._paths(recording_id):
            for left in folder.iterdir():  # notes whose writing was cut off
                left.unlink()
            folder.rmdir()
        return [path.name for path in paths]

    def _paths(self, recording_id: str) -> list[Path]:
        try:
            entries = list((self._folder / recording_id).iterdir())
        except OSError:
            return []
        # The engine's user writes here: a link of its could lead to what it may not read itself.
        parts = [path for path in entries if _PART.fullmatch(path.name.removeprefix(recording_id))]
        return sorted(path for path in parts if not path.is_symlink())


def _told(path: Path) -> recordings_pb2.RecordingFile:
    try:
        file = json_format.Parse(path.with_suffix(".json").read_text(), recordings_pb2.RecordingFile())
    except (OSError, ValueError, json_format.ParseError):
        file = recordings_pb2.RecordingFile()
    file.file = path.name
    try:
        status = path.stat()
    except OSError:
        return file
    file.size_bytes = status.st_size
    if not file.is_complete and file.HasField("started_at"):
        file.duration_ms = max(0, int((status.st_mtime - file.started_at.ToNanoseconds() / 1e9) * 1000))
    return file


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
