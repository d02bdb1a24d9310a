"""Tells in good time, once, that the token which a controller gave for a room expires."""

import asyncio
import contextlib
import time

from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st

from rtcagentd.control.events import event
from rtcagentd.control.state import State

BEFORE_S = 30.0
CLOCK_CHECK_S = 10.0  # the wall clock, which tokens expire by, may be set


class TokenExpiry:
    """Over all rooms that were ordered with a token of their own."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._told: dict[str, float] = {}  # by room_id, the expiry that was told of
        self._changed = asyncio.Event()
        state.on_change(self._changed.set)

    async def run(self) -> None:
        """Tell, until cancelled."""
        while True:
            self._changed.clear()
            next_at = self.tell(time.time())
            if next_at is None:
                await self._changed.wait()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(CLOCK_CHECK_S, next_at - time.time()))):
                    await self._changed.wait()

    def tell(self, now: float) -> float | None:
        """Tell of the tokens for which it is time, and not too late; when it is for the next one."""
        times: list[float] = []
        expiries: dict[str, float] = {}
        for room in self._state.all(st.DesiredRoom):
            if not room.HasField("token_expires_at"):
                continue
            room_id, expires_at = room.config.room_id, room.token_expires_at.ToNanoseconds() / 1e9
            if self._told.get(room_id) == expires_at:
                expiries[room_id] = expires_at
            elif expires_at - BEFORE_S > now:
                times.append(expires_at - BEFORE_S)
            else:
                expiries[room_id] = expires_at
                if expires_at > now:
                    payload = ev.TokenWillExpire(room_id=room_id, user_id=room.config.user_id)
                    payload.expires_at.CopyFrom(room.token_expires_at)
                    self._state.record(event(payload))
        self._told = expiries
        return min(times, default=None)
