"""A whole call comes back from every fault: whatever was ordered is so again at the far end, and no more than that."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from rtcagent.v1 import types_pb2 as ty

from tests.parts.controller import watching
from tests.parts.daemon import Daemon, MakeDaemon
from tests.parts.pulse import Pulse
from tests.parts.room_server import RoomServer
from tests.parts.whole_call import WholeCall
from tests.parts.xvfb import Xvfb

OUTAGE_S = 35.0

pytestmark = pytest.mark.timeout(180)


@pytest_asyncio.fixture
async def screen() -> AsyncIterator[Xvfb]:
    async with Xvfb(640, 480) as server:
        yield server


@pytest_asyncio.fixture
async def daemon(make_daemon: MakeDaemon, room_server: RoomServer, pulse: Pulse, screen: Xvfb) -> Daemon:
    settings = {"display": {"default_layout": False}}
    environment = {**pulse.environment, **screen.environment}
    return await make_daemon(room_server, settings=settings, environment=environment)


async def test_a_whole_call_comes_back(daemon: Daemon, room_server: RoomServer, pulse: Pulse, screen: Xvfb) -> None:
    async with WholeCall(daemon, room_server, pulse, screen) as call:
        await call.order()
        await call.is_back()
        begun = time.monotonic()

        def told(what: str) -> None:
            nonlocal begun
            print(f"{what}: {time.monotonic() - begun:.1f} s")
            begun = time.monotonic()

        await daemon.kill_engine()
        await call.is_back()
        told("engine killed")

        await daemon.kill()
        await daemon.start()
        await call.is_back()
        told("daemon killed")

        await room_server.restart()
        await call.people_anew()
        await call.is_back()
        told("room server killed")

        await pulse.kill()
        await pulse.start()
        await call.plug_in()
        await call.is_back()
        told("sound server killed")

        # The window is gone with its server: its share ends, and never becomes one of another window.
        async with watching(daemon.control) as events:
            call.close_windows()
            await screen.stop()
            await screen.start()
            call.open_windows()
            ended = await events.event("order_ended", lambda e: e.object.source_id == "screen", timeout_ms=20_000)
            assert ended.order_ended.cause.reason == ty.REASON_WINDOW_CLOSED
        await call.client.unpublish_stream("call", "screen")
        await call.is_back(with_slides=False)
        told("X server killed")
        call.never()
        await call.recorded()


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_a_whole_call_comes_back_from_faults_that_meet(
    daemon: Daemon, room_server: RoomServer, pulse: Pulse, screen: Xvfb
) -> None:
    """Two at once, one while another lasts, and an outage that is longer than the SDK's own patience."""
    async with WholeCall(daemon, room_server, pulse, screen) as call:
        await call.order()
        await call.is_back()

        await room_server.kill()
        await daemon.kill_engine()
        await room_server.start()
        await call.people_anew()
        await call.is_back()

        await room_server.kill()
        await asyncio.sleep(OUTAGE_S)  # what is tried is its length
        await room_server.start()
        await call.people_anew()
        await call.is_back()

        await pulse.kill()
        await daemon.kill_engine()
        await daemon.kill()
        await daemon.start()
        await pulse.start()
        await call.plug_in()
        await call.is_back()

        call.close_windows()
        await screen.stop()
        await pulse.kill()
        await daemon.kill_engine()
        await screen.start()
        await pulse.start()
        await call.plug_in()
        call.open_windows()
        await call.client.unpublish_stream("call", "screen")
        await call.is_back(with_slides=False)
        call.never()
