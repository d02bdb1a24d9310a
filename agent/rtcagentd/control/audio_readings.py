"""How loud everybody is: asked of the engine at the ordered interval while somebody watches, and told to all who do."""

import asyncio
from collections.abc import AsyncGenerator

from rtcagent.v1 import devices_pb2
from rtcagent.v1 import state_pb2 as st

from rtcagentd.control.errors import OrderError
from rtcagentd.control.objects import AUDIO_REPORT_KEY
from rtcagentd.control.reconciler import Reconciler
from rtcagentd.control.state import State

Reading = devices_pb2.WatchAudioPropertiesResponse


class AudioReadings:
    """The newest reading wins: nothing is kept, and who is slow misses some. On the event loop only."""

    def __init__(self, state: State, reconciler: Reconciler) -> None:
        self._state = state
        self._reconciler = reconciler
        self._newest: Reading | None = None
        self._number = 0
        self._changed = asyncio.Event()
        self._watchers = 0
        self._task: asyncio.Task[None] | None = None

    async def watch(self) -> AsyncGenerator[Reading, None]:
        """Readings from now on, until the caller has enough; none while the report is off."""
        self._watchers += 1
        if self._task is None:
            self._task = asyncio.create_task(self._read(), name="audio properties")
        try:
            seen = self._number
            while True:
                await self._changed.wait()
                if self._number != seen and self._newest is not None:
                    seen = self._number
                    yield self._newest
        finally:
            self._watchers -= 1
            if self._watchers == 0 and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            report = self._state.get(AUDIO_REPORT_KEY, st.DesiredAudioReport)
            if report is None:
                await self._state.wait_for_change(self._state.version)
                due = loop.time()
                continue
            interval_s = report.interval_ms / 1000
            due = max(due + interval_s, loop.time())
            await asyncio.sleep(due - loop.time())
            try:
                answer = await self._reconciler.ask(lambda session: session.audio_properties())
            except OrderError:  # the engine is being replaced: the next reading is of the new one
                continue
            self._newest = Reading()
            self._newest.CopyFrom(answer.properties)
            self._newest.interval_ms = report.interval_ms
            self._number += 1
            self._changed.set()
            self._changed = asyncio.Event()
