"""A recording's file on its way to a file here: goes on where it broke off, and is checked when it is whole.

The clients do the calls and the waiting; this keeps the place.
"""

import hashlib
import os
from pathlib import Path

from rtcagent.v1.recordings_pb2 import DownloadRecordingRequest, DownloadRecordingResponse

_PIECE = 1 << 20


class DownloadError(Exception):
    """The file that came is not the one that the agent has."""


class Download:
    """Writes into PATH.part, which becomes PATH once it is whole. A part that lies there already is gone on with."""

    def __init__(self, recording_id: str, file: str, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.part = self.path.with_name(self.path.name + ".part")
        self._recording_id = recording_id
        self._file = file
        self._size = -1
        self._sha256 = b""

    @property
    def size(self) -> int:
        """Of what is here."""
        return self.part.stat().st_size if self.part.exists() else 0

    @property
    def is_whole(self) -> bool:
        return self.size == self._size

    def request(self) -> DownloadRecordingRequest:
        """The rest."""
        return DownloadRecordingRequest(recording_id=self._recording_id, file=self._file, offset=self.size)

    def forget(self) -> None:
        """Begin anew: what is here is of another file."""
        self.part.unlink(missing_ok=True)

    def take(self, piece: DownloadRecordingResponse) -> None:
        """Write a piece down. DownloadError: it is not the next one of the same file."""
        if self._sha256 not in (b"", piece.sha256) or piece.offset != self.size:
            raise DownloadError(f"{piece.file} was changed while it was downloaded")
        self._file, self._size, self._sha256 = piece.file, piece.size_bytes, piece.sha256
        with open(self.part, "ab") as out:
            out.write(piece.data)

    def finish(self) -> Path:
        """Check the whole and give it its name. DownloadError where it differs from the agent's; it is removed then."""
        sha = hashlib.sha256()
        with open(self.part, "rb") as file:
            while data := file.read(_PIECE):
                sha.update(data)
        if sha.digest() != self._sha256:
            self.forget()
            raise DownloadError(f"what came of {self._file} is not what the agent has: it was removed, begin anew")
        self.part.replace(self.path)
        return self.path
