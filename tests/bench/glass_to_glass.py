"""From a picture on one agent's display to the same picture on another's: shared, encoded, sent, decoded and shown."""

import asyncio
import time
from pathlib import Path

import numpy as np
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import AsyncClient
from Xlib import display  # type: ignore[import-untyped]

from tests.bench.report import Measurement, median, percentile
from tests.parts import screenshot
from tests.parts.daemon import NAME, Daemon
from tests.parts.picture import Picture
from tests.parts.room_server import RoomServer
from tests.parts.xvfb import Xvfb

WIDTH, HEIGHT = 640, 360
BITS = 16  # of milliseconds: 65 s
SAMPLES = 150
AIM_MS = 150


async def measure(folder: Path) -> Measurement:
    result = Measurement(
        f"Glass to glass on loopback: a clock on a display of {WIDTH}x{HEIGHT} that one agent shares at 30, "
        "and that another shows full screen (VP8; both displays Xvfb)"
    )
    async with RoomServer(folder) as server, Xvfb(WIDTH, HEIGHT) as here, Xvfb(WIDTH, HEIGHT) as there:
        settings = {"display": {"default_layout": False}}
        (folder / "sender").mkdir()
        (folder / "viewer").mkdir()
        sender = Daemon(folder / "sender", room_server=server, environment=here.environment, settings=settings)
        viewer = Daemon(folder / "viewer", room_server=server, environment=there.environment, settings=settings)
        clock = asyncio.create_task(_show_time(here.display))
        try:
            await asyncio.gather(sender.start(), viewer.start())
            async with AsyncClient.connect(sender.address) as out, AsyncClient.connect(viewer.address) as shown:
                await out.join_room("room")
                await shown.join_room("room", user_id="viewer")
                await out.start_screen_capture(max_fps=30, hide_cursor=True)
                await out.publish_stream("room", "screen")
                await shown.set_remote_video_canvas("room", NAME, kind=ty.STREAM_KIND_SCREEN, check=False)
                delays = await _delays(there.display)
        finally:
            clock.cancel()
            await asyncio.gather(sender.close(), viewer.close())
    p50 = median(delays)
    result.add("latency, p50", f"{p50:.0f} ms", f"under {AIM_MS} ms", p50 < AIM_MS)
    result.add("latency, p95", f"{percentile(delays, 0.95):.0f} ms")
    result.raw = {"delays_ms": delays}
    return result


async def _show_time(name: str) -> None:
    """Milliseconds as black and white fields, changed 60 times a second."""
    x = display.Display(name)
    screen = x.screen()
    window = screen.root.create_window(0, 0, WIDTH, HEIGHT, 0, screen.root_depth, override_redirect=True)
    window.map()
    white = window.create_gc(foreground=0xFFFFFF)
    black = window.create_gc(foreground=0)
    part = WIDTH // BITS
    while True:
        now = _now_ms()
        for bit in range(BITS):
            window.fill_rectangle(white if now >> bit & 1 else black, bit * part, 0, part, HEIGHT)
        x.sync()
        await asyncio.sleep(1 / 60)


async def _delays(name: str) -> list[float]:
    """What the clock on the far display is behind, each time that it shows another time."""
    delays: list[float] = []
    last = -1
    end = time.monotonic() + 60
    while len(delays) < SAMPLES and time.monotonic() < end:
        picture = await screenshot.of_x11(name)
        seen_at = _now_ms()
        shown = _read(picture)
        if shown is None or shown == last:
            continue
        if last >= 0:
            delays.append(float((seen_at - shown) % (1 << BITS)))
        last = shown
    if len(delays) < SAMPLES:
        raise RuntimeError(f"only {len(delays)} times were read from the far display")
    return delays


def _read(picture: Picture) -> int | None:
    """The time that is shown; None where a field is neither black nor white (between two pictures, or none)."""
    part = WIDTH // BITS
    value = 0
    for bit in range(BITS):
        light = float(
            np.mean(picture[HEIGHT // 4 : 3 * HEIGHT // 4, bit * part + part // 4 : bit * part + 3 * part // 4])
        )
        if 60 < light < 195:
            return None
        value |= (light >= 195) << bit
    return value or None


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000 % (1 << BITS)
