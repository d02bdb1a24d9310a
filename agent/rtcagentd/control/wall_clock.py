"""The wall clock that orders end by, with its leaps forward taken with care.

A clock may leap: set by hand, by the first answer of an NTP server, by a wrong one. Believed at once, a leap would end
orders for good that the clock, put right a moment later, would have let stand. So one is believed when it still
stands half a minute later. A clock that is set back, or hurried a little, ends nothing and is believed as it is.
"""

import time
from collections.abc import Callable

LEAP_S = 2.0
BELIEVED_AFTER_S = 30.0


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)  # nobody sets it, and it goes on while the machine sleeps


class WallClock:
    """Asked at least every half minute, so that hurrying does not add up to a leap."""

    def __init__(self, wall: Callable[[], float] = time.time, since_boot: Callable[[], float] = _since_boot) -> None:
        self._wall = wall
        self._since_boot = since_boot
        self._booted_at = wall() - since_boot()  # of the clock that is believed; at the start there is no other
        self._leapt_at: float | None = None

    def now(self) -> float:
        """Seconds since 1970, as they are believed."""
        since_boot = self._since_boot()
        booted_at = self._wall() - since_boot
        if booted_at - self._booted_at <= LEAP_S:
            self._leapt_at = None
        elif self._leapt_at is None:
            self._leapt_at = since_boot
        if self._leapt_at is None or since_boot - self._leapt_at >= BELIEVED_AFTER_S:
            self._booted_at, self._leapt_at = booted_at, None
        return self._booted_at + since_boot
