"""Decides when a call is given up and when it is repeated; the clients only do the waiting."""

import random
import time
from collections.abc import Callable
from typing import Any

import grpc

from rtcagent_client.errors import RtcAgentError, UntrustedServer
from rtcagent_client.requests.call import Call

DEFAULT_RETRY_S = 10.0

# After these the outcome is unknown. Repeating an order with its request_id has one effect, whatever became of the
# first.
_UNKNOWN_OUTCOME = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)

STREAM_MAX_S = 5.0  # the longest pause between two tries to restore a stream


def is_lost(error: RtcAgentError) -> bool:
    """Whether a stream that ended so is to be restored."""
    return error.code in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    ) and (not isinstance(error, UntrustedServer))


class Backoff:
    """Rising, capped, jittered delays in seconds."""

    def __init__(self, first_s: float, max_s: float) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._next_s = first_s

    def next_s(self) -> float:
        delay = self._next_s
        self._next_s = min(2 * delay, self._max_s)
        return delay * random.uniform(0.75, 1.0)

    def reset(self) -> None:
        self._next_s = self._first_s


class GiveUp:
    """How long a transfer that broke off is gone on with, as long as nothing of it comes."""

    def __init__(self, retry_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._retry_s = retry_s
        self._clock = clock
        self._backoff = Backoff(0.1, 1.0)
        self._since: float | None = None

    def reset(self) -> None:
        """Something came."""
        self._since = None
        self._backoff.reset()

    def after(self, error: RtcAgentError) -> float:
        """How long to wait before the next try; raises `error` where there is none."""
        now = self._clock()
        self._since = self._since or now
        if not is_lost(error) or now - self._since >= self._retry_s:
            raise error
        return self._backoff.next_s()


class Attempts:
    """The attempts of one call. Repeats begin until `retry_s` after the first failure, and until `timeout_s` in all."""

    def __init__(
        self, call: Call[Any], timeout_s: float | None, retry_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._call = call
        self._clock = clock
        self._end = None if timeout_s is None else clock() + timeout_s
        self._retry_s = retry_s
        self._retry_end: float | None = None
        self._backoff = Backoff(0.1, 1.0)

    def attempt_s(self) -> float:
        """How long the attempt that begins now may take."""
        if self._end is None:
            return self._call.answer_s
        return max(0.001, self._end - self._clock())

    def delay_after(self, error: RtcAgentError) -> float | None:
        """How long to wait before the next attempt; None: there is none, raise `error`."""
        if not self._call.is_order or error.code not in _UNKNOWN_OUTCOME or isinstance(error, UntrustedServer):
            return None
        now = self._clock()
        if self._retry_end is None:
            self._retry_end = now + self._retry_s
        delay = self._backoff.next_s()
        ends = [self._retry_end] if self._end is None else [self._retry_end, self._end]
        return delay if now + delay < min(ends) else None
