"""200 events a second to 1, 50 and 200 watchers: is any lost, how late are they, and what does the daemon spend on it?
Beside the 200, five further watchers take their first message and then read nothing more.

The events are those of real orders, each stored and synced. The delay is from the sending of the order to the event's
arrival at a watcher, so it holds the order's own way and its sync to disk too.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rtcagent.v1 import devices_pb2 as dv
from rtcagent.v1 import types_pb2 as ty

from tests.bench.report import Measurement, percentile
from tests.parts import processes
from tests.parts.controller import Controller
from tests.parts.daemon import Daemon

WATCHERS = (1, 50, 200)
EVENTS_PER_S = 200
SECONDS = 10
PER_PROCESS = 50
STALLED = 5  # beside the most watchers
AIM_P99_MS, AIM_CORES, AIM_GROWTH_MB = 50, 0.6, 16
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Run:
    """What one number of watchers gave."""

    lost: int
    p50_ms: float
    p99_ms: float
    cores: float
    rate: float
    growth_mb: float  # of the daemon's memory, while the events came


async def measure(folder: Path) -> Measurement:
    result = Measurement(f"{EVENTS_PER_S} events a second to many watchers, each event an order")
    daemon = Daemon(folder, settings={"log_level": "info"})
    try:
        await daemon.start()
        alone = await _run(daemon, 0, folder)
        result.add("the orders alone, no watcher: processor of the daemon", f"{alone.cores:.2f} core")
        for count in WATCHERS:
            run = await _run(daemon, count, folder)
            result.raw[str(count)] = run.__dict__
            aimed = count == max(WATCHERS)
            result.add(f"{count} watchers: lost events", str(run.lost), "0", run.lost == 0)
            result.add(
                f"{count} watchers: p50, p99, processor of the daemon ({run.rate:.0f} events/s)",
                f"{run.p50_ms:.1f} ms, {run.p99_ms:.1f} ms, {run.cores:.2f} core",
                f"p99 at most {AIM_P99_MS} ms, {AIM_CORES} core" if aimed else "",
                run.p99_ms <= AIM_P99_MS and run.cores <= AIM_CORES if aimed else None,
            )
            result.add(
                f"{count} watchers{f' and {STALLED} stalled ones' if aimed else ''}: growth of the daemon's memory",
                f"{run.growth_mb:.1f} MB",
                f"at most {AIM_GROWTH_MB} MB" if aimed else "",
                run.growth_mb <= AIM_GROWTH_MB if aimed else None,
            )
    finally:
        await daemon.close()
    return result


async def _run(daemon: Daemon, count: int, folder: Path) -> Run:
    files = [folder / f"seen-{count}-{number}.npy" for number in range(0, count, PER_PROCESS)]
    async with contextlib.AsyncExitStack() as watching:
        for number, file in enumerate(files):
            size = min(PER_PROCESS, count - number * PER_PROCESS)
            stalled = STALLED if count == max(WATCHERS) and not number else 0
            await watching.enter_async_context(_watchers(daemon.socket, size, stalled, file))
        memory = processes.pss_bytes([daemon.pid])
        cpu, begin = processes.cpu_s([daemon.pid]), time.monotonic()
        sent = await _orders(daemon.control)
        taken = time.monotonic() - begin
        cores = (processes.cpu_s([daemon.pid]) - cpu) / taken
        growth_mb = (processes.pss_bytes([daemon.pid]) - memory) / 1e6
    if not count:
        return Run(0, 0.0, 0.0, cores, len(sent) / taken, growth_mb)
    delays: list[float] = []
    lost = 0
    for file in files:
        rows = np.load(file)
        for number in np.unique(rows[:, 0]):
            mine = rows[rows[:, 0] == number]
            if not (np.diff(mine[:, 1]) == 1).all():
                raise RuntimeError("a watcher saw events out of order, twice, or with a hole")
            arrived = dict(zip(mine[:, 2].astype(int).tolist(), mine[:, 3].tolist(), strict=True))
            lost += sum(1 for revision in sent if revision not in arrived)
            delays += [(arrived[revision] - at) * 1000 for revision, at in sent.items() if revision in arrived]
    return Run(lost, percentile(delays, 0.5), percentile(delays, 0.99), cores, len(sent) / taken, growth_mb)


async def _orders(control: Controller) -> dict[int, float]:
    """Give one order every 5 ms, whatever became of those before. Returns when each revision's order was sent."""
    sent: dict[int, float] = {}

    async def order(index: int) -> None:
        slot = ty.Slot(name="bench", matches=[ty.Slot.Match(serial=str(time.monotonic_ns() + index))])
        at = time.monotonic()
        answer = await control.devices.SetSlot(
            dv.SetSlotRequest(slot=slot, order=ty.OrderOptions(wait_ms=0)), timeout=30
        )
        sent[answer.result.revision] = at

    begin = time.monotonic()
    async with asyncio.TaskGroup() as orders:
        for index in range(EVENTS_PER_S * SECONDS):
            await asyncio.sleep(max(0.0, begin + index / EVENTS_PER_S - time.monotonic()))
            orders.create_task(order(index))
    return sent


@contextlib.asynccontextmanager
async def _watchers(socket: Path, count: int, stalled: int, file: Path) -> AsyncIterator[None]:
    """A process of watchers that are under way; at the end it has written down what they saw."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.bench.light_watcher", str(socket), str(count), str(stalled), str(file)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if await process.stdout.readline() != b"ready\n":
            raise RuntimeError("the watchers did not begin")
        yield
        await asyncio.sleep(1)  # the last events are on their way; what comes later than this is lost
        process.stdin.close()
        problems = await process.stdout.read()
        if problems:
            raise RuntimeError(f"watchers were refused: {problems.decode()}")
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
