"""The ordered, bounded queue of events on their way to the daemon."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable

from google.protobuf.timestamp_pb2 import Timestamp
from rtcagent.engine.v1 import engine_pb2 as contract

log = logging.getLogger(__name__)

LIMIT = 10_000


class Events:
    """Written by everything in the engine, read by the one daemon that is attached. On the event loop only."""

    def __init__(self, on_overflow: Callable[[str], None]) -> None:
        self._on_overflow = on_overflow
        self._generation = 0  # 0: nobody is attached, and events are nobody's
        self._queue: deque[contract.EngineEvent] = deque()
        self._changed = asyncio.Event()
        self._ended = False

    def begin(self, generation: int) -> None:
        """From here on events are for `generation`, whose Report holds what was before; older watchers end."""
        self._generation = generation
        self._queue = deque()
        self._changed.set()
        self._changed = asyncio.Event()

    def emit(self, event: contract.EngineEvent) -> None:
        """Put an event at the end, with the time of now."""
        if not self._generation:
            return
        now = Timestamp()
        now.GetCurrentTime()
        event.at.CopyFrom(now)
        self._queue.append(event)
        self._changed.set()
        if len(self._queue) > LIMIT:
            # Losing one would leave the daemon's view wrong for ever; a new engine's report is right.
            self._on_overflow(f"{LIMIT} events wait for the daemon, which does not take them")

    def end(self) -> None:
        """There are no more events; watchers end once they have had them all."""
        self._ended = True
        self._changed.set()

    @property
    def ended(self) -> bool:
        return self._ended

    async def watch(self, generation: int) -> AsyncIterator[contract.EngineEvent]:
        """The events of `generation`, oldest first, until another one begins or there are no more."""
        while self._generation == generation:
            changed = self._changed
            changed.clear()
            while self._queue and self._generation == generation:
                yield self._queue.popleft()
            if self._ended:
                return
            await changed.wait()
