"""What may be captured and what may be sent: the last check before a frame leaves. Starts closed."""

from collections.abc import Iterable
from typing import Protocol


class Sink(Protocol):
    """What a valve opens and closes; after set_open(False) has returned no frame passes."""

    def set_open(self, is_open: bool) -> None: ...


class Valve:
    """Lets one stream's frames pass, for as long as the gate allows it and it is not muted."""

    def __init__(self, gate: "Gate", room_id: str, source_id: str, sink: Sink, *, muted: bool) -> None:
        self.room_id = room_id
        self.source_id = source_id
        self._gate = gate
        self._sink = sink
        self._muted = muted
        self._is_open = False
        sink.set_open(False)
        gate.add(self)

    def set_muted(self, muted: bool) -> None:
        self._muted = muted
        self.apply()

    def apply(self) -> None:
        """Bring the sink to what gate and mute say."""
        is_open = not self._muted and self._gate.may_send(self.room_id, self.source_id)
        if is_open != self._is_open:
            self._sink.set_open(is_open)
            self._is_open = is_open

    def release(self) -> None:
        """Close the sink for good."""
        self._gate.remove(self)
        self._sink.set_open(False)
        self._is_open = False


class Gate:
    """Set by the daemon alone. On the event loop only; changes are in force when `set` returns."""

    def __init__(self) -> None:
        self._capture: frozenset[str] = frozenset()
        self._send: frozenset[tuple[str, str]] = frozenset()
        self._valves: set[Valve] = set()

    def set(self, capture: Iterable[str], send: Iterable[tuple[str, str]]) -> None:
        """Replace what is allowed. Streams that may no longer be sent have stopped when this returns."""
        self._capture = frozenset(capture)
        self._send = frozenset(send)
        for valve in self._valves:
            valve.apply()

    def may_capture(self, source_id: str) -> bool:
        return source_id in self._capture

    def may_send(self, room_id: str, source_id: str) -> bool:
        return (room_id, source_id) in self._send

    def add(self, valve: Valve) -> None:
        self._valves.add(valve)

    def remove(self, valve: Valve) -> None:
        self._valves.discard(valve)
