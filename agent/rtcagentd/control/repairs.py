"""What is tried on a stream whose frames do not get through: publish it anew, join anew, replace the engine."""

import enum

from rtcagentd.control.objects import Key

WITHIN_S = 60.0  # a stall so long after the last one is a new one
REPLACE_EVERY_S = 600.0  # the other rooms and streams pay for it


class Remedy(enum.Enum):
    """In rising order of what it costs."""

    REPUBLISH = enum.auto()
    REJOIN = enum.auto()
    REPLACE = enum.auto()


class Repairs:
    """Counts the stalls of each stream. All times are the event loop's."""

    def __init__(self) -> None:
        self._stalls: dict[Key, list[float]] = {}
        self._replaced_at: float | None = None

    def stalled(self, key: Key, now: float) -> Remedy:
        """A stream was found stalled; what to do about it."""
        stalls = [at for at in self._stalls.get(key, []) if now - at < WITHIN_S]
        self._stalls = {other: times for other, times in self._stalls.items() if now - times[-1] < WITHIN_S}
        self._stalls[key] = [*stalls, now]
        if len(stalls) == 0:
            return Remedy.REPUBLISH
        if len(stalls) % 2 == 0 and (self._replaced_at is None or now - self._replaced_at >= REPLACE_EVERY_S):
            self._replaced_at = now
            return Remedy.REPLACE
        return Remedy.REJOIN
