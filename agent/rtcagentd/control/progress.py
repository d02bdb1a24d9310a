"""How far the engine has been brought for each object: what it has, what it refused, and when to try again."""

import math
import random
from dataclasses import dataclass

from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control.objects import Key

# Of a server that is reached in ways the look-out cannot see.
UNSEEN_RETRY_S = 300.0


@dataclass
class Progress:
    """Of one object, in one generation of the engine."""

    applied: bytes | None = None  # digest of what the engine has
    refused: bytes | None = None  # digest of what it would refuse again
    in_flight: bool = False
    refused_until: float = math.inf  # when to try again even so
    failures: int = 0  # in a row
    refusals: int = 0  # those of them that were refusals, in a row
    retry_at: float = 0.0  # on the event loop's clock
    cause: ty.Cause | None = None  # of the last failure
    has_been: bool = False  # it was reached once
    stand_in: bytes | None = None  # of captures: digest of what is shown while there is no device
    # Of rooms: what the others were last asked to be shown, and whether the room refused that.
    info: bytes | None = None  # its digest; None: nothing yet, b"": it is to be tried again
    is_info_refused: bool = False
    # Of rooms, kept by server_watch.py:
    lost_at: float | None = None  # the engine is restoring the connection
    drop: ty.Cause | None = None  # why the connection is to be given up
    awaits_server: bool = False  # `retry_at` is far off, and is set anew when the server answers
    backed_off_until: float = 0.0

    @property
    def failed_for(self) -> ty.Reason.ValueType:
        """Why the last try failed."""
        return self.cause.reason if self.cause is not None else ty.REASON_UNSPECIFIED


class ProgressTable:
    """The progress of every object. Void with the engine's generation."""

    def __init__(self, first_retry_s: float, max_retry_s: float) -> None:
        self._first_retry_s = first_retry_s
        self._max_retry_s = max_retry_s
        self._table: dict[Key, Progress] = {}

    def of(self, key: Key) -> Progress:
        """The progress of `key`; of an object not seen before, none."""
        return self._table.setdefault(key, Progress())

    def peek(self, key: Key) -> Progress:
        """As `of`, for a mere look."""
        return self._table.get(key) or Progress()

    def keys(self, kind: str) -> list[Key]:
        """The objects of one kind that something is known about."""
        return [key for key in self._table if key.kind == kind]

    def succeeded(self, key: Key, digest: bytes) -> None:
        """The engine has the object as asked for."""
        self._table[key] = Progress(applied=digest, in_flight=self.of(key).in_flight, has_been=True)

    def failed(
        self,
        key: Key,
        digest: bytes,
        why: ty.Cause,
        permanent: bool,
        now: float,
        again_in_s: float | None = None,
        at_most_s: float = math.inf,
    ) -> None:
        """The step failed, or what it had made came to an end. Sets when to try again, later each time up to
        `at_most_s`, and never in step with others; what is permanent, when something changes, or in `again_in_s`.
        """
        progress = self.of(key)
        progress.applied = None
        progress.refused = digest if permanent else None
        progress.refused_until = math.inf if again_in_s is None else now + again_in_s * random.uniform(0.7, 1.0)
        progress.refusals = progress.refusals + 1 if permanent else 0
        progress.cause = why
        delay = min(self._max_retry_s, at_most_s, self._first_retry_s * 2 ** min(progress.failures, 20))
        progress.failures += 1
        progress.retry_at = progress.backed_off_until = now + delay * random.uniform(0.7, 1.0)
        progress.lost_at = progress.drop = None
        progress.awaits_server = False

    def await_server(self, key: Key, now: float) -> None:
        """Do not try again before the server is seen to answer; if it never is, at long intervals all the same."""
        progress = self.of(key)
        progress.awaits_server = True
        progress.retry_at = now + UNSEEN_RETRY_S

    def forget(self, key: Key) -> None:
        """The object is in the engine no more, and nothing is held against it."""
        self._table.pop(key, None)

    def retry_now(self, key: Key) -> None:
        """Something about the object has changed: try again at once, also what was refused."""
        progress = self.of(key)
        progress.refused = None
        progress.awaits_server = False
        progress.failures = progress.refusals = 0
        progress.retry_at = 0.0
        if progress.is_info_refused:
            progress.info = b""

    def clear(self) -> None:
        """A new engine has nothing."""
        self._table.clear()

    def next_retry(self, now: float) -> float | None:
        """The earliest time after `now` at which something is to be tried again."""
        times = [item.retry_at if item.refused is None else item.refused_until for item in self._table.values()]
        return min((at for at in times if now < at < math.inf), default=None)
