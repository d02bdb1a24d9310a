"""The engine's log: one line each on stderr, without secrets."""

import logging
import re
import sys

# Room servers and media libraries repeat tokens and URLs in their messages.
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?")
_QUERY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s?]*)\?[^\s:;,)]*")
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/@]*(?:@[^\s/@]*)*@")


def redact(text: str) -> str:
    """`text` without room tokens and without the credentials and queries of URLs."""
    return _QUERY.sub(r"\1", _USERINFO.sub(r"\1", _TOKEN.sub("<token>", text)))


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record)).replace("\n", " | ")


def set_up(level: str) -> None:
    """Send everything of this level and above to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s engine %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level.upper() != "DEBUG":
        # libwebrtc tells each reconnect attempt and each retry; the engine says in its own words what matters.
        logging.getLogger("livekit").setLevel(logging.WARNING)
        logging.getLogger("asyncio").setLevel(logging.WARNING)
