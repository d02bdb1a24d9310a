"""An agent with two streams that goes through many server restarts, or joins and leaves many times, and what it costs.

The soak tests (tests/e2e/test_endurance.py) judge it, the measurement (tests/bench/endurance.py) tells it.
"""

import asyncio
import contextlib
import os
import random
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from rtcagent.v1 import agent_pb2 as ag
from rtcagent.v1 import state_pb2 as st

from tests.parts.bare_publisher import BarePublisher, still
from tests.parts.controller import all_reached, bars
from tests.parts.daemon import NAME, Daemon
from tests.parts.followed_events import FollowedEvents
from tests.parts.listener import Listener
from tests.parts.picture import make_bars
from tests.parts.processes import Usage
from tests.parts.room_server import RoomServer
from tests.parts.waiting import NotInTime, until

ROOT = Path(__file__).resolve().parents[2]
ROOM, LISTENER = "lobby", "listener"
STREAMS = ("camera", "second")
BACK_MS = 30_000.0
WITHIN_RETRY_S = 0.6  # so long the SDK tries to restore a connection before the daemon gives it up
LONGEST_OUTAGE_S = 3.0
SETTLED_S = 30.0
CALM_S = 4.0
WARM_UP_CYCLES = 20
LOOK_AT_MEDIA_EVERY = 10  # cycles
SAMPLE_S = 0.25

Told = Callable[[str], None]


@contextlib.asynccontextmanager
async def processor_load(count: int) -> AsyncIterator[None]:
    """So many processes that do nothing but take processor time, until the block ends."""
    async with contextlib.AsyncExitStack() as running:
        for _ in range(count):
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
            running.push_async_callback(process.wait)
            running.callback(process.kill)
        yield


async def processes_of(daemon: Daemon) -> dict[str, int]:
    return {"daemon": daemon.pid, "engine": await daemon.engine_pid()}


def usage_of(pids: dict[str, int]) -> dict[str, Usage]:
    return {name: Usage.of(pid) for name, pid in pids.items()}


async def start_two_captures(daemon: Daemon) -> None:
    """Both are published wherever the agent joins."""
    for source_id, width in zip(STREAMS, (320, 352), strict=True):
        assert all_reached(await daemon.control.start_capture(bars(width, 240, 15), source_id=source_id))


async def both_published(daemon: Daemon) -> None:
    """Wait until everything is as ordered, and both streams are in the room."""
    answer = ag.GetStateResponse()

    async def is_so() -> bool:
        answer.CopyFrom(await daemon.control.state())
        streams = [each for room in answer.reported.rooms for each in room.publications]
        published = {each.source_id for each in streams if each.state == st.PUBLICATION_STATE_PUBLISHED}
        return not answer.differences and published == set(STREAMS)

    await until(is_so, timeout_ms=BACK_MS, what=lambda: f"both streams are published: {answer}")


def overlapping_connections(log: str) -> list[str]:
    """Lines of the daemon's log that tell of a second connection to a room beside one that was not closed."""
    found, is_open = [], False
    for line in log.splitlines():
        if re.search(rf": joined {ROOM} as ", line):
            if is_open:
                found.append(line)
            is_open = True
        elif f": the connection to {ROOM} is closed" in line:
            is_open = False
    return found


@dataclass
class RestartsResult:
    """Seconds from the server's last return until the later of the two streams was seen, for each restart."""

    back_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    kills: int = 0
    event_count: int = 0
    event_faults: list[str] = field(default_factory=list)
    thrown_out: int = 0
    overlaps: list[str] = field(default_factory=list)
    engines_replaced: int = 0
    before: dict[str, Usage] = field(default_factory=dict)  # of daemon and engine
    after: dict[str, Usage] = field(default_factory=dict)


