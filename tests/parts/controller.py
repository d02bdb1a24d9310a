"""A controller of the agent over plain gRPC: what any client in any language could send, with short names for tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2
from rtcagent.v1 import agent_pb2 as ag
from rtcagent.v1 import (
    agent_pb2_grpc,
    canvases_pb2_grpc,
    capture_pb2_grpc,
    devices_pb2_grpc,
    rooms_pb2_grpc,
    screen_pb2_grpc,
)
from rtcagent.v1 import capture_pb2 as cap
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import rooms_pb2 as rm
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts.waiting import Changes

CALL_S = 30.0


def bars(width: int = 640, height: int = 360, fps: float = 30, **config: Any) -> ty.CaptureConfig:
    """Colour bars that stand still."""
    pattern = ty.VideoInput.TestPattern(kind=ty.VideoInput.TestPattern.KIND_BARS)
    return ty.CaptureConfig(
        input=ty.VideoInput(test_pattern=pattern),
        output=ty.VideoFormat(width=width, height=height, max_fps=fps),
        **config,
    )


def kind_and_reason(result: ty.OrderResult) -> tuple[str, str]:
    """The outcome of an order that touched one object, as in ('WAITING', 'SERVER_UNREACHABLE')."""
    assert len(result.outcomes) == 1, f"expected one outcome: {result}"
    return names(result.outcomes[0])


def all_reached(result: ty.OrderResult) -> bool:
    """Whether everything that the order touched is as ordered."""
    return bool(result.outcomes) and {each.kind for each in result.outcomes} == {ty.Outcome.KIND_REACHED}


def names(outcome: ty.Outcome) -> tuple[str, str]:
    """An outcome's kind and reason without their prefixes; no reason is ''."""
    kind = ty.Outcome.Kind.Name(outcome.kind).removeprefix("KIND_")
    reason = ty.Reason.Name(outcome.cause.reason).removeprefix("REASON_") if outcome.HasField("cause") else ""
    return kind, "" if reason == "UNSPECIFIED" else reason


def error_reason(error: grpc.aio.AioRpcError) -> str:
    """The stable reason in an error's ErrorInfo; '' where there is none."""
    for detail in _details(error):
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            assert info.domain == "rtcagent", info
            return str(info.reason)
    return ""


def violated_fields(error: grpc.aio.AioRpcError) -> list[str]:
    """The fields that an error's BadRequest names."""
    for detail in _details(error):
        request = error_details_pb2.BadRequest()
        if detail.Unpack(request):
            return [each.field for each in request.field_violations]
    return []


def _details(error: grpc.aio.AioRpcError) -> list[Any]:
    status = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    assert isinstance(status, bytes)
    return list(status_pb2.Status.FromString(status).details)


class Controller:
    """One connection to an agent."""

    def __init__(self, address: str, channel: grpc.aio.Channel | None = None) -> None:
        self.channel = channel or grpc.aio.insecure_channel(
            address, options=[("grpc.max_receive_message_length", -1), ("grpc.initial_reconnect_backoff_ms", 50)]
        )
        self.agent: Any = agent_pb2_grpc.AgentStub(self.channel)
        self.rooms: Any = rooms_pb2_grpc.RoomsStub(self.channel)
        self.capture: Any = capture_pb2_grpc.CaptureStub(self.channel)
        self.devices: Any = devices_pb2_grpc.DevicesStub(self.channel)
        self.screen: Any = screen_pb2_grpc.ScreenStub(self.channel)
        self.canvases: Any = canvases_pb2_grpc.CanvasesStub(self.channel)

    async def state(self) -> ag.GetStateResponse:
        return await self.agent.GetState(ag.GetStateRequest(), timeout=CALL_S, wait_for_ready=True)  # type: ignore[no-any-return]

    async def desired(self) -> st.DesiredState:
        response = await self.agent.GetDesiredState(ag.GetDesiredStateRequest(), timeout=CALL_S, wait_for_ready=True)
        return response.desired  # type: ignore[no-any-return]

    async def room(self, room_id: str) -> st.RoomStatus | None:
        reported = (await self.state()).reported
        return next((room for room in reported.rooms if room.room_id == room_id), None)

    async def join(
        self, room_id: str, *, order: ty.OrderOptions | None = None, deadline_s: float = CALL_S, **config: Any
    ) -> ty.OrderResult:
        """`config`: fields of RoomConfig."""
        request = rm.JoinRoomRequest(config=ty.RoomConfig(room_id=room_id, **config), order=order)
        return (await self.rooms.JoinRoom(request, timeout=deadline_s)).result  # type: ignore[no-any-return]

    async def update_token(self, room_id: str, token: str, *, order: ty.OrderOptions | None = None) -> ty.OrderResult:
        request = rm.UpdateTokenRequest(room_id=room_id, token=token, order=order)
        return (await self.rooms.UpdateToken(request, timeout=CALL_S)).result  # type: ignore[no-any-return]

    async def leave(self, room_id: str, *, order: ty.OrderOptions | None = None) -> ty.OrderResult:
        request = rm.LeaveRoomRequest(room_id=room_id, order=order)
        return (await self.rooms.LeaveRoom(request, timeout=CALL_S)).result  # type: ignore[no-any-return]

    async def start_capture(
        self, config: ty.CaptureConfig | None, *, source_id: str = "", order: ty.OrderOptions | None = None
    ) -> ty.OrderResult:
        request = cap.StartVideoCaptureRequest(source_id=source_id, config=config, order=order)
        return (await self.capture.StartVideoCapture(request, timeout=CALL_S)).result  # type: ignore[no-any-return]

    async def stop_capture(self, *, source_id: str = "", order: ty.OrderOptions | None = None) -> ty.OrderResult:
        request = cap.StopVideoCaptureRequest(source_id=source_id, order=order)
        return (await self.capture.StopVideoCapture(request, timeout=CALL_S)).result  # type: ignore[no-any-return]

    async def publish(
        self,
        room_id: str,
        *,
        source_id: str = "",
        name: str = "",
        encoder: ty.VideoEncoderConfig | None = None,
        order: ty.OrderOptions | None = None,
    ) -> ty.OrderResult:
        request = rm.PublishStreamRequest(room_id=room_id, source_id=source_id, name=name, encoder=encoder, order=order)
        return (await self.rooms.PublishStream(request, timeout=CALL_S)).result  # type: ignore[no-any-return]

    async def unpublish(self, room_id: str, *, source_id: str = "") -> ty.OrderResult:
        request = rm.UnpublishStreamRequest(room_id=room_id, source_id=source_id)
        return (await self.rooms.UnpublishStream(request, timeout=CALL_S)).result  # type: ignore[no-any-return]

    async def mute(
        self, room_id: str, muted: bool, *, source_id: str = "", order: ty.OrderOptions | None = None
    ) -> ty.OrderResult:
        request = rm.MuteStreamRequest(room_id=room_id, source_id=source_id, muted=muted, order=order)
        return (await self.rooms.MuteStream(request, timeout=CALL_S)).result  # type: ignore[no-any-return]

    def watch(self, after: st.Position | None = None, **filters: Any) -> grpc.aio.UnaryStreamCall[Any, Any]:
        """The raw stream of WatchEvents."""
        return self.agent.WatchEvents(  # type: ignore[no-any-return]
            ag.WatchEventsRequest(after=after, **filters), wait_for_ready=True
        )

    async def close(self) -> None:
        await self.channel.close()


