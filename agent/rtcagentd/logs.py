"""Sets up the daemon's log, and changes its level while it runs."""

import logging

from rtcagentd.control.about import fields
from rtcagentd.engine.logs import handler


def set_up(level: str) -> None:
    """Send everything of this level and above to the journal or to stderr."""
    to = handler("rtcagentd", "%(asctime)s %(levelname)s %(name)s: %(message)s", fields)
    logging.basicConfig(level=level.upper(), handlers=[to], force=True)
    logging.getLogger("grpc").setLevel(logging.WARNING)  # it tells of every poll


def set_level(level: str) -> None:
    logging.getLogger().setLevel(level.upper())
