"""clients/python/examples/answer.py with a real caller: rings in the lobby, is seen in the call's room, and leaves."""

import asyncio
import os
import sys
from pathlib import Path

from rtcagent_client import AsyncClient

from tests.parts.correspondent import Correspondent
from tests.parts.daemon import NAME, Daemon
from tests.parts.listener import Listener
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until

EXAMPLE = Path(__file__).parents[2] / "clients" / "python" / "examples" / "answer.py"
START_S = 20


async def test_a_ring_is_answered_and_the_call_ends_with_its_caller(
    daemon: Daemon, room_server: RoomServer, listener: Listener
) -> None:
    example = await asyncio.create_subprocess_exec(
        *(sys.executable, EXAMPLE, "--room", "desk", "--wait", "30", "--test-picture"),
        env={**os.environ, "RTCAGENT_ADDRESS": daemon.address},
        stdout=asyncio.subprocess.PIPE,
    )
    caller = Correspondent()
    try:
        assert example.stdout is not None
        async with asyncio.timeout(START_S):
            assert b"waiting for rings" in await example.stdout.readline()
        await caller.join(room_server.url, room_server.token("lobby", "ann"))
        await caller.sees(NAME)
        await caller.room.local_participant.send_text("let me in", topic="ring")
        assert (await caller.letter("answer")).content == b"desk"
        await listener.join(room_server.url, room_server.token("desk", "ann"))
        await listener.frames(NAME, "camera", count=5, timeout_ms=20_000)
        async with AsyncClient.connect(daemon.address) as client:
            sources = {each.source_id for each in (await client.get_desired_state()).streams}
            assert sources == {"camera", "microphone"}
            await listener.close()

            async def is_over() -> bool:
                desired = await client.get_desired_state()
                return [room.config.room_id for room in desired.rooms] == ["lobby"] and not desired.captures

            await until(is_over, timeout_ms=20_000, what="the call is over, and the agent waits in the lobby")
        assert example.returncode is None
    finally:
        if example.returncode is None:
            example.terminate()
        await example.wait()
        await caller.close()
