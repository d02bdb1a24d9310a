"""Which object the code that runs now is about, for the fields of its log records."""

import logging
from collections.abc import Mapping
from contextvars import ContextVar

from rtcagentd.control.objects import Key, room_id_of

# Set by whoever works on one object; a task and all that it awaits see the same.
about: ContextVar[Key | None] = ContextVar("about", default=None)


def fields(record: logging.LogRecord) -> Mapping[str, str]:
    """Fields of the journal: RTCAGENT_ROOM and RTCAGENT_SOURCE, where they are known."""
    key = about.get()
    if key is None:
        return {}
    found = {"RTCAGENT_ROOM": room_id_of(key)}
    if key.kind in ("capture", "stream"):
        found["RTCAGENT_SOURCE"] = key.text.rpartition("/")[2]
    return {name: value for name, value in found.items() if value}
