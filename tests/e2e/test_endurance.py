"""Many server restarts under load, many times joining and leaving: all streams come back, and nothing stays taken.

A few in `make test`; 200 and 1000 in `make soak`, about 30 minutes. RTCAGENT_TEST_SEED repeats a run's moments.
"""

import os
import random

import pytest

from tests.parts.daemon import Daemon
from tests.parts.endurance import WARM_UP_CYCLES, JoinCycles, Restarts, processor_load, seed
from tests.parts.room_server import RoomServer

GROWTH_BYTES = 20_000_000
PEAK_THREADS = 400  # of the engine; where no name server answers, joins leave threads that wait for it
LOAD = max(1, (os.cpu_count() or 1) // 2)


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(4, marks=pytest.mark.timeout(240)),
        pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
    ],
)
async def test_every_stream_is_back_after_each_restart_of_a_server_under_load(
    room_server: RoomServer, daemon: Daemon, count: int
) -> None:
    chosen = seed()
    print(f"RTCAGENT_TEST_SEED={chosen}")
    async with processor_load(LOAD):
        found = await Restarts(room_server, daemon, random.Random(chosen)).run(count)
    assert not found.failures
    assert len(found.back_s) == count
    assert not found.event_faults
    assert not found.overlaps
    assert found.thrown_out == 0, "the agent was in the room twice"
    assert found.engines_replaced == 0


@pytest.mark.parametrize(
    ("count", "warm_up", "spare"),
    [
        pytest.param(12, 4, 3, marks=pytest.mark.timeout(240)),
        pytest.param(1000, WARM_UP_CYCLES, 0, marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
    ],
)
async def test_joining_and_leaving_takes_nothing_for_good(
    room_server: RoomServer, daemon: Daemon, count: int, warm_up: int, spare: int
) -> None:
    chosen = seed()
    print(f"RTCAGENT_TEST_SEED={chosen}")
    found = await JoinCycles(room_server, daemon, random.Random(chosen)).run(count, warm_up=warm_up)
    assert not found.event_faults
    for name, before in found.before.items():
        after = found.after[name]
        assert after.is_within(before, spare), f"{name}: {before} before, {after} after"
        assert after.memory_bytes - before.memory_bytes < GROWTH_BYTES, f"{name}: {before} before, {after} after"
    assert found.peak["engine"].threads < PEAK_THREADS
    assert "error running user callback" not in daemon.log(), "the SDK told of a stream that nobody knew any more"
