"""What a canvas costs: a 720p30 picture on a display of 1280x720 and of 1920x1080, and how late it is."""

import asyncio
import time
from pathlib import Path

from rtcagentd.engine import _native

from tests.bench.report import Measurement, median, percentile
from tests.parts.xvfb import Xvfb

MEASURED_S = 8.0
WARM_UP_S = 1.0


async def measure(folder: Path) -> Measurement:
    result = Measurement("A local source of 1280x720 at 30 on the display of an X server (Xvfb, in software)")
    for width, height in ((1280, 720), (1920, 1080)):
        async with Xvfb(width, height) as screen:
            alone, _, _ = await _cost(screen, width, height, shown=False)
            together, latencies, frames = await _cost(screen, width, height, shown=True)
        what = f"full screen on {width}x{height}"
        result.add(f"{what}: processor of the canvas, without the server's", f"{together - alone:.3f} core")
        result.add(f"{what}: pictures shown a second", f"{frames:.1f}")
        result.add(
            f"{what}: from the capture to the display server, p50 and p95",
            f"{median(latencies):.1f} ms, {percentile(latencies, 0.95):.1f} ms",
        )
        result.raw[f"{width}x{height}"] = {"cores": together - alone, "latencies_ms": latencies}
    return result


async def _cost(screen: Xvfb, width: int, height: int, *, shown: bool) -> tuple[float, list[float], float]:
    """Cores of this process, latencies in ms, pictures per second."""
    events = _native.EventQueue()
    settings = _native.CaptureSettings()
    settings.pattern, settings.width, settings.height, settings.fps = "bars_and_clock", 1280, 720, 30
    capture = _native.Capture("camera", settings, events)
    tap = _native.VideoTap("tap", events)
    stage = _native.CanvasStage("stage", "", screen.display, events)
    if shown:
        spec = _native.CanvasSpec()
        spec.canvas_id, spec.display, spec.fit, spec.tap = "canvas", stage.displays()[0].display_id, "fit", tap
        spec.set_rect(0, 0, width, height)
        stage.set_scene([spec])
        capture.attach(tap)
    await asyncio.to_thread(capture.start)
    latencies: list[float] = []
    try:
        await asyncio.sleep(WARM_UP_S)
        begin, cpu, before = time.monotonic(), time.process_time(), stage.stats().presented
        while (now := time.monotonic()) < begin + MEASURED_S:
            await asyncio.sleep(0.033)
            latencies.append(stage.stats().latency_us / 1000)
        cores = (time.process_time() - cpu) / (now - begin)
        frames = (stage.stats().presented - before) / (now - begin)
    finally:
        await asyncio.to_thread(capture.stop)
        await asyncio.to_thread(stage.stop)
    return cores, latencies, frames
