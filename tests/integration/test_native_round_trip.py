"""A picture from a native capture through a real room server to the native taker, while the interpreter is held."""

import asyncio
import concurrent.futures
import ctypes
import multiprocessing

from tests.parts.media_events import MediaEvents, settings_of
from tests.parts.picture import BARS, bars, decode
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until

WIDTH, HEIGHT = 640, 360


async def round_trip(url: str, publisher_token: str, listener_token: str) -> None:
    # Only here: this is to be the first use of the SDK in its process.
    from livekit import rtc
    from rtcagentd.engine import _native
    from rtcagentd.engine.livekit import ffi

    entry = ffi.load().entry
    publisher, listener = rtc.Room(), rtc.Room()
    subscribed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    listener.on("track_subscribed", lambda track, *_: subscribed.set_result(track._ffi_handle.handle))
    async with MediaEvents() as events:
        await listener.connect(url, listener_token)
        await publisher.connect(url, publisher_token)
        source = rtc.VideoSource(WIDTH, HEIGHT)
        sink = _native.FrameSink("room/camera", entry, source._ffi_handle.handle, events.queue)
        settings = settings_of(pattern="bars_and_clock", width=WIDTH, height=HEIGHT, mirror=True)
        capture = _native.Capture("camera", settings, events.queue)
        capture.attach(sink)
        sink.set_open(True)
        capture.start()
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, simulcast=False)
        await publisher.local_participant.publish_track(
            rtc.LocalVideoTrack.create_video_track("camera", source), options
        )
        stream = ffi.ReceivedStream(await asyncio.wait_for(subscribed, 10))

        def received() -> int:
            stats = stream.stats()
            return stats.frames_received if stats else 0

        await until(lambda: received() >= 60, timeout_ms=20_000, what="60 frames received")
        before, pushed_before = received(), sink.stats().frames_pushed
        ctypes.PyDLL(None).usleep(900_000)
        meanwhile, pushed_meanwhile = received() - before, sink.stats().frames_pushed - pushed_before
        snapshot = stream.snapshot("png")
        longest_gap_us = sink.stats().longest_gap_us
        stream.close()
        assert stream.stats() is None
        capture.stop()
        await publisher.disconnect()
        await listener.disconnect()
    assert snapshot is not None
    assert (snapshot.width, snapshot.height) == (WIDTH, HEIGHT)
    assert bars(decode(snapshot.image), y=0.2) == BARS[::-1]
    assert pushed_meanwhile >= 24
    assert longest_gap_us < 150_000
    assert meanwhile >= 20, f"{meanwhile} frames received, {pushed_meanwhile} sent while the interpreter was held"


def run(url: str, publisher_token: str, listener_token: str) -> None:
    asyncio.run(round_trip(url, publisher_token, listener_token))


async def test_round_trip(room_server: RoomServer) -> None:
    tokens = [room_server.token("room", user_id) for user_id in ("publisher", "listener")]
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        await asyncio.wait_for(asyncio.wrap_future(process.submit(run, room_server.url, *tokens)), 50)
