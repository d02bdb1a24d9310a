"""Where log records go, without secrets: to the journal with their fields, where stderr leads there, else one line each
to stderr. The daemon uses it too.
"""

import logging
import os
import re
import sys
from collections.abc import Callable, Mapping

# Room servers and media libraries repeat tokens and URLs in their messages.
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?")
_QUERY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s?]*)\?[^\s:;,)]*")
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/@]*(?:@[^\s/@]*)*@")

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))

# What a record is about beside its text: names and values of fields of the journal.
Fields = Callable[[logging.LogRecord], Mapping[str, str]]


def redact(text: str) -> str:
    """`text` without room tokens and without the credentials and queries of URLs."""
    return _QUERY.sub(r"\1", _USERINFO.sub(r"\1", _TOKEN.sub("<token>", text)))


class OneLine(logging.Formatter):
    """A record on one line, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record)).replace("\n", " | ")


class ToJournal(logging.Handler):
    """Sends records to the journal as they are made: with priority, place in the code, and `fields`."""

    def __init__(self, identifier: str, fields: Fields | None = None) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(message)s"))
        from systemd import journal  # here, so that only a service needs it

        self._send = journal.send
        self._identifier = identifier
        self._fields = fields

    def emit(self, record: logging.LogRecord) -> None:
        try:
            more = self._fields(record) if self._fields is not None else {}
            self._send(
                redact(self.format(record)),
                CODE_FILE=record.pathname,
                CODE_LINE=record.lineno,
                CODE_FUNC=record.funcName,
                PRIORITY=str(next((priority for level, priority in _PRIORITIES if record.levelno >= level), 7)),
                SYSLOG_IDENTIFIER=self._identifier,
                LOGGER=record.name,
                **more,
            )
        except Exception:
            self.handleError(record)


def leads_to_journal() -> bool:
    """Whether stderr is the journal's: systemd names its stream's device and inode."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def handler(identifier: str, line_format: str, fields: Fields | None = None) -> logging.Handler:
    """The journal's handler where stderr leads to the journal, else stderr's, with `line_format`."""
    if leads_to_journal():
        return ToJournal(identifier, fields)
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(OneLine(line_format))
    return lines


def set_up(level: str) -> None:
    """Send everything of this level and above where the engine's log goes."""
    to = handler("rtcagent-engine", "%(asctime)s %(levelname)s engine %(name)s: %(message)s")
    logging.basicConfig(level=level.upper(), handlers=[to], force=True)
    if level.upper() != "DEBUG":
        # libwebrtc tells each reconnect attempt and each retry; the engine says in its own words what matters.
        logging.getLogger("livekit").setLevel(logging.WARNING)
        logging.getLogger("asyncio").setLevel(logging.WARNING)
