"""How a real call gets through, in numbers; and a received video in the quality that was asked for."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from livekit import rtc
from rtcagent.v1 import statistics_pb2 as stat
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import AsyncClient, InvalidArgument, NotFound

from tests.parts.bare_publisher import BarePublisher, still
from tests.parts.controller import bars
from tests.parts.daemon import NAME, Daemon
from tests.parts.listener import Listener
from tests.parts.picture import make_bars
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until

ROOM = "lobby"
WAIT_S = 20


@pytest_asyncio.fixture
async def client(daemon: Daemon) -> AsyncIterator[AsyncClient]:
    async with AsyncClient.connect(daemon.address) as client:
        yield client


async def test_streams_rooms_and_processes(
    daemon: Daemon, client: AsyncClient, room_server: RoomServer, listener: Listener
) -> None:
    ann = BarePublisher("face")
    try:
        await ann.capture(still(make_bars(320, 240)))
        await ann.join(room_server.url, room_server.token(ROOM, "ann"))
        await ann.publish()
        await daemon.control.start_capture(bars())
        await client.join_room(ROOM)
        await client.subscribe_stream(ROOM, "ann", name="face", wait_ms=0, check=False)  # nobody looks at it
        await listener.join(room_server.url, room_server.token(ROOM, "bob"))
        await listener.frames(NAME, "camera", count=10)

        async def both_flow() -> bool:
            now = await client.get_statistics([ROOM], over_ms=500)
            return len([each for each in now.streams if each.fps > 0 and each.coder]) == 2

        await until(both_flow, timeout_ms=20_000, what="statistics of both streams")
        now = await client.get_statistics([ROOM], over_ms=1000)
        own, remote = now.streams
        assert (own.source_id, own.user_id, own.kind) == ("camera", "", ty.STREAM_KIND_CAMERA)
        assert (own.width, own.height, own.codec, own.hardware) == (640, 360, "VP8", False)
        assert own.bitrate_bps > 1000
        assert own.quality_limit != stat.QUALITY_LIMIT_UNSPECIFIED
        assert (remote.user_id, remote.name, remote.width, remote.codec) == ("ann", "face", 320, "VP8")
        (room,) = now.rooms
        assert room.up in (stat.NETWORK_QUALITY_EXCELLENT, stat.NETWORK_QUALITY_GOOD)
        assert "ann" in [user.user_id for user in room.users]
        assert room.sent_bps > 1000
        assert room.received_bps > 1000
        assert [each.name for each in now.processes] == ["rtcagentd", "rtcagent-engine"]
        assert now.processes[1].pid == await daemon.engine_pid()
        assert now.processes[1].memory_bytes > 10 << 20
        assert now.processes[1].cpu > 0

        await client.set_statistics_interval(ROOM, 200)
        async with client.statistics([ROOM]) as readings:
            async with asyncio.timeout(WAIT_S):
                first, second = await anext(readings), await anext(readings)
        assert first.streams
        assert second.interval_ms < 2000  # which is the default
        assert (await client.get_desired_state()).rooms[0].config.statistics_interval_ms == 200
    finally:
        await ann.close()


async def test_the_quality_that_was_asked_for_arrives(client: AsyncClient, room_server: RoomServer) -> None:
    """A simulcast video: the low layer, then by the size that it is shown in, then all of it."""
    room = rtc.Room()
    source = rtc.VideoSource(1280, 720)
    frame = still(make_bars(1280, 720))()

    async def feed() -> None:
        while True:
            source.capture_frame(frame, timestamp_us=time.monotonic_ns() // 1000)
            await asyncio.sleep(1 / 15)

    feeding = asyncio.create_task(feed())
    try:
        await room.connect(room_server.url, room_server.token(ROOM, "ann"), rtc.RoomOptions(auto_subscribe=False))
        track = rtc.LocalVideoTrack.create_video_track("face", source)
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_CAMERA,
            video_codec=rtc.VideoCodec.VP8,
            simulcast=True,
            video_encoding=rtc.VideoEncoding(max_bitrate=1_500_000, max_framerate=15),
        )
        await client.subscribe_stream(ROOM, "ann", layer="low", check=False)
        await client.join_room(ROOM)
        await room.local_participant.publish_track(track, options)

        async def arrives(width: int) -> None:
            async def is_so() -> bool:
                streams = (await client.get_capture_stats()).remote_streams
                return [stream.width for stream in streams] == [width]

            await until(is_so, timeout_ms=25_000, what=f"a picture of {width} pixels arrives")

        await arrives(320)
        await client.subscribe_stream(ROOM, "ann", width=1280, height=720)
        await arrives(1280)
        await client.subscribe_stream(ROOM, "ann", width=300, height=170)
        await arrives(320)
        await client.subscribe_stream(ROOM, "ann")
        await arrives(1280)
    finally:
        feeding.cancel()
        await room.disconnect()


async def test_bad_input(client: AsyncClient) -> None:
    with pytest.raises(NotFound):
        await client.set_statistics_interval("elsewhere", 500)
    await client.join_room(ROOM)
    with pytest.raises(InvalidArgument):
        await client.set_statistics_interval(ROOM, 100)
    with pytest.raises(InvalidArgument):
        await client.get_statistics(over_ms=100_000)
    for width, height, layer in ((640, 0, None), (640, 360, "low"), (10_000, 360, None)):
        with pytest.raises(InvalidArgument) as raised:
            await client.subscribe_stream(ROOM, "ann", width=width, height=height, layer=layer)  # type: ignore[arg-type]
        assert raised.value.reason == "QUALITY_INVALID"
