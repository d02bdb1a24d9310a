"""clients/python/examples/answer.py with real callers: who rings sees the agent and is shown on its display."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from rtcagent.v1 import state_pb2 as st
from rtcagent_client import AsyncClient

from tests.parts import screenshot
from tests.parts.bare_publisher import BarePublisher, still
from tests.parts.correspondent import Correspondent
from tests.parts.daemon import NAME, Daemon, MakeDaemon
from tests.parts.listener import Listener
from tests.parts.picture import make_bars, shows_made_bars
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until
from tests.parts.xvfb import Xvfb

EXAMPLE = Path(__file__).parents[2] / "clients" / "python" / "examples" / "answer.py"
START_S = 20


@pytest_asyncio.fixture
async def screen() -> AsyncIterator[Xvfb]:
    async with Xvfb(320, 240) as server:
        yield server


@pytest_asyncio.fixture
async def kiosk(make_daemon: MakeDaemon, room_server: RoomServer, screen: Xvfb) -> Daemon:
    """With a display, and without a microphone."""
    settings = {"display": {"default_layout": False}}
    return await make_daemon(room_server, settings=settings, environment=screen.environment)


@contextlib.asynccontextmanager
async def answering(daemon: Daemon, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The example waits for rings, and still does at the end."""
    example = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLE), "--room", "desk", "--test-picture", *arguments),
        env={**os.environ, "RTCAGENT_ADDRESS": daemon.address},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert example.stdout is not None
        async with asyncio.timeout(START_S):
            assert b"waiting for rings" in await example.stdout.readline()
        yield example
        assert example.returncode is None
    finally:
        if example.returncode is None:
            example.terminate()
        await example.wait()


async def ring(caller: Correspondent, room_server: RoomServer, name: str) -> None:
    await caller.join(room_server.url, room_server.token("lobby", name))
    await caller.sees(NAME)
    await caller.room.local_participant.send_text("let me in", topic="ring")
    assert (await caller.letter("answer")).content == b"desk"


async def until_over(client: AsyncClient) -> None:
    async def is_over() -> bool:
        desired = await client.get_desired_state()
        rooms = [room.config.room_id for room in desired.rooms]
        return rooms == ["lobby"] and not desired.captures and not desired.canvases

    await until(is_over, timeout_ms=20_000, what="the call is over, and the agent waits in the lobby")


async def test_a_ring_is_answered_and_the_call_ends_with_its_caller(
    kiosk: Daemon, room_server: RoomServer, listener: Listener, screen: Xvfb
) -> None:
    caller, face = Correspondent(), BarePublisher("face")
    async with AsyncClient.connect(kiosk.address) as client, answering(kiosk, "--wait", "30"):
        try:
            await ring(caller, room_server, "ann")
            await listener.join(room_server.url, room_server.token("desk", "bob"))
            await face.capture(still(make_bars(320, 240)))
            await face.join(room_server.url, room_server.token("desk", "ann"))
            await face.publish()
            await listener.frames(NAME, "camera", count=5, timeout_ms=20_000)
            await screenshot.until_seen(
                lambda: screenshot.of_x11(screen.display), shows_made_bars, "the caller, full screen"
            )
            sources = {each.source_id: each.state for each in (await client.get_state()).reported.captures}
            assert sources["camera"] == st.CAPTURE_STATE_CAPTURING
            assert "microphone" in sources  # sent as soon as it is plugged in
            await face.close()
            await until_over(client)
        finally:
            await face.close()
            await caller.close()


async def test_a_caller_who_does_not_come(kiosk: Daemon, room_server: RoomServer) -> None:
    caller = Correspondent()
    async with AsyncClient.connect(kiosk.address) as client, answering(kiosk, "--wait", "1") as example:
        try:
            await ring(caller, room_server, "ann")
            assert example.stdout is not None
            async with asyncio.timeout(START_S):
                assert b"time is over for ann" in await example.stdout.readline()
            await until_over(client)
        finally:
            await caller.close()
