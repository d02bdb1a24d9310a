"""Measures recoveries: how long what was as asked for was not so, through no order, by the kind of object and cause."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control.objects import Key

# Differences that an order made, or another user: nothing is broken, so nothing recovers.
_NO_FAULT = frozenset(
    {
        ty.REASON_ORDERED,
        ty.REASON_SOURCE_NOT_CAPTURED,
        ty.REASON_ROOM_NOT_JOINED,
        ty.REASON_STREAM_NOT_PUBLISHED,
        ty.REASON_SUPERSEDED,
    }
)


@dataclass(frozen=True, slots=True)
class Judged:
    """One object that is asked for. `revision` is that of the order that made it what it is."""

    key: Key
    revision: int
    outcome: ty.Outcome

    @property
    def is_reached(self) -> bool:
        return self.outcome.kind == ty.Outcome.KIND_REACHED


@dataclass(slots=True)
class _Known:
    revision: int
    lost_at: float | None = None  # since when it is not as asked for; None: it is
    cause: str = ""  # empty: no fault is known yet


class Recoveries:
    """Follows every object that has been reached, until an order changes it."""

    def __init__(self, recovered: Callable[[str, str, float], None]) -> None:
        self._recovered = recovered
        self._known: dict[Key, _Known] = {}

    def look(self, objects: Iterable[Judged], now: float) -> None:
        """Take the objects as they are at `now`, in seconds of a clock that never goes back."""
        seen = set()
        for judged in objects:
            seen.add(judged.key)
            known = self._known.get(judged.key)
            if known is None or known.revision != judged.revision:
                self._known.pop(judged.key, None)
                if judged.is_reached:
                    self._known[judged.key] = _Known(judged.revision)
            elif judged.is_reached:
                if known.lost_at is not None and known.cause:
                    self._recovered(judged.key.kind, known.cause, now - known.lost_at)
                known.lost_at, known.cause = None, ""
            else:
                if known.lost_at is None:
                    known.lost_at = now
                if not known.cause and judged.outcome.cause.reason not in _NO_FAULT:
                    known.cause = reason_word(judged.outcome.cause.reason)
        for key in self._known.keys() - seen:
            del self._known[key]

    def under_way(self) -> dict[str, int]:
        """How many objects of each kind are being brought back."""
        return Counter(key.kind for key, known in self._known.items() if known.lost_at is not None and known.cause)


def reason_word(reason: int) -> str:
    """ "server_unreachable" """
    try:
        return ty.Reason.Name(ty.Reason.ValueType(reason)).removeprefix("REASON_").lower()
    except ValueError:
        return str(reason)
