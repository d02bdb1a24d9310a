"""A network camera that goes away and comes back while another source is sent: how soon viewers see its slate and its
pictures again, and the longest gap between frames of the other source.
"""

import contextlib
import time
from pathlib import Path

import numpy as np
from rtcagent.v1 import types_pb2 as ty

from tests.bench.report import Measurement, median
from tests.parts.controller import bars
from tests.parts.daemon import NAME, Daemon
from tests.parts.listener import Listener
from tests.parts.picture import Picture
from tests.parts.room_server import RoomServer
from tests.parts.rtsp import rtsp_server
from tests.parts.slate import shows_slate

TIMES = 5
GAP_AIM_MS, SLATE_AIM_MS, LIVE_AIM_MS = 100, 1_000, 3_000
WITHIN_MS = 15_000


async def measure(folder: Path) -> Measurement:
    slate_ms: list[float] = []
    live_ms: list[float] = []
    gaps_ms: list[float] = []
    calm_ms: list[float] = []
    sids: set[str] = set()
    async with RoomServer(folder) as server, contextlib.AsyncExitStack() as parts:
        daemon = Daemon(folder, room_server=server)
        parts.push_async_callback(daemon.close)
        listener = Listener()
        parts.push_async_callback(listener.close)
        await daemon.start()
        control = daemon.control
        await listener.join(server.url, server.token("room", "listener"))
        await control.join("room")
        await control.start_capture(bars(640, 360), source_id="other")
        other = await listener.frames(NAME, "other", count=60)
        camera = await parts.enter_async_context(contextlib.AsyncExitStack())
        port = await camera.enter_async_context(rtsp_server())
        rtsp = ty.VideoInput(rtsp=ty.VideoInput.Rtsp(url=f"rtsp://127.0.0.1:{port}/camera"))
        await control.start_capture(ty.CaptureConfig(input=rtsp))
        await listener.picture(NAME, "camera", until=_is_live, timeout_ms=WITHIN_MS)
        for _ in range(TIMES):
            begin = time.monotonic()
            await listener.frames(NAME, "other", count=60)
            calm_ms.append(other.longest_gap_ms(begin, time.monotonic()))
            begin = time.monotonic()
            await camera.aclose()
            gone = time.monotonic()
            await listener.picture(NAME, "camera", until=shows_slate, timeout_ms=WITHIN_MS)
            slate_ms.append((time.monotonic() - gone) * 1000)
            await camera.enter_async_context(rtsp_server(port))
            back = time.monotonic()
            await listener.picture(NAME, "camera", until=_is_live, timeout_ms=WITHIN_MS)
            live_ms.append((time.monotonic() - back) * 1000)
            await listener.frames(NAME, "other", count=10)
            gaps_ms.append(other.longest_gap_ms(begin, time.monotonic()))
            sids.add(listener.video(NAME, "camera").sid)
    result = Measurement(f"A network camera goes away and comes back, {TIMES} times, while another source is sent")
    _add(result, "slate seen after its end: median, longest", slate_ms, SLATE_AIM_MS)
    _add(result, "pictures seen after it answers again: median, longest", live_ms, LIVE_AIM_MS)
    _add(result, "longest gap between frames of the other source: median, longest", gaps_ms, GAP_AIM_MS)
    result.add("the same without the fault: longest", f"{max(calm_ms):.0f} ms")
    result.add("tracks that viewers saw of it", str(len(sids)), "1", len(sids) == 1)
    result.raw = {"slate_ms": slate_ms, "live_ms": live_ms, "gaps_ms": gaps_ms, "calm_gaps_ms": calm_ms}
    return result


def _add(result: Measurement, what: str, values_ms: list[float], aim_ms: float) -> None:
    text = f"{median(values_ms):.0f}, {max(values_ms):.0f} ms"
    result.add(what, text, f"at most {aim_ms} ms", max(values_ms) <= aim_ms)


def _is_live(picture: Picture) -> bool:
    """Colour bars: bright colours over the whole width."""
    row = picture[picture.shape[0] // 4].astype(int)
    return bool(np.mean(row.max(axis=1) - row.min(axis=1) > 60) > 0.5)
