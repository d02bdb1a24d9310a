"""Makes rates of two readings of the engine's counters, and gives them to those who ask. Nothing of it is kept."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass
from pathlib import Path

from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import statistics_pb2 as stat
from rtcagent_client import fold

from rtcagentd.control.errors import OrderError
from rtcagentd.control.reconciler import Reconciler
from rtcagentd.control.state import State

DEFAULT_INTERVAL_MS = 2000  # as ByteRTC's
MIN_INTERVAL_MS = 200
FRESH_S = 0.05  # a reading this young serves others who ask

# Up to which loss (a share) and round trip (ms) a connection is of each quality.
_QUALITIES = (
    (0.01, 150.0, stat.NETWORK_QUALITY_EXCELLENT),
    (0.03, 300.0, stat.NETWORK_QUALITY_GOOD),
    (0.08, 600.0, stat.NETWORK_QUALITY_POOR),
    (0.20, 1000.0, stat.NETWORK_QUALITY_BAD),
)


@dataclass(frozen=True)
class Usage:
    """What one process has used. `cpu_s` since it began."""

    name: str
    pid: int
    cpu_s: float
    memory_bytes: int
    thread_count: int


@dataclass(frozen=True)
class Reading:
    """The counters at one moment (`at_s` of the monotonic clock)."""

    at_s: float
    engine: en.GetStatisticsResponse
    processes: tuple[Usage, ...] = ()


def network_quality(loss: float, rtt_ms: float) -> stat.NetworkQuality.ValueType:
    """The worse of what loss and round trip say."""
    for max_loss, max_rtt_ms, quality in _QUALITIES:
        if loss < max_loss and rtt_ms < max_rtt_ms:
            return quality
    return stat.NETWORK_QUALITY_VERY_BAD


def between(earlier: Reading, later: Reading, reported: st.ReportedState) -> stat.Statistics:
    """What happened between two readings. A stream that is in the later one alone began meanwhile."""
    passed_s = max(later.at_s - earlier.at_s, 1e-3)
    result = stat.Statistics(interval_ms=round(passed_s * 1000))
    result.at.GetCurrentTime()
    known = {_key(each): each for each in earlier.engine.streams}
    sent: dict[str, list[int]] = {}  # by room, packets and those lost
    received: dict[str, list[int]] = {}
    for each in later.engine.streams:
        before = known.get(_key(each), stat.StreamStatistics())
        if before.packets > each.packets:  # it began anew
            before = stat.StreamStatistics()
        packets, lost = each.packets - before.packets, max(0, each.packets_lost - before.packets_lost)
        stream = result.streams.add()
        stream.CopyFrom(each)
        stream.bitrate_bps = int((each.bytes - before.bytes) * 8 / passed_s)
        if not each.fps:  # else the engine counts otherwise
            stream.fps = round((each.frames - before.frames) / passed_s, 1)
        # a sent packet that is lost was counted as sent; a received one was not
        stream.loss = _share(lost, packets + (lost if each.user_id else 0))
        totals = (received if each.user_id else sent).setdefault(each.room_id, [0, 0])
        totals[0] += packets + (lost if each.user_id else 0)
        totals[1] += lost
    rooms = {room.room_id: room for room in earlier.engine.rooms}
    for now in later.engine.rooms:
        room = result.rooms.add()
        room.CopyFrom(now)
        before_room = rooms.get(now.room_id, stat.RoomStatistics())
        room.sent_bps = int(max(0, now.sent_bytes - before_room.sent_bytes) * 8 / passed_s)
        room.received_bps = int(max(0, now.received_bytes - before_room.received_bytes) * 8 / passed_s)
        room.sent_loss = _share(*reversed(sent.get(now.room_id, [0, 0])))
        room.received_loss = _share(*reversed(received.get(now.room_id, [0, 0])))
        _judge(room, fold.find_room(reported, now.room_id))
    usages = {each.pid: each for each in earlier.processes}
    for usage in later.processes:
        before_s = usages[usage.pid].cpu_s if usage.pid in usages else usage.cpu_s
        result.processes.add(
            name=usage.name,
            pid=usage.pid,
            cpu=round(max(0.0, usage.cpu_s - before_s) / passed_s, 3),
            memory_bytes=usage.memory_bytes,
            thread_count=usage.thread_count,
        )
    return result


def _judge(room: stat.RoomStatistics, status: st.RoomStatus | None) -> None:
    """Set the network quality, up and down."""
    if status is None or status.state != st.ROOM_STATE_JOINED:
        room.up = room.down = stat.NETWORK_QUALITY_DOWN
        return
    if not room.rtt_ms and not room.received_bytes:
        return  # nothing is known yet
    room.up, room.down = network_quality(room.sent_loss, room.rtt_ms), network_quality(room.received_loss, room.rtt_ms)
    if status.quality == st.CONNECTION_QUALITY_LOST:
        room.up = room.down = stat.NETWORK_QUALITY_DOWN
    elif status.quality == st.CONNECTION_QUALITY_POOR:
        room.up, room.down = max(room.up, stat.NETWORK_QUALITY_BAD), max(room.down, stat.NETWORK_QUALITY_BAD)


def _share(part: int, whole: int) -> float:
    return min(1.0, round(part / whole, 4)) if whole > 0 else 0.0


def _key(each: stat.StreamStatistics) -> tuple[str, str, str, int, str]:
    return each.room_id, each.user_id, each.source_id, each.kind, each.name


def usage_of(name: str, pid: int) -> Usage | None:
    """What a process has used; None: it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    ticks = int(fields[11]) + int(fields[12])
    return Usage(name, pid, ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE"), int(fields[17]))


class StatisticsDesk:
    """Reads when somebody asks, once for all who ask at the same time."""

    def __init__(self, state: State, reconciler: Reconciler) -> None:
        self._state = state
        self._reconciler = reconciler
        self._newest: Reading | None = None
        self._reading: asyncio.Task[Reading] | None = None

    async def read(self) -> Reading:
        """The counters as they are now. OrderError: there is no engine to ask."""
        newest = self._newest
        if newest is not None and time.monotonic() - newest.at_s < FRESH_S:
            return newest
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        return await asyncio.shield(self._reading)

    async def over(self, room_ids: Collection[str], over_s: float) -> stat.Statistics:
        """The statistics of the next `over_s` seconds."""
        earlier = await self.read()
        await asyncio.sleep(over_s)
        return _only(between(earlier, await self.read(), self._state.reported), room_ids)

    async def watch(self, room_ids: Collection[str]) -> AsyncGenerator[stat.Statistics, None]:
        """Statistics at the interval that the rooms were asked for with; endless. A watcher that is slow gets fewer."""
        earlier: Reading | None = None
        while True:
            try:
                later = await self.read()
            except OrderError:  # the engine is being replaced: it goes on with the next one
                earlier = None
            else:
                if earlier is not None:
                    yield _only(between(earlier, later, self._state.reported), room_ids)
                earlier = later
            await asyncio.sleep(self._interval_s(room_ids))

    def _interval_s(self, room_ids: Collection[str]) -> float:
        asked = [
            room.config.statistics_interval_ms or DEFAULT_INTERVAL_MS
            for room in self._state.all(st.DesiredRoom)
            if not room_ids or room.config.room_id in room_ids
        ]
        return min(asked, default=DEFAULT_INTERVAL_MS) / 1000

    async def _read(self) -> Reading:
        answer = await self._reconciler.ask(lambda session: session.statistics())
        engine = self._state.reported.engine
        usages = [usage_of("rtcagentd", os.getpid()), usage_of("rtcagent-engine", engine.pid) if engine.pid else None]
        self._newest = Reading(time.monotonic(), answer, tuple(each for each in usages if each is not None))
        return self._newest


def _only(statistics: stat.Statistics, room_ids: Collection[str]) -> stat.Statistics:
    if room_ids:
        for part in (statistics.rooms, statistics.streams):
            kept = [each for each in part if each.room_id in room_ids]
            del part[:]
            part.extend(kept)  # type: ignore[arg-type]
    return statistics
