"""What the default layout costs with nine others, and how much of it is the engine's interpreter."""

import asyncio
import time
from pathlib import Path

import numpy as np
from rtcagent_client import AsyncClient

from tests.bench.report import Measurement
from tests.parts import processes
from tests.parts.bare_publisher import BarePublisher, still
from tests.parts.daemon import Daemon
from tests.parts.picture import make_bars
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until
from tests.parts.xvfb import Xvfb

PEOPLE = 9
FPS = 15
WINDOW_S = 15.0
AIM_CORES = 1.0  # of the two


async def measure(folder: Path) -> Measurement:
    result = Measurement(
        f"{PEOPLE} participants of 320x180 at {FPS} on the default layout of a 1920x1080 display (Xvfb)"
    )
    people: list[BarePublisher] = []
    async with RoomServer(folder) as server, Xvfb(1920, 1080) as screen:
        settings = {"display": {"default_layout": True}}
        daemon = Daemon(folder, room_server=server, environment=screen.environment, settings=settings)
        try:
            await daemon.start()
            async with AsyncClient.connect(daemon.address) as client:
                await client.join_room("room")
                for number in range(PEOPLE):
                    person = BarePublisher("camera")
                    people.append(person)
                    await person.capture(still(np.roll(make_bars(320, 180), 30 * number, axis=1).copy()), fps=FPS)
                    await person.join(server.url, server.token("room", f"user{number}"))
                    await person.publish(200_000, FPS)

                async def is_full() -> bool:
                    return len(await _received(client)) == PEOPLE

                await until(is_full, timeout_ms=60_000, what="pictures of everybody come")
                pid, pids = await daemon.engine_pid(), daemon.pids()
                before, interpreter = processes.cpu_s(pids), _main_thread_s(pid)
                frames, begin = await _received(client), time.monotonic()
                await asyncio.sleep(WINDOW_S)
                taken = time.monotonic() - begin
                cores = (processes.cpu_s(pids) - before) / taken
                python = (_main_thread_s(pid) - interpreter) / taken
                later = await _received(client)
        finally:
            for person in people:
                await person.close()
            await daemon.close()
    rates = [(later[user] - count) / taken for user, count in frames.items()]
    result.add("processor of the agent", f"{cores:.2f} core", f"at most {AIM_CORES:g} of two cores", cores <= AIM_CORES)
    result.add("of it the engine's interpreter", f"{python:.2f} core, {python / cores:.0%}")
    result.add("pictures received of each, a second", f"{min(rates):.1f} to {max(rates):.1f}", f"{FPS}")
    result.raw = {"cores": cores, "interpreter_cores": python, "fps": rates}
    return result


async def _received(client: AsyncClient) -> dict[str, int]:
    stats = (await client.get_capture_stats()).remote_streams
    return {one.user_id: one.frames_received for one in stats if one.frames_received}


def _main_thread_s(pid: int) -> float:
    """Seconds of processor of the thread that the interpreter's event loop runs on."""
    fields = Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
