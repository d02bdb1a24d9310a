"""rtcagent.v1.Agent: what the agent is, what it was told, what is so, and what happened."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from rtcagent.v1 import agent_pb2, agent_pb2_grpc
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd import __version__
from rtcagentd.api.ordering import Later, OrderDesk
from rtcagentd.control.apply import apply_state
from rtcagentd.control.errors import invalid, unavailable
from rtcagentd.control.events import cause
from rtcagentd.control.objects import ref_of
from rtcagentd.control.orders import Orders
from rtcagentd.control.outcomes import Outcomes
from rtcagentd.control.reconciler import Reconciler
from rtcagentd.control.room_tokens import ServerKey
from rtcagentd.control.state import State
from rtcagentd.journal.journal import Journal
from rtcagentd.journal.watch import Filter, Watchers
from rtcagentd.store.faults import StoreError

RESET_S = 30.0
EVENT_TYPES = frozenset(field.name for field in ev.Event.DESCRIPTOR.oneofs_by_name["payload"].fields)


class AgentService(agent_pb2_grpc.AgentServicer):
    """See proto/rtcagent/v1/agent.proto."""

    def __init__(
        self,
        name: str,
        state: State,
        journal: Journal,
        reconciler: Reconciler,
        outcomes: Outcomes,
        server: ServerKey | None,
        orders: Orders,
        desk: OrderDesk,
    ) -> None:
        self._name = name
        self._state = state
        self._journal = journal
        self._reconciler = reconciler
        self._outcomes = outcomes
        self._server = server
        self._orders = orders
        self._desk = desk
        self._watchers = Watchers(journal)
        self._encoded_state = b""
        self._encoded_version = -1

    @property
    def watcher_count(self) -> int:
        """WatchEvents calls under way."""
        return self._watchers.count

    async def GetAgent(self, request: agent_pb2.GetAgentRequest, context: Any) -> agent_pb2.GetAgentResponse:
        attached = self._reconciler.attached
        return agent_pb2.GetAgentResponse(
            name=self._name,
            version=__version__,
            engine=self._state.reported.engine,
            capabilities=attached.capabilities,
            limits=attached.limits,
            default_server_url=self._server.advertised_url if self._server is not None else "",
            can_mint_tokens=self._server is not None and self._server.can_mint,
        )

    async def GetState(self, request: agent_pb2.GetStateRequest, context: Any) -> Any:
        if self._encoded_version != self._state.version:  # encoded once for all who ask before the next change
            self._encoded_version = self._state.version
            response = agent_pb2.GetStateResponse(
                desired=self._state.desired(),
                reported=self._state.reported,
                position=st.Position(log_id=self._journal.log_id, seq=self._journal.last_seq),
                differences=self._outcomes.differences(),
                store=self._store(),
            )
            self._encoded_state = response.SerializeToString()
        return self._encoded_state

    async def GetDesiredState(
        self, request: agent_pb2.GetDesiredStateRequest, context: Any
    ) -> agent_pb2.GetDesiredStateResponse:
        return agent_pb2.GetDesiredStateResponse(desired=self._state.desired())

    async def ApplyState(self, request: agent_pb2.ApplyStateRequest, context: Any) -> agent_pb2.ApplyStateResponse:
        limits, is_up = self._reconciler.attached.limits, self._reconciler.session is not None
        edits = Later(lambda: apply_state(self._orders, request, limits, devices_known=is_up))
        response = agent_pb2.ApplyStateResponse()
        forever = ty.Keep.KIND_FOREVER
        if request.dry_run:
            done = await self._desk.rehearse(request, request.order, edits, default_keep=forever)
            changes = done.changes
            response.result.revision = done.revision
            response.desired.CopyFrom(done.desired)
        else:
            result, taken = await self._desk.take_with_changes(
                request, request.order, edits, context, default_keep=forever
            )
            changes = taken.changes
            response.result.CopyFrom(result)
        for key, kind in changes.items():
            response.changes.add(object=ref_of(key), kind=kind)
        return response

    async def WatchEvents(self, request: agent_pb2.WatchEventsRequest, context: Any) -> AsyncIterator[Any]:
        unknown = sorted(set(request.types) - EVENT_TYPES)
        if unknown:
            text = f"there is no event type {', '.join(unknown)}; there are: {', '.join(sorted(EVENT_TYPES))}"
            raise invalid("types", "EVENT_TYPE_UNKNOWN", text)
        after: int | None = None
        if request.HasField("after"):
            after = request.after.seq
            is_ours = request.after.log_id in ("", self._journal.log_id)
            if is_ours and after > self._journal.last_seq:
                text = f"the log has come to seq {self._journal.last_seq}, not yet to {after}"
                raise invalid("after.seq", "POSITION_NOT_REACHED", text)
        wanted = Filter(frozenset(request.types), frozenset(request.room_ids))
        try:
            async for response in self._watchers.responses(after, request.after.log_id, wanted):
                yield response
        except StoreError as error:
            raise unavailable("STORE_FAILED", f"the event log cannot be read: {error}") from error

    async def ResetEngine(self, request: agent_pb2.ResetEngineRequest, context: Any) -> agent_pb2.ResetEngineResponse:
        generation = self._state.reported.engine.generation
        self._reconciler.recycle_engine("a controller asked for it (ResetEngine)")
        left_s = context.time_remaining()
        wait_s = RESET_S if left_s is None else min(RESET_S, max(0.0, left_s - 0.05))
        try:
            async with asyncio.timeout(wait_s):
                while not self._is_running_after(generation):
                    await self._state.wait_for_change(self._state.version)
        except TimeoutError as error:
            why = self._state.reported.engine.cause.message or "it is still being started"
            raise unavailable("ENGINE_NOT_STARTED", f"the engine did not start again in time: {why}") from error
        return agent_pb2.ResetEngineResponse(engine=self._state.reported.engine)

    def _store(self) -> st.StoreStatus:
        store = self._state.store
        status = st.StoreStatus(writable=store.is_writable, unwritten_count=self._state.unwritten_count)
        if not store.is_writable:
            status.cause.CopyFrom(cause(ty.REASON_STORE_FAILED, store.problem))
            status.since.FromNanoseconds(int(store.since_s * 1e9))
        return status

    def _is_running_after(self, generation: int) -> bool:
        engine = self._state.reported.engine
        return engine.state == st.ENGINE_STATE_RUNNING and engine.generation > generation
