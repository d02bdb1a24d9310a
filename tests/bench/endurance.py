"""200 restarts of the room server under load, 1000 times joining and leaving: what comes back, and what stays taken.

About 40 minutes. RTCAGENT_BENCH_RESTARTS and RTCAGENT_BENCH_CYCLES make it shorter.

The SDK (livekit 1.2.1) never gives back 0.4 MB of each room in which somebody else publishes when it is left, whether
or not the stream is subscribed, and in whatever order handles are dropped. So the bare SDK is measured beside it, and
the limit engine.max_rss_mb is what bounds it: the engine is replaced in good order.
"""

import os
import random
import sys
from pathlib import Path

from tests.bench.report import Measurement, median
from tests.parts.daemon import Daemon
from tests.parts.endurance import (
    CyclesResult,
    JoinCycles,
    Restarts,
    RestartsResult,
    bare_growth_bytes,
    folder_of,
    processor_load,
    seed,
)
from tests.parts.room_server import RoomServer

RESTARTS = int(os.environ.get("RTCAGENT_BENCH_RESTARTS", "200"))
CYCLES = int(os.environ.get("RTCAGENT_BENCH_CYCLES", "1000"))
GROWTH_AIM_BYTES = 20_000_000
BESIDE_PUBLISHER_CYCLES = min(100, CYCLES)


async def measure(folder: Path) -> Measurement:
    chosen = seed()
    tell(f"RTCAGENT_TEST_SEED={chosen}")
    result = Measurement("Endurance: server restarts under load, joining and leaving")
    result.raw["seed"] = chosen
    if RESTARTS:
        _add_restarts(result, await restarts(folder_of(folder, "restarts"), RESTARTS, random.Random(chosen)))
    if CYCLES:
        _add_cycles(result, await cycles(folder_of(folder, "cycles"), CYCLES, random.Random(chosen)))
        await _add_beside_publisher(result, folder, random.Random(chosen))
    return result


async def restarts(folder: Path, count: int, chance: random.Random) -> RestartsResult:
    async with RoomServer(folder) as server:
        daemon = Daemon(folder, room_server=server)
        try:
            await daemon.start()
            async with processor_load(max(1, (os.cpu_count() or 1) // 2)):
                return await Restarts(server, daemon, chance).run(count, tell)
        finally:
            await daemon.close()


async def cycles(folder: Path, count: int, chance: random.Random, *, beside_publisher: bool = False) -> CyclesResult:
    async with RoomServer(folder) as server:
        daemon = Daemon(folder, room_server=server)
        try:
            await daemon.start()
            return await JoinCycles(server, daemon, chance, beside_publisher=beside_publisher).run(count, tell)
        finally:
            await daemon.close()


async def _add_beside_publisher(result: Measurement, folder: Path, chance: random.Random) -> None:
    count = BESIDE_PUBLISHER_CYCLES
    ours = await cycles(folder_of(folder, "beside"), count, chance, beside_publisher=True)
    grown = (ours.after["engine"].memory_bytes - ours.before["engine"].memory_bytes) / count
    async with RoomServer(folder_of(folder, "bare")) as server:
        bare = await bare_growth_bytes(server, count)
    shown = f"{grown / 1e6:.2f} MB, {bare / 1e6:.2f} MB"
    result.add("memory kept of each room left in which another user publishes: engine, bare SDK", shown)


def tell(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def _add_restarts(result: Measurement, found: RestartsResult) -> None:
    whole = len(found.back_s)
    total = whole + len(found.failures)
    result.add(
        f"restarts after which a new subscriber saw both streams ({found.kills} kills)",
        f"{whole} of {total}",
        f"{total} of {total}",
        not found.failures,
    )
    shown = f"{median(found.back_s):.2f} s, {max(found.back_s):.2f} s"
    result.add("from the server's return to the later stream at the subscriber: p50, slowest", shown)
    twice = found.thrown_out + len(found.overlaps)
    result.add("connections beside one of the same room that was not closed", f"{twice}", "0", twice == 0)
    result.add("engines replaced meanwhile", f"{found.engines_replaced}")
    for name, before in found.before.items():
        result.add(f"{name}: before the first restart; after the last one", f"{before}; {found.after[name]}")
    _add_events(result, "restarts", found.event_count, found.event_faults)
    result.raw["restarts"] = {"back_s": found.back_s, "failures": found.failures, "overlaps": found.overlaps}


def _add_cycles(result: Measurement, found: CyclesResult) -> None:
    made = found.trend[-1][0]
    for name, before in found.before.items():
        after, peak = found.after[name], found.peak[name]
        growth = after.memory_bytes - before.memory_bytes
        result.add(
            f"{name}, {made} cycles: memory before, at the highest, after",
            f"{before.memory_bytes / 1e6:.1f}, {peak.memory_bytes / 1e6:.1f}, {after.memory_bytes / 1e6:.1f} MB",
            f"+{GROWTH_AIM_BYTES / 1e6:g} MB",
            growth <= GROWTH_AIM_BYTES,
        )
        for what in ("descriptors", "threads"):
            values = [getattr(each, what) for each in (before, peak, after)]
            shown = ", ".join(str(value) for value in values)
            result.add(f"{name}: {what} before, at the highest, after", shown, "±0", values[2] <= values[0])
    result.add("a cycle", f"{found.seconds / made * 1000:.0f} ms")
    _add_events(result, "cycles", found.event_count, found.event_faults)
    result.raw["cycles"] = {
        "fresh": {name: vars(each) for name, each in found.fresh.items()},
        "trend": [[count, {name: vars(each) for name, each in usage.items()}] for count, usage in found.trend],
    }


def _add_events(result: Measurement, during: str, count: int, faults: list[str]) -> None:
    lost = f"{len(faults)} of {count}"
    result.add(f"events lost or out of order during the {during}", lost, "0", not faults)
