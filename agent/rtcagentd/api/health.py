"""What grpc.health.v1 says of `engine`, `media` and `store`.

`media` serves while every stream that is to be sent is sent, and its frames advance; so also when there is none.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import state_pb2 as st
from rtcagent_client import fold

from rtcagentd.control.errors import OrderError
from rtcagentd.control.objects import capture_key, room_key
from rtcagentd.control.reconciler import Reconciler
from rtcagentd.control.state import State
from rtcagentd.control.wanted import WantedStream, wanted_streams

LOOK_EVERY_S = 2.0  # in which frames of every stream that is sent have to advance
ANSWER_S = 1.0

_FLOWS = (st.MEDIA_STATE_LIVE, st.MEDIA_STATE_PAUSED)  # paused: nobody wants them, which is no fault

Frames = dict[tuple[str, str], int]
SetHealth = Callable[[str, bool], Awaitable[None]]


class HealthReporter:
    """Follows the state, and looks at the frames every LOOK_EVERY_S while something is sent."""

    def __init__(self, state: State, reconciler: Reconciler, set_health: SetHealth) -> None:
        self._state = state
        self._reconciler = reconciler
        self._set_health = set_health
        self._told: dict[str, bool] = {}
        self._frames: Frames = {}
        self._stalled: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Report until cancelled."""
        loop = asyncio.get_running_loop()
        look_at = loop.time() + LOOK_EVERY_S
        while True:
            version = self._state.version
            await self._tell("engine", self._state.reported.engine.state == st.ENGINE_STATE_RUNNING)
            await self._tell("store", self._state.store.is_writable)
            await self._tell("media", all(map(self._is_sent, self._to_be_sent())))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(look_at):
                    await self._state.wait_for_change(version)
            if loop.time() >= look_at:
                await self._look()
                look_at = loop.time() + LOOK_EVERY_S

    async def _tell(self, part: str, is_serving: bool) -> None:
        if self._told.get(part) is not is_serving:
            self._told[part] = is_serving
            await self._set_health(part, is_serving)

    def _to_be_sent(self) -> list[WantedStream]:
        """Every stream that is asked for, of a source and into a room that are asked for."""
        rows = self._state.rows
        return [
            stream
            for stream in wanted_streams(self._state)
            if room_key(stream.room_id) in rows and capture_key(stream.source_id) in rows
        ]

    def _is_sent(self, stream: WantedStream) -> bool:
        room = fold.find_room(self._state.reported, stream.room_id)
        status = fold.find_publication(self._state.reported, stream.room_id, stream.source_id)
        if room is None or room.state != st.ROOM_STATE_JOINED or status is None:
            return False
        if status.state != st.PUBLICATION_STATE_PUBLISHED:
            return False
        if stream.muted:
            return status.muted
        if status.media_state != st.MEDIA_STATE_UNSPECIFIED:
            return status.media_state in _FLOWS
        return status.first_frame_sent and (stream.room_id, stream.source_id) not in self._stalled

    async def _look(self) -> None:
        """Compare the counters with those of the last look. Without an answer nothing is known anew: a hung engine is
        noticed by its heartbeat.
        """
        sending = {(each.room_id, each.source_id) for each in self._to_be_sent() if not each.muted}
        if not sending:
            self._frames, self._stalled = {}, set()
            return
        try:
            async with asyncio.timeout(ANSWER_S):
                answer: en.GetMediaStatsResponse = await self._reconciler.ask(lambda session: session.media_stats())
        except (OrderError, TimeoutError):
            return
        frames = {(each.room_id, each.source_id): each.frames_pushed for each in answer.stats.publications}
        self._stalled = {key for key in sending if key in frames and frames[key] == self._frames.get(key)}
        self._frames = {key: count for key, count in frames.items() if key in sending}
