"""Tokens of controllers: random texts, of which only hashes are kept, in a file of lines "NAME SHA256HEX"."""

import hashlib
import hmac
import re
import secrets
import stat
from pathlib import Path

_LINE = re.compile(r"([A-Za-z0-9_@.-]{1,128})\s+([0-9a-f]{64})")


class TokenFileError(Exception):
    """The token file cannot be used; the text says why."""


def new_token() -> str:
    """A token that nobody can guess: 256 random bits, as text without blanks."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """What is kept of a token. Tokens are random and long, so that a plain hash cannot be reversed by trying."""
    return hashlib.sha256(token.encode()).hexdigest()


def token_line(name: str, token: str) -> str:
    """The line of a token file that lets `token` in under `name`."""
    return f"{name} {hash_token(token)}\n"


class TokenFile:
    """The tokens that a listener takes. A changed file is read again: removing a line revokes its token."""

    def __init__(self, path: Path) -> None:
        """TokenFileError when the file is unreadable, readable by others, or has a line of another form."""
        self._path = path
        self._version: tuple[int, int, int] | None = None
        self._hashes: dict[str, str] = {}
        self._refresh()

    def identify(self, token: str) -> str | None:
        """The name that belongs to a token, or None. TokenFileError as at construction: then nobody may enter."""
        self._refresh()
        presented = hash_token(token)
        found: str | None = None
        for known, name in self._hashes.items():  # all of them, so that the time taken tells nothing
            if hmac.compare_digest(known, presented):
                found = name
        return found

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
            version = (status.st_ino, status.st_mtime_ns, status.st_size)
            if version == self._version:
                return
            self._version, self._hashes = None, {}
            if stat.S_IMODE(status.st_mode) & 0o077:
                raise TokenFileError(f"{self._path} may be read or written by others: chmod 600 it")
            text = self._path.read_text()
        except OSError as error:
            self._version, self._hashes = None, {}
            raise TokenFileError(f"cannot read the token file {self._path}: {error.strerror}") from error
        hashes: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            content = line.partition("#")[0].strip()
            if not content:
                continue
            match = _LINE.fullmatch(content)
            if match is None:
                raise TokenFileError(f"{self._path} line {number} is not `NAME SHA256HEX`")
            hashes[match[2]] = match[1]
        self._version, self._hashes = version, hashes
