"""Ends the order for a recording once it has come to one of its limits."""

import asyncio
import logging

from rtcagent.v1 import state_pb2 as st

from rtcagentd.control.ledger import Ledger
from rtcagentd.control.objects import recording_key
from rtcagentd.control.state import State

log = logging.getLogger(__name__)


class EndedRecordings:
    """Watches the recordings."""

    def __init__(self, state: State, ledger: Ledger) -> None:
        self._state = state
        self._ledger = ledger
        self._changed = asyncio.Event()
        state.on_change(self._changed.set)

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            self._changed.clear()
            for status in list(self._state.reported.recordings):
                key = recording_key(status.recording_id)
                if status.state == st.RECORDING_STATE_ENDED and key in self._state.rows:
                    log.info("ended recording %s: %s", status.recording_id, status.cause.message)
                    await self._ledger.end([key], status.cause)
            await self._changed.wait()
