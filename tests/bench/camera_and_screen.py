"""Processor of an agent that publishes a camera and a screen at once, and of each alone."""

import asyncio
import time
from pathlib import Path

from rtcagent_client import AsyncClient, inputs

from tests.bench.report import Measurement
from tests.parts import processes
from tests.parts.daemon import NAME, Daemon
from tests.parts.listener import Listener
from tests.parts.room_server import RoomServer
from tests.parts.x_windows import XWindows
from tests.parts.xvfb import Xvfb

SETTLE_FRAMES = 90
WINDOW_S = 10.0
COLOURS = ("red", "green", "blue")


async def measure(folder: Path) -> Measurement:
    result = Measurement(
        "Camera 1280x720 at 30 (test picture) and screen 1920x1080 at 15, VP8; all processes of the agent"
    )
    cores: dict[str, float] = {}
    async with RoomServer(folder) as server, Xvfb(1920, 1080) as screen:
        daemon = Daemon(folder, room_server=server, environment=screen.environment)
        listener = Listener()
        with XWindows(screen.display) as windows:
            window = windows.open("film", "red", 200, 200, 640, 360)
            moving = asyncio.create_task(_change(window))
            try:
                await daemon.start()
                async with AsyncClient.connect(daemon.address) as client:
                    await listener.join(server.url, server.token("room", "listener"))
                    await client.join_room("room", auto_publish=False)
                    await client.start_video_capture(input=inputs.test_pattern(), width=1280, height=720, max_fps=30)
                    await client.start_screen_capture(max_fps=15)
                    for what, streams in (
                        ("camera", ["camera"]),
                        ("screen", ["screen"]),
                        ("both", ["camera", "screen"]),
                    ):
                        for stream in streams:
                            await client.publish_stream("room", stream)
                        for stream in streams:
                            await listener.frames(NAME, stream, count=SETTLE_FRAMES, timeout_ms=60_000)
                        pids, begin = daemon.pids(), time.monotonic()
                        before = processes.cpu_s(pids)
                        await asyncio.sleep(WINDOW_S)
                        cores[what] = (processes.cpu_s(pids) - before) / (time.monotonic() - begin)
                        for stream in streams:
                            await client.unpublish_stream("room", stream)
            finally:
                moving.cancel()
                await listener.close()
                await daemon.close()
    for what, used in cores.items():
        result.add(f"published: {what} (both are captured all along)", f"{used:.2f} core")
    share = cores["both"] / (cores["camera"] + cores["screen"])
    result.add("both, to the sum of each alone", f"{share:.2f} times")
    result.raw = dict(cores)
    return result


async def _change(window: object) -> None:
    """Something to be captured at each look."""
    for number in range(1 << 30):
        await asyncio.to_thread(window.colour, COLOURS[number % len(COLOURS)])  # type: ignore[attr-defined]
        await asyncio.sleep(1 / 30)
