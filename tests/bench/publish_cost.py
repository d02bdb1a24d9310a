"""Processor time and memory of publishing 1280x720 at 30 fps, VP8 at 2 Mbps: this project, Chromium, the bare SDK."""

import asyncio
import time
from pathlib import Path

from tests.bench.publishers import (
    FPS,
    HEIGHT,
    STREAM,
    WIDTH,
    AgentPublishing,
    BarePublishing,
    ChromiumPublishing,
    Publisher,
)
from tests.bench.report import Measurement, median
from tests.parts import processes
from tests.parts.listener import Listener
from tests.parts.room_server import RoomServer

ROUNDS = 3
SETTLE_S = 5  # until the rate control has found 2 Mbps
WINDOW_S = 20
# libwebrtc's own thread for encoding. Chromium encodes on threads that do other things too: that is an upper bound.
ENCODER_THREADS = ("VideoEncoderQue", "ThreadPoolPrese", "ThreadPoolForeg")


async def measure(folder: Path) -> Measurement:
    cores: dict[str, list[float]] = {}
    encoders: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}
    received: dict[str, list[tuple[float, float]]] = {}
    threads: dict[str, dict[str, float]] = {}
    async with RoomServer(folder) as server:
        for turn in range(ROUNDS):
            publishers: list[Publisher] = [
                AgentPublishing(server, f"agent-{turn}", folder / f"agent-{turn}"),
                ChromiumPublishing(server, f"chromium-{turn}"),
                BarePublishing(server, f"bare-{turn}"),
            ]
            for publisher in publishers:
                listener = Listener()
                room_id = f"{publisher.user_id}-{turn}"
                try:
                    await listener.join(server.url, server.token(room_id, "listener"))
                    async with publisher:
                        await listener.frames(publisher.user_id, STREAM, count=FPS * SETTLE_S, timeout_ms=30_000)
                        used, by_thread, seen = await _window(publisher, listener)
                        cores.setdefault(publisher.user_id, []).append(used)
                        encoding = sum(each for name, each in by_thread.items() if name.startswith(ENCODER_THREADS))
                        encoders.setdefault(publisher.user_id, []).append(encoding)
                        pss = processes.pss_bytes(publisher.pids()) / 1e6
                        memory.setdefault(publisher.user_id, []).append(pss)
                        received.setdefault(publisher.user_id, []).append(seen)
                        threads[publisher.user_id] = by_thread
                finally:
                    await listener.close()
    return _report(cores, encoders, memory, received, threads)


async def _window(publisher: Publisher, listener: Listener) -> tuple[float, dict[str, float], tuple[float, float]]:
    """Cores used, cores by thread, and frames and megabits per second that arrived."""
    pids = publisher.pids()
    video = listener.video(publisher.user_id, STREAM)
    bytes_before = await listener.bytes_received(publisher.user_id, STREAM)
    before, threads_before, begin = processes.cpu_s(pids), processes.thread_cpu_s(pids), time.monotonic()
    await asyncio.sleep(WINDOW_S)
    used, threads_after, end = processes.cpu_s(pids) - before, processes.thread_cpu_s(pids), time.monotonic()
    bits = (await listener.bytes_received(publisher.user_id, STREAM) - bytes_before) * 8
    if video.size() != (WIDTH, HEIGHT) or await listener.codec(publisher.user_id, STREAM) != "VP8":
        raise RuntimeError(f"{publisher.user_id} sent {video.size()}, not {WIDTH}x{HEIGHT} in VP8: nothing to compare")
    by_thread = {
        name: round((after - threads_before.get(name, 0.0)) / (end - begin), 4) for name, after in threads_after.items()
    }
    in_order = dict(sorted(by_thread.items(), key=lambda item: -item[1])[:12])
    return used / (end - begin), in_order, (video.fps(begin, end), bits / (end - begin) / 1e6)


def _report(
    cores: dict[str, list[float]],
    encoders: dict[str, list[float]],
    memory: dict[str, list[float]],
    received: dict[str, list[tuple[float, float]]],
    threads: dict[str, dict[str, float]],
) -> Measurement:
    result = Measurement("Publishing 1280x720 at 30 fps, VP8, 2 Mbps")
    for name, label in {"agent": "rtcagent", "chromium": "Chromium", "bare": "bare SDK"}.items():
        fps, mbps = median([each[0] for each in received[name]]), median([each[1] for each in received[name]])
        result.add(
            f"{label}: processor, of it the threads that encode; memory (PSS)",
            f"{median(cores[name]):.2f} core, {median(encoders[name]):.2f}; {median(memory[name]):.0f} MB "
            f"({fps:.1f} fps and {mbps:.2f} Mbps arrive)",
        )
    _compare(result, "processor, rtcagent to Chromium", cores["agent"], cores["chromium"], 0.85)
    _compare(result, "processor, rtcagent to the bare SDK", cores["agent"], cores["bare"], 1.0)
    _compare(result, "memory, rtcagent to Chromium", memory["agent"], memory["chromium"], 0.4)
    result.raw = {"cores": cores, "encoders": encoders, "memory_mb": memory, "received": received, "threads": threads}
    return result


def _compare(result: Measurement, what: str, ours: list[float], theirs: list[float], aim: float) -> None:
    """Round by round, since what else the machine does changes from one round to the next."""
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    shown = f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f} in {len(ratios)} rounds)"
    result.add(what, shown, f"at most {aim}", median(ratios) <= aim)
