"""Where a watcher of events stands: resume without hole or duplicate, and gaps told, whatever carries the responses."""

from collections import deque
from collections.abc import Iterable
from typing import Literal

from rtcagent.v1.agent_pb2 import Gap, WatchEventsRequest, WatchEventsResponse
from rtcagent.v1.event_pb2 import Event
from rtcagent.v1.state_pb2 import Position

OnGap = Literal["raise", "yield"]


def check_on_gap(on_gap: str) -> None:
    if on_gap not in ("raise", "yield"):
        raise ValueError(f'on_gap is "raise" or "yield", not {on_gap!r}')


class Cursor:
    """Takes responses in, gives events out, and knows the request to go on with after a lost connection."""

    def __init__(self, after: Position | None, types: Iterable[str], room_ids: Iterable[str]) -> None:
        self._types = tuple(types)
        self._room_ids = tuple(room_ids)
        self._items: deque[tuple[Event | Gap | None, Position]] = deque()
        self._received: Position | None = after
        self.position: Position | None = after  # of what was given out

    @property
    def is_placed(self) -> bool:
        """Whether it is known where to begin."""
        return self._received is not None

    def place(self, position: Position) -> None:
        """Begin after `position`."""
        self._received = self.position = position

    def request(self) -> WatchEventsRequest:
        """The request for everything that was not yet received."""
        return WatchEventsRequest(after=self._received, types=self._types, room_ids=self._room_ids)

    def take(self, response: WatchEventsResponse) -> None:
        """Take a response in."""
        before = self._received or Position()
        log_id = response.log_id or before.log_id
        seq = before.seq
        if response.HasField("gap"):
            # With a foreign log_id nothing of the old numbering holds any more.
            seq = response.gap.next_seq - 1 if response.gap.next_seq else response.seq
            self._put(response.gap, log_id, seq)
        elif before.log_id and log_id != before.log_id:
            seq = response.events[0].seq - 1 if response.events else response.seq
            self._put(Gap(message=f"log {before.log_id} became {log_id}"), log_id, seq)
        for event in response.events:
            if event.seq <= seq:
                continue  # sent again after a lost connection
            if not (self._types or self._room_ids) and seq and event.seq != seq + 1:
                gap = Gap(first_missing_seq=seq + 1, next_seq=event.seq, message="the agent did not send them")
                self._put(gap, log_id, event.seq - 1)
            seq = event.seq
            self._put(event, log_id, seq)
        if response.seq > seq or self._received is None:
            seq = max(seq, response.seq)
            self._put(None, log_id, seq)  # what lies between did not match the filter
        self._received = Position(log_id=log_id, seq=seq)

    def give(self) -> Event | Gap | None:
        """The next event or gap; None: a further response must be taken in first."""
        while self._items:
            item, self.position = self._items.popleft()
            if item is not None:
                return item
        return None

    def _put(self, item: Event | Gap | None, log_id: str, seq: int) -> None:
        self._items.append((item, Position(log_id=log_id, seq=seq)))
