"""Sources that end, stand still, fail, or are given up."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import types_pb2 as types

from tests.integration.engine_harness import EngineUnderTest, StepFailed, engine
from tests.parts import y4m
from tests.parts.waiting import until

__all__ = ["engine"]

# For Debian's interpreter, as PyGObject is a package of the system.
RTSP_SERVER = """
import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer(address="127.0.0.1", service="0")
factory = GstRtspServer.RTSPMediaFactory(shared=True)
factory.set_launch("( videotestsrc is-live=true ! video/x-raw,format=I420,width=160,height=120,framerate=10/1 "
                   "! jpegenc ! rtpjpegpay name=pay0 pt=26 )")
server.get_mount_points().add_factory("/camera", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


@contextlib.asynccontextmanager
async def rtsp_server() -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """A network camera: its port and process."""
    process = await asyncio.create_subprocess_exec(
        "/usr/bin/python3", "-c", RTSP_SERVER, stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            port = int(await process.stdout.readline())
        yield port, process
    finally:
        process.kill()
        await process.wait()


async def test_a_file_ends_and_may_be_opened_again(engine: EngineUnderTest, tmp_path: Path) -> None:
    """The end of the media is told, and the source is closed then."""
    path = y4m.make(tmp_path / "short.y4m", width=160, height=120, fps=10, seconds=1)
    await engine.set_gate("camera")
    config = types.CaptureConfig(input=types.VideoInput(file=types.VideoInput.File(path=str(path))))
    for count in (1, 2):
        status = await engine.open_source("camera", config)
        assert (status.format.width, status.format.height) == (160, 120)
        assert status.input == f"file {path}"

        def ended(count: int = count) -> bool:
            return len([event for event in engine.events if event.HasField("source_ended")]) == count

        await until(ended, timeout_ms=5000, what="the file has ended")
    ended_event = await engine.event("source_ended")
    assert ended_event.source_id == "camera"
    assert ended_event.failure.cause.reason == types.REASON_END_OF_MEDIA
    assert not (await engine.stats()).sources


async def test_a_file_may_play_for_ever(engine: EngineUnderTest, tmp_path: Path) -> None:
    """With `loop` it begins again, and nothing is told."""
    path = y4m.make(tmp_path / "short.y4m", width=160, height=120, fps=10, seconds=1)
    await engine.set_gate("camera")
    media = types.VideoInput(file=types.VideoInput.File(path=str(path), loop=True))
    await engine.open_source("camera", types.CaptureConfig(input=media))

    async def played_twice() -> bool:
        return bool((await engine.stats()).sources[0].frames_captured > 20)

    await until(played_twice, timeout_ms=8000, what="the file has played twice")
    assert not [event for event in engine.events if event.HasField("source_ended")]


async def test_a_source_that_stands_still_is_noticed(engine: EngineUnderTest) -> None:
    """A network camera that keeps its connection and sends nothing: ended after 5 s, not for good."""
    await engine.set_gate("camera")
    async with rtsp_server() as (port, process):
        rtsp = types.VideoInput.Rtsp(url=f"rtsp://me:secret@127.0.0.1:{port}/camera")
        status = await engine.open_source("camera", types.CaptureConfig(input=types.VideoInput(rtsp=rtsp)))
        assert status.input == f"rtsp 127.0.0.1:{port}/camera"
        process.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        ended = await engine.event("source_ended", timeout_ms=12_000)
        assert 4 < time.monotonic() - begin < 9
        assert ended.failure.cause.reason == types.REASON_CAPTURE_FAILED
        assert ended.failure.cause.message == "no frame for 5 s"
        assert not ended.failure.permanent
        process.send_signal(signal.SIGCONT)
        await engine.open_source("camera", types.CaptureConfig(input=types.VideoInput(rtsp=rtsp)))


async def test_a_configuration_that_fails_closes_the_source(engine: EngineUnderTest) -> None:
    """What is no longer wanted is not captured, even where the new configuration does not work."""
    await engine.set_gate("camera")
    await engine.open_pattern("camera")
    missing = types.VideoInput(file=types.VideoInput.File(path=f"{engine.socket.parent}/missing.mkv"))
    with pytest.raises(StepFailed):
        await engine.open_source("camera", types.CaptureConfig(input=missing))
    assert not (await engine.stats()).sources
    assert not [event for event in engine.events if event.HasField("source_ended")]


async def test_opening_that_is_given_up_leaves_nothing(engine: EngineUnderTest) -> None:
    """A camera that never answers is let go as soon as nobody waits for it, by deadline or by the gate."""
    await engine.set_gate("camera")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/camera"
        config = types.CaptureConfig(input=types.VideoInput(rtsp=types.VideoInput.Rtsp(url=url)))
        request = contract.OpenSourceRequest(generation=engine.generation, source_id="camera", config=config)
        with pytest.raises(grpc.aio.AioRpcError):
            await engine.stub.OpenSource(request, timeout=0.3)
        await engine.open_pattern("camera")
        await engine.close_source("camera")
        waiting = asyncio.create_task(engine.open_source("camera", config))
        connection, _ = await asyncio.to_thread(silent.accept)
        connection.close()
        connection, _ = await asyncio.to_thread(silent.accept)
        assert await engine.set_gate() < 0.1
        with pytest.raises(StepFailed) as failure:
            await waiting
        assert failure.value.reason == types.REASON_ORDERED
        connection.close()


async def test_turned_mirrored_and_scaled(engine: EngineUnderTest) -> None:
    """The size that leaves the source is the one asked for, whatever the input's."""
    await engine.set_gate("camera")
    status = await engine.open_pattern("camera", size=(240, 320), rotation=types.ROTATION_90, mirror=True)
    assert (status.format.width, status.format.height) == (240, 320)
    snapshot = await engine.snapshot(source_id="camera", format=2)
    assert (snapshot.width, snapshot.height) == (240, 320)
    assert snapshot.image.startswith(b"\xff\xd8")
    assert abs(snapshot.captured_at.ToSeconds() - time.time()) < 10
