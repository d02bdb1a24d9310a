"""Follows all events of an agent and judges them: none lost, all in order, and together what the agent reports."""

import asyncio

from rtcagent.v1 import agent_pb2 as ag
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import fold

from tests.parts.controller import Controller
from tests.parts.waiting import until


class FollowedEvents:
    """One watch, from `begin` to `close`. What is wrong with the events is kept in `faults`."""

    def __init__(self, control: Controller) -> None:
        self.count = 0
        self.faults: list[str] = []
        self.thrown_out = 0  # times that the room ended the agent's connection for another one of the same user
        self._control = control
        self._position = st.Position()
        self._reported = st.ReportedState()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        state = await self._control.state()
        self._position.CopyFrom(state.position)
        self._reported.CopyFrom(state.reported)
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def agree(self, *, timeout_ms: float = 30_000) -> None:
        """The events until now make the state that is reported now."""
        state = await self._control.state()

        async def is_at_it() -> bool:
            nonlocal state
            if self._position.seq > state.position.seq:
                state = await self._control.state()
            return bool(self.faults) or self._position.seq == state.position.seq

        await until(
            is_at_it,
            timeout_ms=timeout_ms,
            what=lambda: f"event {state.position.seq} comes; the last one was {self._position.seq}",
        )
        assert not self.faults, self.faults
        assert self._reported == state.reported, f"events make:\n{self._reported}\nreported is:\n{state.reported}"

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        try:
            after = st.Position()
            after.CopyFrom(self._position)
            async for response in self._control.watch(after):
                self._take(response)
            self.faults.append("the watch ended")
        except Exception as error:
            self.faults.append(f"the watch ended: {error!r}")

    def _take(self, response: ag.WatchEventsResponse) -> None:
        if response.HasField("gap"):
            self.faults.append(f"a gap: {response.gap}")
        if response.log_id not in ("", self._position.log_id):
            self.faults.append("the log was begun anew")
        for event in response.events:
            if event.seq != self._position.seq + 1:
                self.faults.append(f"after {self._position.seq} comes {event.seq}")
            self._position.seq = event.seq
            self.count += 1
            self._note(event)

    def _note(self, event: ev.Event) -> None:
        fold.apply(self._reported, event)
        self.thrown_out += event.room_state_changed.room.cause.reason == ty.REASON_DUPLICATE_USER
