"""300 agents join at once after their server's return: how long until all are in, with jitter and without."""

import asyncio
import random
import time
from pathlib import Path

import aiohttp
from rtcagentd.control.server_probe import EAGER_PACE_S

from tests.bench.report import Measurement, percentile
from tests.parts.room_server import RoomServer

AGENTS = 300
DEADLINE_S = 8.0  # the engine's for the signal connection
AIM_S = 5.0
QUERY = "auto_subscribe=0&sdk=python&version=1.0.0&protocol=15"


class Stampede:
    """Bare signal joins, each into a room of its own; they stay until the end."""

    def __init__(self, server: RoomServer, session: aiohttp.ClientSession) -> None:
        self._server, self._session = server, session
        self.joins: list[float] = []  # how long each took, in seconds
        self.failed = 0
        self.all_in = 0.0

    async def run(self, delays: list[float]) -> None:
        begin = time.monotonic()
        sockets = await asyncio.gather(*(self._join(number, delay) for number, delay in enumerate(delays)))
        self.all_in = time.monotonic() - begin
        await asyncio.gather(*(socket.close() for socket in sockets if socket is not None))

    async def _join(self, number: int, delay: float) -> aiohttp.ClientWebSocketResponse | None:
        token = self._server.token(f"room-{number}", "agent")
        await asyncio.sleep(delay)
        begin = time.monotonic()
        try:
            async with asyncio.timeout(DEADLINE_S):
                url = f"{self._server.url}/rtc?access_token={token}&{QUERY}"
                socket = await self._session.ws_connect(url)
                await socket.receive_bytes()  # the answer to the join
        except (TimeoutError, aiohttp.ClientError, TypeError):
            self.failed += 1
            return None
        self.joins.append(time.monotonic() - begin)
        return socket


async def measure(folder: Path) -> Measurement:
    result = Measurement(f"{AGENTS} agents join after one server's return")
    windows = {
        "all at the same moment": 0.0,
        "each as it looks for the server, spread_ms = 0": EAGER_PACE_S,
        "default, spread_ms = 300": EAGER_PACE_S + 0.3,
        "spread_ms = 10000": EAGER_PACE_S + 10.0,
    }
    for number, (label, window_s) in enumerate(windows.items()):
        server_folder = folder / str(number)
        server_folder.mkdir()
        connector = aiohttp.TCPConnector(limit=0)
        async with RoomServer(server_folder) as server, aiohttp.ClientSession(connector=connector) as session:
            stampede = Stampede(server, session)
            await stampede.run([random.uniform(0, window_s) for _ in range(AGENTS)])
        slowest = max(stampede.joins)
        shown = f"{percentile(stampede.joins, 0.5) * 1000:.0f} ms, slowest {slowest * 1000:.0f} ms"
        met = (stampede.failed == 0 and slowest < AIM_S) if window_s else None
        aim = f"0 failed, slowest below {AIM_S:g} s" if window_s else ""
        result.add(
            f"{label}: a join; all in after; failed", f"{shown}; {stampede.all_in:.1f} s; {stampede.failed}", aim, met
        )
        result.raw[label] = sorted(stampede.joins)
    return result
