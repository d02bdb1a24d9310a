"""Writes the bundle: a tar file, packed by gzip, or by the zstd program, that only its owner may read."""

import contextlib
import io
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from rtcagent_client.rtcctl.arguments import UsageError

FORMS = (".tar.zst", ".tar.gz", ".tgz")


def check(out: Path) -> None:
    """UsageError when a bundle of this name cannot be written."""
    if not out.name.endswith(FORMS):
        raise UsageError(f"{out}: a bundle is named *.tar.zst or *.tar.gz")
    if out.name.endswith(".zst") and shutil.which("zstd") is None:
        raise UsageError("there is no zstd program: install it, or name the bundle *.tar.gz")
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent} is no folder")


def write(out: Path, folder: str, files: Mapping[str, str]) -> None:
    """Write `files` into `out`, below one folder. What was there is replaced once all is written."""
    part = out.with_name(f".{out.name}.part")
    try:
        with (
            open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw,
            _packed(out, raw) as packed,
            tarfile.open(fileobj=packed, mode="w|") as tar,
        ):
            for name, text in files.items():
                content = text.encode()
                entry = tarfile.TarInfo(f"{folder}/{name}")
                entry.size, entry.mtime, entry.mode = len(content), int(time.time()), 0o600
                tar.addfile(entry, io.BytesIO(content))
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _packed(out: Path, raw: IO[bytes]) -> Iterator[IO[bytes]]:
    if not out.name.endswith(".zst"):
        import gzip

        with gzip.GzipFile(filename="", fileobj=raw, mode="wb") as packed:
            yield packed  # type: ignore[misc]  # writes bytes, which is all that tarfile asks for
        return
    with subprocess.Popen(["zstd", "-q", "-c"], stdin=subprocess.PIPE, stdout=raw) as zstd:
        assert zstd.stdin is not None
        yield zstd.stdin
        zstd.stdin.close()
    if zstd.returncode != 0:
        raise OSError(f"zstd ended with status {zstd.returncode}")