class Restarts:
    """Kills the room server again and again, with another one in its place after a random while."""

    def __init__(self, server: RoomServer, daemon: Daemon, chance: random.Random) -> None:
        self._server, self._daemon, self._chance = server, daemon, chance
        self._listener = Listener()
        self.result = RestartsResult()

    async def run(self, count: int, tell: Told = print) -> RestartsResult:
        result, events = self.result, FollowedEvents(self._daemon.control)
        await start_two_captures(self._daemon)
        assert all_reached(await self._daemon.control.join(ROOM))
        generation = (await self._daemon.engine()).generation
        try:
            await self._listen()
            await self._both_seen()
            await events.begin()
            pids = await processes_of(self._daemon)
            result.before = usage_of(pids)
            for number in range(1, count + 1):
                try:
                    result.back_s.append(await self._restart())
                except (NotInTime, AssertionError) as error:
                    result.failures.append(f"restart {number}: {error}")
                    tell(result.failures[-1])
                if number % 10 == 0:
                    tell(f"{number} restarts, {len(result.failures)} failed, slowest {max(result.back_s):.2f} s")
            await events.agree()
            result.after = usage_of(await processes_of(self._daemon))
        finally:
            await self._listener.close()
            await events.close()
        result.event_count, result.event_faults, result.thrown_out = events.count, events.faults, events.thrown_out
        result.overlaps = overlapping_connections(await asyncio.to_thread(self._daemon.log))
        result.engines_replaced = (await self._daemon.engine()).generation - generation
        return result

    async def _restart(self) -> float:
        await self._listener.close()
        await self._outage(self._chance.choice((WITHIN_RETRY_S, LONGEST_OUTAGE_S)))
        if self._chance.random() < 0.25:  # once more, while the agent is about to join, joins or publishes
            await asyncio.sleep(self._chance.uniform(0, 1.5))
            await self._outage(WITHIN_RETRY_S)
        back_at = time.monotonic()
        await self._listen()
        seen_s = await self._both_seen() - back_at
        await both_published(self._daemon)
        there = await self._server.participants(ROOM)
        assert there == [NAME, LISTENER], f"in the room are {there}"
        return seen_s

    async def _outage(self, longest_s: float) -> None:
        await self._server.kill()
        self.result.kills += 1
        await asyncio.sleep(self._chance.uniform(0, longest_s))  # the outage, which is time itself
        await self._server.start()

    async def _listen(self) -> None:
        self._listener = Listener()
        await self._listener.join(self._server.url, self._server.token(ROOM, LISTENER))

    async def _both_seen(self) -> float:
        """When the later one of the streams had its first frame."""
        first = []
        for name in STREAMS:
            video = self._listener.video(NAME, name)
            if not video.arrivals:
                await self._listener.frames(NAME, name, timeout_ms=BACK_MS)
            first.append(video.arrivals[0])
        return max(first)


@dataclass
class CyclesResult:
    """Of daemon and engine, by name: before the first cycle, after the warm-up, at the highest, and at the end."""

    fresh: dict[str, Usage] = field(default_factory=dict)
    before: dict[str, Usage] = field(default_factory=dict)
    peak: dict[str, Usage] = field(default_factory=dict)
    after: dict[str, Usage] = field(default_factory=dict)
    trend: list[tuple[int, dict[str, Usage]]] = field(default_factory=list)  # by cycles made
    event_count: int = 0
    event_faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


