"""The folder of one recording: its files, and what is written beside each: when it began, and with which tracks.

Beside ID-0001.mkv lies ID-0001.json, a RecordingFile of rtcagent.v1: what a file's own length does not tell.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format
from rtcagent.v1 import recordings_pb2
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine.engine import EngineError

SUFFIXES = {types.RECORDING_CONTAINER_MKV: ".mkv", types.RECORDING_CONTAINER_MP4: ".mp4"}
_PART = re.compile(r"-(\d{4,})\.(mkv|mp4)$")


@dataclass(frozen=True)
class Used:
    """What the files of a recording take already."""

    next_number: int = 1
    size_bytes: int = 0
    duration_ms: int = 0


class RecordingFolder:
    """May wait for the disk: for another thread than the loop's. EngineError where the folder is of no use."""

    def __init__(self, base: Path | None, min_free_bytes: int) -> None:
        self._base = base
        self.min_free_bytes = min_free_bytes

    def prepare(self, recording_id: str) -> Used:
        """Make the recording's own folder, and see that a file can be begun."""
        if self._base is None:
            raise EngineError(types.REASON_FOLDER_UNUSABLE, "no folder of recordings is configured: set [recording]")
        folder = self._base / recording_id
        try:
            if not self._base.is_dir():
                raise FileNotFoundError(f"there is no folder {self._base}")
            folder.mkdir(mode=0o770, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(f"the engine may not write in {folder}")
            disk = os.statvfs(folder)
            used = self._used(folder)
        except OSError as error:
            text = f"recordings cannot be written: {error.strerror or error}"
            raise EngineError(types.REASON_FOLDER_UNUSABLE, text) from error
        free = disk.f_bavail * disk.f_frsize
        if free < self.min_free_bytes:
            text = f"{free >> 20} MB are free in {self._base}, and recordings must leave {self.min_free_bytes >> 20} MB"
            raise EngineError(types.REASON_DISK_LOW, text)
        return used

    def path(self, recording_id: str, number: int, container: types.RecordingContainer.ValueType) -> Path:
        assert self._base is not None
        return self._base / recording_id / f"{recording_id}-{number:04}{SUFFIXES[container]}"

    def _used(self, folder: Path) -> Used:
        number = size = duration = 0
        for path in folder.iterdir():
            found = _PART.search(path.name)
            if found is None:
                continue
            number = max(number, int(found[1]))
            status = path.stat()
            size += status.st_size
            told = read_note(path)
            duration += told.duration_ms if told.is_complete else _about(told, status.st_mtime)
        return Used(number + 1, size, duration)


def write_note(path: Path, file: recordings_pb2.RecordingFile) -> None:
    """Write down what is known of a media file."""
    new = path.with_suffix(".new")
    with open(new, "w", encoding="utf-8") as out:
        out.write(json_format.MessageToJson(file))
        out.flush()
        os.fdatasync(out.fileno())
    new.chmod(0o640)
    new.replace(path.with_suffix(".json"))


def forget_note(path: Path) -> None:
    """There is no such file any more."""
    path.with_suffix(".json").unlink(missing_ok=True)


def read_note(path: Path) -> recordings_pb2.RecordingFile:
    """What was written down; nothing where that is lost."""
    try:
        return json_format.Parse(path.with_suffix(".json").read_text(), recordings_pb2.RecordingFile())
    except (OSError, ValueError, json_format.ParseError):
        return recordings_pb2.RecordingFile(file=path.name)


def _about(file: recordings_pb2.RecordingFile, written_at: float) -> int:
    """How long a file is that was not completed: until it was written to last."""
    if not file.HasField("started_at"):
        return 0
    return max(0, int((written_at - file.started_at.ToNanoseconds() / 1e9) * 1000))
