"""Looks at the state after each change, a few times a second at the most, and follows recoveries in it."""

import asyncio
import time
from collections.abc import Iterator

from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control.objects import Key, capture_key, room_key, stream_key
from rtcagentd.control.outcomes import Outcomes
from rtcagentd.control.state import State
from rtcagentd.control.wanted import wanted_streams
from rtcagentd.metrics.instruments import Instruments
from rtcagentd.metrics.recoveries import Judged, Recoveries

SPACING_S = 0.05  # between two looks; what is repaired within it is not counted
MAX_SHARE = 0.05  # of the event loop's time that looking may take
ENGINE = Key("engine", "")


class Observer:
    """Knows how the objects are that are asked for."""

    def __init__(self, state: State, outcomes: Outcomes, instruments: Instruments) -> None:
        self._state = state
        self._outcomes = outcomes
        self._recoveries = Recoveries(instruments.recovery)
        self._first_generation = 0

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            version = self._state.version
            started_at = time.monotonic()
            self._recoveries.look([*self.objects(), self._engine()], started_at)
            await asyncio.sleep(max(SPACING_S, (time.monotonic() - started_at) / MAX_SHARE))
            await self._state.wait_for_change(version)

    def objects(self) -> Iterator[Judged]:
        """Everything that is asked for, with the streams that are published without an order of their own."""
        rows = self._state.rows
        keys = {key: row.revision for key, row in rows.items()}
        for stream in wanted_streams(self._state):
            made_by = (room_key(stream.room_id), capture_key(stream.source_id))
            key = stream_key(stream.room_id, stream.source_id)
            revisions = [rows[each].revision for each in (key, *made_by) if each in rows]
            keys[key] = max(revisions, default=0)
        for key in sorted(keys):
            yield Judged(key, keys[key], self._outcomes.of(key))

    def under_way(self) -> dict[str, int]:
        """Recoveries under way, by kind."""
        return self._recoveries.under_way()

    def engine_restarts(self) -> int:
        """Engine processes started after the first."""
        generation = self._state.reported.engine.generation
        self._first_generation = self._first_generation or generation
        return int(generation - self._first_generation)

    def _engine(self) -> Judged:
        self.engine_restarts()  # remembers the first
        engine = self._state.reported.engine
        outcome = ty.Outcome(kind=ty.Outcome.KIND_REACHED)
        if engine.state != st.ENGINE_STATE_RUNNING:
            outcome.kind = ty.Outcome.KIND_WAITING
            outcome.cause.reason = engine.cause.reason or ty.REASON_ENGINE_LOST
        return Judged(ENGINE, 0, outcome)
