"""An order is repeated with its request_id when what it was about has ended: it gets its outcome, and has no effect."""

import time
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from rtcagent.v1 import rooms_pb2 as rm
from rtcagent.v1 import screen_pb2 as sc
from rtcagent.v1 import types_pb2 as ty

from tests.parts.controller import CALL_S, Controller, bars, error_reason, kind_and_reason, names, watching
from tests.parts.daemon import Daemon, MakeDaemon
from tests.parts.room_server import RoomServer
from tests.parts.x_windows import XWindows
from tests.parts.xvfb import Xvfb

ROOM = "lobby"
SHORT_S = 3


@pytest_asyncio.fixture
async def xvfb() -> AsyncIterator[Xvfb]:
    async with Xvfb(320, 240) as server:
        yield server


@pytest_asyncio.fixture
async def daemon(make_daemon: MakeDaemon, room_server: RoomServer, xvfb: Xvfb) -> Daemon:
    settings = {"display": {"default_layout": False}}
    return await make_daemon(room_server, settings=settings, environment=xvfb.environment)


async def share(control: Controller, window_id: str, request_id: str = "") -> ty.OrderResult:
    request = sc.StartScreenCaptureRequest(screen=ty.VideoInput.Screen(window_id=window_id))
    request.order.request_id = request_id
    return (await control.screen.StartScreenCapture(request, timeout=CALL_S)).result  # type: ignore[no-any-return]


def only_reason(result: ty.OrderResult) -> str:
    (outcome,) = result.outcomes
    return names(outcome)[0]


async def test_of_a_window_that_is_closed(daemon: Daemon, xvfb: Xvfb) -> None:
    """Also by the next daemon. The same order without its request_id is a new one, and is refused."""
    control = daemon.control
    with XWindows(xvfb.display) as windows:
        window = windows.open("slides", "green", 0, 0, 100, 100)
        first = await share(control, window.id, "slides")
        assert kind_and_reason(first) == ("REACHED", "")
        async with watching(control) as events:
            window.close()
            await events.event("order_ended", lambda e: e.cause.reason == ty.REASON_WINDOW_CLOSED)
        again = await share(control, window.id, "slides")
        await daemon.kill()
        await daemon.start()
        after = await share(control, window.id, "slides")
        for result in (again, after):
            assert (result.revision, kind_and_reason(result)[0]) == (first.revision, "SUPERSEDED")
        assert not (await control.desired()).captures
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await share(control, window.id)
        assert error_reason(refused.value) == "WINDOW_NOT_FOUND"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await share(control, window.id, "another")
        assert error_reason(refused.value) == "WINDOW_NOT_FOUND"


async def test_of_a_room_whose_time_is_over(daemon: Daemon) -> None:
    """The order names a time that is past by then. The screen that was shared in the room alone ended with it."""
    control = daemon.control
    await control.join("other")
    for source_id in ("screen", "slides"):
        await control.start_capture(
            ty.CaptureConfig(input=ty.VideoInput(screen=ty.VideoInput.Screen())), source_id=source_id
        )
    await control.start_capture(bars(320, 180, 10))
    await control.publish("other", source_id="slides")
    short = ty.OrderOptions(request_id="short", keep=ty.Keep(kind=ty.Keep.KIND_UNTIL))
    short.keep.until.FromMilliseconds(int((time.time() + SHORT_S) * 1000))
    async with watching(control) as events:
        first = await control.join(ROOM, order=short)
        for source_id in ("screen", "slides"):
            request = rm.PublishStreamRequest(room_id=ROOM, source_id=source_id)
            await control.rooms.PublishStream(request, timeout=CALL_S)
        await events.event("order_ended", lambda e: e.object.source_id == "screen")
        await events.event("order_ended", lambda e: e.object.room_id == ROOM)
    again = await control.join(ROOM, order=short)
    assert (again.revision, only_reason(again)) == (first.revision, "SUPERSEDED")
    desired = await control.desired()
    assert [room.config.room_id for room in desired.rooms] == ["other"]
    assert [capture.source_id for capture in desired.captures] == ["camera", "slides"]