class Watcher:
    """Keeps what one WatchEvents call delivers, in the order of its arrival."""

    def __init__(self, call: grpc.aio.UnaryStreamCall[Any, Any]) -> None:
        self.events: list[ev.Event] = []
        self.gaps: list[ag.Gap] = []
        self.log_id = ""
        self.error: grpc.aio.AioRpcError | None = None
        self._call = call
        self._changes = Changes()
        self._task = asyncio.get_running_loop().create_task(self._read())

    async def begun(self) -> None:
        """Wait until the call is under way: what happens from now on is delivered."""
        await self._changes.until(lambda: bool(self.log_id), timeout_ms=10_000, what="WatchEvents answers")

    async def event(
        self,
        payload: str,
        fits: Callable[[Any], bool] = lambda _: True,
        *,
        timeout_ms: float = 10_000,
        after_seq: int = 0,
    ) -> ev.Event:
        """Wait for an event with this payload ("room_state_changed") for whose payload `fits` holds."""

        def found() -> ev.Event | None:
            return next(
                (
                    event
                    for event in self.events
                    if event.seq > after_seq
                    and event.WhichOneof("payload") == payload
                    and fits(getattr(event, payload))
                ),
                None,
            )

        await self.until(lambda: found() is not None, timeout_ms=timeout_ms, what=payload)
        event = found()
        assert event is not None
        return event

    async def until(self, fact: Callable[[], bool], *, timeout_ms: float, what: str) -> None:
        await self._changes.until(
            lambda: fact() or self.error is not None,
            timeout_ms=timeout_ms,
            what=lambda: f"{what}. Seen: {[self.account(event) for event in self.events]}",
        )
        if not fact():
            raise AssertionError(f"the watch ended before {what}: {self.error}")

    async def ended(self, *, timeout_ms: float = 10_000) -> None:
        """Wait until the call is over."""
        await self._changes.until(lambda: self._task.done(), timeout_ms=timeout_ms, what="the watch ends")

    @staticmethod
    def account(event: ev.Event) -> str:
        return f"{event.seq} {event.WhichOneof('payload')} {event.room_id}{event.source_id}{event.user_id}"

    async def close(self) -> None:
        self._call.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for response in self._call:
                self.log_id = response.log_id or self.log_id
                self.events.extend(response.events)
                if response.HasField("gap"):
                    self.gaps.append(response.gap)
                self._changes.tell()
        except grpc.aio.AioRpcError as error:
            self.error = error
        finally:
            asyncio.get_running_loop().call_soon(self._changes.tell)


@contextlib.asynccontextmanager
async def watching(controller: Controller, after: st.Position | None = None, **filters: Any) -> AsyncIterator[Watcher]:
    """A watcher that is under way."""
    watcher = Watcher(controller.watch(after, **filters))
    try:
        await watcher.begun()
        yield watcher
    finally:
        await watcher.close()
