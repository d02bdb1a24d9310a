"""Ends the order to share a window once the window is closed: its number may be given to another one."""

import asyncio
import logging

from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control.ledger import Ledger
from rtcagentd.control.objects import capture_key
from rtcagentd.control.outcomes import REFUSED, Outcomes
from rtcagentd.control.state import State

log = logging.getLogger(__name__)


class ClosedWindows:
    """Watches the captured windows."""

    def __init__(self, state: State, ledger: Ledger, outcomes: Outcomes) -> None:
        self._state = state
        self._ledger = ledger
        self._outcomes = outcomes
        self._changed = asyncio.Event()
        state.on_change(self._changed.set)

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            self._changed.clear()
            for status in list(self._state.reported.captures):
                if status.cause.reason == ty.REASON_WINDOW_CLOSED and status.state == st.CAPTURE_STATE_REFUSED:
                    await self._end(status.source_id)
            await self._changed.wait()

    async def _end(self, source_id: str) -> None:
        key = capture_key(source_id)
        # by now another window may have been ordered, which is being tried
        outcome = self._outcomes.of(key)
        if key in self._state.rows and outcome.kind == REFUSED and outcome.cause.reason == ty.REASON_WINDOW_CLOSED:
            log.info("ended the capture of %s: %s", source_id, outcome.cause.message)
            await self._ledger.end([key], outcome.cause)
