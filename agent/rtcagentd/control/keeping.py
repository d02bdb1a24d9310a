"""Ends orders whose time is over: of an earlier boot, past their hour, or alone in a room for long enough."""

import asyncio
import contextlib
import logging
from pathlib import Path

from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import fold

from rtcagentd.control.events import cause
from rtcagentd.control.ledger import Ledger
from rtcagentd.control.objects import Key
from rtcagentd.control.state import State
from rtcagentd.control.wall_clock import WallClock

log = logging.getLogger(__name__)

CLOCK_CHECK_S = 30.0  # the wall clock may be set; nobody tells


def boot_id() -> str:
    """What tells this boot of the machine from every other."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Keeper:
    """Watches the orders that do not hold for ever."""

    def __init__(self, state: State, ledger: Ledger, this_boot: str, clock: WallClock | None = None) -> None:
        self._state = state
        self._ledger = ledger
        self._boot_id = this_boot
        self._clock = clock or WallClock()
        self._alone_since: dict[Key, float] = {}
        self._changed = asyncio.Event()
        state.on_change(self._changed.set)

    async def end_overdue(self) -> float | None:
        """End what is over now; returns in how many seconds the next order may end."""
        now = self._clock.now()
        overdue: dict[Key, ty.Cause] = {}
        next_s: float | None = None
        for key, row in self._state.rows.items():
            keep = row.body.order.keep
            left_s: float | None = None
            if keep.kind == ty.Keep.KIND_THIS_BOOT and row.boot_id != self._boot_id:
                overdue[key] = cause(ty.REASON_KEEP_ENDED, "it was to hold until the machine is booted, which it was")
            elif keep.kind == ty.Keep.KIND_UNTIL:
                left_s = keep.until.ToNanoseconds() / 1e9 - now
                if left_s <= 0:
                    overdue[key] = cause(ty.REASON_KEEP_ENDED, "the time until which it was to hold has come")
            elif keep.kind == ty.Keep.KIND_UNTIL_ALONE:
                left_s = self._alone_left_s(key, keep.alone_s)
                if left_s is not None and left_s <= 0:
                    overdue[key] = cause(ty.REASON_KEEP_ENDED, f"the agent was alone in the room for {keep.alone_s} s")
            if left_s is not None and left_s > 0:
                next_s = left_s if next_s is None else min(next_s, left_s)
        for why in {why.message: why for why in overdue.values()}.values():
            keys = [key for key, other in overdue.items() if other == why]
            log.info("ended %s: %s", ", ".join(f"{key.kind} {key.text}" for key in keys), why.message)
            await self._ledger.end(keys, why)
        return next_s

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            self._changed.clear()
            next_s = await self.end_overdue()
            with contextlib.suppress(TimeoutError):
                # wait_for would now and then lose a cancellation
                async with asyncio.timeout(min(next_s or CLOCK_CHECK_S, CLOCK_CHECK_S)):
                    await self._changed.wait()

    def _alone_left_s(self, key: Key, alone_s: int) -> float | None:
        """How long the agent may still be alone in the room; None while it is not in it, or not alone."""
        room = fold.find_room(self._state.reported, key.text)
        now = asyncio.get_running_loop().time()
        if room is None or room.state != st.ROOM_STATE_JOINED or room.users:
            self._alone_since.pop(key, None)
            return None
        return self._alone_since.setdefault(key, now) + alone_s - now
