"""How long a second participant, on the server's side, sees nothing after an outage; how soon it is told. Needs root.

The network between agent and room server is cut in its middle, at a router of its own. 100 s stand for ten minutes
without a server: from 90 s on the agent looks for its server once a second, however long that goes on.
"""

import itertools
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from rtcagent.v1 import state_pb2 as st

from tests.bench.report import Measurement, median
from tests.parts.controller import Watcher, watching
from tests.parts.daemon import NAME
from tests.parts.far_server import CAMERA, ROOM, FarServer, lasts
from tests.parts.waiting import until

LIMIT_MS = 60_000.0
SETTLED_S = 3.0  # between faults: bandwidth estimates have come up again
NOTICED_AIM_S = 3.0


@dataclass
class Result:
    """Of one outage, in seconds."""

    again: float  # from the moment that the aim counts from, to the first picture
    noticed: float  # from the beginning of the outage to the event
    events_in_order: bool = True


@dataclass
class Case:
    """One kind of outage. `run` gives the moments of its beginning, and from which the aim counts."""

    label: str
    aim_s: float
    run: Callable[[FarServer], Awaitable[tuple[float, float]]]
    rounds: int = 1
    results: list[Result] = field(default_factory=list)


def server_down(seconds: float, *, from_kill: bool = False) -> Callable[[FarServer], Awaitable[tuple[float, float]]]:
    async def run(far: FarServer) -> tuple[float, float]:
        killed_at = time.monotonic()
        await far.server.kill()
        await far.listener.close()
        await lasts(killed_at, seconds)
        await far.server.start()
        back_at = time.monotonic()
        await far.listen()
        return killed_at, killed_at if from_kill else back_at

    return run


def link_down(seconds: float) -> Callable[[FarServer], Awaitable[tuple[float, float]]]:
    async def run(far: FarServer) -> tuple[float, float]:
        far.network.cut()
        cut_at = time.monotonic()
        await lasts(cut_at, seconds)
        far.network.mend()
        return cut_at, time.monotonic()

    return run


async def udp_blocked(far: FarServer) -> tuple[float, float]:
    far.network.cut("udp")
    cut_at = time.monotonic()
    return cut_at, cut_at + 0.5  # what was on its way arrives still


async def server_hangs(far: FarServer) -> tuple[float, float]:
    os.kill(far.server.pid, signal.SIGSTOP)
    hung_at = time.monotonic()
    await lasts(hung_at, 4)
    os.kill(far.server.pid, signal.SIGCONT)
    return hung_at, time.monotonic()


def cases() -> list[Case]:
    return [
        Case("server killed, back after 1 s without its state; from the kill", 2.5, server_down(1, from_kill=True), 5),
        Case("server down 10 s; from its return", 2.0, server_down(10), 2),
        Case("server down 45 s; from its return", 3.0, server_down(45)),
        Case("server down 100 s, for 10 minutes; from its return", 5.0, server_down(100)),
        Case("link down 2 s; from link up", 1.1, link_down(2), 3),
        Case("link down 5 s; from link up", 1.1, link_down(5), 5),
        Case("link down 20 s; from link up", 1.5, link_down(20), 2),
        Case("link down 60 s; from link up", 2.0, link_down(60)),
        Case("server hangs for 4 s; from its waking up", 2.0, server_hangs, 2),
        Case("UDP blocked; from the block", 6.0, udp_blocked, 1),
    ]


async def one(far: FarServer, case: Case) -> Result:
    await far.listener.frames(NAME, CAMERA, count=int(SETTLED_S * 30), timeout_ms=LIMIT_MS)
    async with watching(far.daemon.control) as watcher:
        begun_at, counts_from = await case.run(far)
        at = await far.frame_after(counts_from, timeout_ms=LIMIT_MS)
        await until(lambda: _is_live(far), timeout_ms=LIMIT_MS, what="the stream is told as live again")
        noticed = _noticed(watcher, begun_at)
        in_order = all(later.seq == event.seq + 1 for event, later in itertools.pairwise(watcher.events))
    print(f"    again after {at - counts_from:.2f} s, noticed after {noticed:.2f} s", file=sys.stderr, flush=True)
    return Result(at - counts_from, noticed, in_order)


async def _is_live(far: FarServer) -> bool:
    room = await far.daemon.control.room(ROOM)
    states = [each.media_state for each in room.publications] if room is not None else []
    return room is not None and room.state == st.ROOM_STATE_JOINED and states == [st.MEDIA_STATE_LIVE]


def _noticed(watcher: Watcher, begun_at: float) -> float:
    """The time of the first event that says that the room is not as it should be."""
    wall_minus_monotonic = time.time() - time.monotonic()
    for event in watcher.events:
        if event.room_state_changed.room.state in (st.ROOM_STATE_RECONNECTING, st.ROOM_STATE_WAITING):
            return event.at.ToNanoseconds() / 1e9 - wall_minus_monotonic - begun_at
    return 0.0


async def measure(folder: Path) -> Measurement:
    result = Measurement("Media again at a second participant after an outage, and when it is told")
    measured = cases()
    async with FarServer(folder) as far:
        for case in measured:
            for _ in range(case.rounds):
                print(f"  {case.label} ...", file=sys.stderr, flush=True)
                case.results.append(await one(far, case))
    for case in measured:
        times = [each.again for each in case.results]
        shown = f"{median(times):.2f} s" + (f", worst of {len(times)}: {max(times):.2f} s" if len(times) > 1 else "")
        result.add(case.label, shown, f"{case.aim_s:g} s", max(times) <= case.aim_s)
    every = [each for case in measured for each in case.results]
    told = [each.noticed for each in every if each.noticed > 0]
    latest = max(told)
    result.add("noticed, with an event: latest", f"{latest:.2f} s", f"{NOTICED_AIM_S:g} s", latest <= NOTICED_AIM_S)
    lost = sum(not each.events_in_order for each in every)
    result.add("outages in which an event was lost or out of order", f"{lost} of {len(every)}", "0", lost == 0)
    result.raw["seconds"] = {case.label: [[each.again, each.noticed] for each in case.results] for case in measured}
    return result