class JoinCycles:
    """Joins a room, publishes two streams and leaves, over and over; now and then in the middle of it.

    `beside_publisher`: receives a stream of another user too.
    """

    def __init__(
        self, server: RoomServer, daemon: Daemon, chance: random.Random, *, beside_publisher: bool = False
    ) -> None:
        self._server, self._daemon, self._chance = server, daemon, chance
        self._beside_publisher = beside_publisher
        self._listener, self._other = Listener(), BarePublisher()
        self._pids: dict[str, int] = {}
        self.result = CyclesResult()

    async def run(
        self, count: int, tell: Told = print, *, warm_up: int = WARM_UP_CYCLES, settled_s: float = SETTLED_S
    ) -> CyclesResult:
        result, events = self.result, FollowedEvents(self._daemon.control)
        await start_two_captures(self._daemon)
        self._pids = await processes_of(self._daemon)
        try:
            await self._listener.join(self._server.url, self._server.token(ROOM, LISTENER))
            if self._beside_publisher:
                await self._other.capture(still(make_bars(160, 120)), fps=5)
                await self._other.join(self._server.url, self._server.token(ROOM, "other"))
                await self._other.publish()
            await events.begin()
            result.fresh = self._usage()
            await self._cycles(warm_up)
            await self._calm(settled_s)
            result.before = result.peak = self._usage()
            tell(f"after the warm-up: {result.before}")
            begin = time.monotonic()
            sampling = asyncio.ensure_future(self._sample())
            for done in range(0, count, 100):
                await self._cycles(min(100, count - done))
                result.trend.append((min(count, done + 100), self._usage()))
                tell(f"{result.trend[-1]}")
            sampling.cancel()
            result.seconds = time.monotonic() - begin
            await self._settle(result.before, settled_s)
            result.after = self._usage()
            tell(f"at the end: {result.after}")
            await events.agree()
        except OSError as error:  # of a process that is looked at
            lines = [line for line in self._daemon.log().splitlines() if "engine failed" in line]
            raise AssertionError(f"the engine is gone: {lines}") from error
        finally:
            await self._other.close()
            await self._listener.close()
            await events.close()
        result.event_count, result.event_faults = events.count, events.faults
        assert await self._daemon.engine_pid() == self._pids["engine"], "the engine was replaced"
        return result

    async def _cycles(self, count: int) -> None:
        control = self._daemon.control
        for number in range(count):
            begin = time.monotonic()
            joined = await control.join(ROOM)
            assert all_reached(joined), joined
            if number % LOOK_AT_MEDIA_EVERY == 0:
                for name in STREAMS:
                    await self._listener.event("track_subscribed", NAME, name, after=begin, timeout_ms=BACK_MS)
                    await self._listener.frames(NAME, name, timeout_ms=BACK_MS)
            if self._chance.random() < 0.8:  # else it leaves while it publishes and subscribes
                await both_published(self._daemon)
            left = await control.leave(ROOM)
            assert all_reached(left), left

    async def _settle(self, as_before: dict[str, Usage], longest_s: float) -> None:
        """Until threads and descriptors are no more than before, at most so long."""

        def is_so() -> bool:
            return all(each.is_within(as_before[name]) for name, each in self._usage().items())

        with contextlib.suppress(NotInTime):
            await until(is_so, timeout_ms=longest_s * 1000, what="threads and descriptors are as before")

    async def _calm(self, longest_s: float) -> None:
        """Until neither threads nor descriptors have changed for CALM_S, at most so long."""
        last, since = self._usage(), time.monotonic()

        def is_so() -> bool:
            nonlocal last, since
            now = self._usage()
            if not all(each.is_within(last[name]) and last[name].is_within(each) for name, each in now.items()):
                last, since = now, time.monotonic()
            return time.monotonic() - since >= CALM_S

        with contextlib.suppress(NotInTime):
            await until(is_so, timeout_ms=longest_s * 1000, what="threads and descriptors stay as they are")

    def _usage(self) -> dict[str, Usage]:
        return usage_of(self._pids)

    async def _sample(self) -> None:
        while True:
            now = self._usage()
            self.result.peak = {name: peak.highest(now[name]) for name, peak in self.result.peak.items()}
            await asyncio.sleep(SAMPLE_S)


async def bare_growth_bytes(server: RoomServer, count: int) -> int:
    """What the bare SDK does not give back of each room that it leaves while somebody else publishes there."""
    other = BarePublisher()
    try:
        await other.capture(still(make_bars(160, 120)), fps=5)
        await other.join(server.url, server.token(ROOM, "other"))
        await other.publish()
        joining = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.parts.bare_joins", server.url, server.token(ROOM, NAME), str(count)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=ROOT,
        )
        output, _ = await joining.communicate()
        return int(output)
    finally:
        await other.close()


def seed() -> int:
    """Of the random moments; RTCAGENT_TEST_SEED repeats those of a run."""
    return int(os.environ.get("RTCAGENT_TEST_SEED", random.randrange(1 << 30)))


def folder_of(path: Path, name: str) -> Path:
    """A new folder below `path`."""
    folder = path / name
    folder.mkdir()
    return folder
