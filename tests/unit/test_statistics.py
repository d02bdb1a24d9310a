"""Rates and network quality are made of two readings alone."""

import pytest
from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import statistics_pb2 as stat
from rtcagentd.control.statistics import Reading, Usage, between, network_quality

JOINED = st.ReportedState(
    rooms=[st.RoomStatus(room_id="demo", state=st.ROOM_STATE_JOINED, quality=st.CONNECTION_QUALITY_EXCELLENT)]
)


def reading(at_s: float, *, lost: int = 0, packets: int = 0, frames: int = 0, cpu_s: float = 0.0) -> Reading:
    streams = [
        stat.StreamStatistics(
            room_id="demo", source_id="camera", bytes=packets * 1000, packets=packets, packets_lost=lost, frames=frames
        ),
        stat.StreamStatistics(
            room_id="demo", user_id="ann", bytes=packets * 500, packets=packets, packets_lost=lost, frames=frames
        ),
    ]
    room = stat.RoomStatistics(room_id="demo", rtt_ms=20, sent_bytes=packets * 1100, received_bytes=packets * 600)
    usage = Usage("rtcagent-engine", 42, cpu_s, 1 << 20, 9)
    return Reading(at_s, en.GetStatisticsResponse(rooms=[room], streams=streams), (usage,))


@pytest.mark.parametrize(
    ("loss", "rtt_ms", "quality"),
    [(0, 0, 1), (0.009, 149, 1), (0.01, 0, 2), (0, 150, 2), (0.03, 0, 3), (0.08, 0, 4), (0, 999, 4), (0.2, 0, 5)],
)
def test_network_quality(loss: float, rtt_ms: float, quality: int) -> None:
    assert network_quality(loss, rtt_ms) == quality


def test_rates_over_the_interval() -> None:
    earlier = reading(100.0, packets=1000, lost=5, frames=50, cpu_s=3.0)
    later = reading(102.0, packets=1200, lost=15, frames=110, cpu_s=3.5)
    found = between(earlier, later, JOINED)
    own, remote = found.streams
    assert found.interval_ms == 2000
    assert (own.bitrate_bps, own.fps, own.loss) == (800_000, 30, 0.05)  # lost packets were sent
    assert (remote.bitrate_bps, remote.loss) == (400_000, round(10 / 210, 4))  # and not received
    (room,) = found.rooms
    assert (room.sent_bps, room.received_bps) == (880_000, 480_000)
    assert (room.up, room.down) == (stat.NETWORK_QUALITY_POOR, stat.NETWORK_QUALITY_POOR)
    (process,) = found.processes
    assert (process.cpu, process.memory_bytes, process.thread_count) == (0.25, 1 << 20, 9)


def test_a_stream_that_began_anew_is_counted_from_its_beginning() -> None:
    found = between(reading(100.0, packets=1000, frames=500), reading(101.0, packets=100, frames=30), JOINED)
    assert (found.streams[0].bitrate_bps, found.streams[0].fps, found.streams[0].loss) == (800_000, 30, 0)
    assert found.rooms[0].sent_bps == 0  # not less than nothing


def test_a_connection_that_is_lost_is_down_and_what_the_server_calls_poor_is_bad() -> None:
    readings = reading(100.0, packets=10), reading(101.0, packets=20)
    lost = st.ReportedState(rooms=[st.RoomStatus(room_id="demo", state=st.ROOM_STATE_RECONNECTING)])
    poor = st.ReportedState()
    poor.CopyFrom(JOINED)
    poor.rooms[0].quality = st.CONNECTION_QUALITY_POOR
    assert between(*readings, lost).rooms[0].up == stat.NETWORK_QUALITY_DOWN
    assert between(*readings, poor).rooms[0].down == stat.NETWORK_QUALITY_BAD
    assert between(*readings, JOINED).rooms[0].up == stat.NETWORK_QUALITY_EXCELLENT
