"""Decides when an engine has grown so large that it is to be replaced."""

import logging
import math

log = logging.getLogger(__name__)

RECYCLE_EVERY_S = 300.0  # an engine that is large because of what was ordered must not be replaced all the time
READINGS = 3  # in a row: a peak that is over is no growth


class MemoryLimit:
    """Looks at each reading of the engine's resident memory. Times are monotonic seconds."""

    def __init__(self, max_rss_mb: int) -> None:
        self._max_bytes = max_rss_mb << 20  # 0: no limit
        self._above = 0
        self._recycled_at = -math.inf
        self._told = False

    def exceeded(self, rss_bytes: int, now: float) -> str:
        """Why the engine is to be replaced now; empty: it is not."""
        if not self._max_bytes or rss_bytes <= self._max_bytes:
            self._above = 0
            return ""
        self._above += 1
        if self._above < READINGS:
            return ""
        text = f"the engine uses {rss_bytes >> 20} MB of memory, more than engine.max_rss_mb = {self._max_bytes >> 20}"
        if now - self._recycled_at < RECYCLE_EVERY_S:
            if not self._told:
                log.warning("%s, soon after it was replaced for that: is the limit too low for what was ordered?", text)
                self._told = True
            return ""
        self._recycled_at, self._above, self._told = now, 0, False
        return text
