"""Attaching to an engine: generations, the closed gate, and the ends of an engine process."""

import asyncio
import signal
import time

import grpc
import pytest
from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import agent_pb2 as agent
from rtcagent.v1 import types_pb2 as types
from rtcagentd.engine.process import EXIT_ORPHANED

from tests.integration.engine_harness import BUILD_VERSION, EngineUnderTest, StepFailed, engine
from tests.parts.listener import Listener
from tests.parts.processes import KnownProcess
from tests.parts.room_server import RoomServer

__all__ = ["engine"]


async def test_attach_tells_what_the_engine_is(engine: EngineUnderTest) -> None:
    """A new engine has abilities and limits, and nothing is open in it."""
    response = await engine.attach()
    assert response.kind == "livekit"
    assert response.version.startswith("1.")
    assert "GStreamer 1." in response.version
    assert agent.CAPABILITY_TEST_PATTERN in response.capabilities
    assert response.limits.max_extra_info_bytes >= 16_000
    assert not response.report.captures
    assert not response.report.rooms


async def test_an_older_generation_is_refused(engine: EngineUnderTest) -> None:
    """Only the daemon that attached last may call, and its number must be higher."""
    await engine.attach()
    for call, request in (
        (engine.stub.Heartbeat, contract.HeartbeatRequest(generation=1)),
        (engine.stub.SetGate, contract.SetGateRequest(generation=1)),
        (engine.stub.Leave, contract.LeaveRequest(generation=7, room_id="lab")),
        (engine.stub.Attach, contract.AttachRequest(generation=2, build_version=BUILD_VERSION)),
        (engine.stub.Attach, contract.AttachRequest(generation=9, build_version="another build")),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call(request, timeout=5)
        assert refusal.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    await engine.stub.Heartbeat(contract.HeartbeatRequest(generation=2), timeout=5)


async def test_attaching_again_keeps_what_is_open(
    engine: EngineUnderTest, room_server: RoomServer, listener: Listener
) -> None:
    """A restarted daemon finds everything in the report, and goes on with the same objects."""
    await engine.set_gate("camera", send=[("lab", "camera")])
    await engine.open_pattern("camera")
    await engine.join(room_server, "lab")
    await engine.publish("lab", "camera")
    await listener.join(room_server.url, room_server.token("lab", "watcher"))
    await listener.frames("agent", "camera", count=3)
    await engine.event("user_joined")
    report = (await engine.attach()).report
    assert [capture.source_id for capture in report.captures] == ["camera"]
    assert report.captures[0].input == "test picture"
    (room,) = report.rooms
    assert room.room_id == "lab"
    assert [user.user_id for user in room.users] == ["watcher"]
    (publication,) = room.publications
    assert publication.source_id == "camera"
    assert publication.first_frame_sent
    await listener.frames("agent", "camera", count=10)


async def test_a_closed_gate_opens_no_source(engine: EngineUnderTest) -> None:
    """Until the daemon has set the gate nothing may be captured."""
    with pytest.raises(StepFailed) as failure:
        await engine.open_pattern("camera")
    assert not failure.value.permanent
    assert not (await engine.stats()).sources


async def test_closing_the_gate_closes_the_source_at_once(engine: EngineUnderTest) -> None:
    """The gate answers within 100 ms, and then the source is closed."""
    await engine.set_gate("camera", "second")
    await engine.open_pattern("camera")
    await engine.open_pattern("second")
    assert await engine.set_gate("second") < 0.1
    assert [source.source_id for source in (await engine.stats()).sources] == ["second"]
    snapshot = await engine.snapshot(source_id="camera")
    assert snapshot.missing == contract.TakeSnapshotResponse.MISSING_NOT_CAPTURED


async def test_an_engine_without_its_daemon_ends(
    engine: EngineUnderTest, room_server: RoomServer, listener: Listener
) -> None:
    """Five seconds after the last Heartbeat everything is closed and the process is gone."""
    await engine.attach(heartbeat=False)
    await engine.stub.Heartbeat(contract.HeartbeatRequest(generation=engine.generation), timeout=5)
    last_beat = time.monotonic()
    await engine.join(room_server, "lab")
    await listener.join(room_server.url, room_server.token("lab", "watcher"))
    assert await engine.exit_code(10_000) == EXIT_ORPHANED
    assert 4.5 < time.monotonic() - last_beat < 8
    await listener.event("participant_disconnected", "agent")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_closes_everything(
    engine: EngineUnderTest, room_server: RoomServer, listener: Listener, number: signal.Signals
) -> None:
    """The others are told at once, and the process ends within three seconds."""
    await engine.set_gate("camera", send=[("lab", "camera")])
    await engine.open_pattern("camera")
    await engine.join(room_server, "lab")
    await engine.publish("lab", "camera")
    await listener.join(room_server.url, room_server.token("lab", "watcher"))
    await listener.frames("agent", "camera")
    begin = time.monotonic()
    engine.process.send_signal(number)
    assert await engine.exit_code(5000) == 0
    assert time.monotonic() - begin < 3.3
    await listener.event("participant_disconnected", "agent")


async def test_shutdown_answers_and_ends(engine: EngineUnderTest, room_server: RoomServer) -> None:
    """The daemon gets its answer once everything is closed."""
    await engine.join(room_server, "lab")
    await engine.stub.Shutdown(contract.ShutdownRequest(generation=engine.generation), timeout=5)
    assert await room_server.participants("lab") == []
    assert await engine.exit_code(3000) == 0
    assert not engine.socket.exists()


async def test_a_killed_engine_leaves_no_process(engine: EngineUnderTest) -> None:
    """The engine has no processes of its own that could outlive it."""
    known = KnownProcess(engine.process.pid)
    await engine.set_gate("camera")
    await engine.open_pattern("camera")
    engine.process.kill()
    assert await known.wait(3000)
    known.close()
    assert await engine.exit_code(1000) == -signal.SIGKILL


async def test_events_wait_for_their_watcher(engine: EngineUnderTest, room_server: RoomServer) -> None:
    """What happens between Attach and WatchEvents is not lost."""
    await engine.attach(watch=False)
    await engine.join(room_server, "lab")
    other = Listener()
    await other.join(room_server.url, room_server.token("lab", "early"))
    watch = engine.stub.WatchEvents(contract.WatchEventsRequest(generation=engine.generation))
    async with asyncio.timeout(5):
        while (event := await watch.read()).WhichOneof("event") != "user_joined":
            pass
    assert event.user_joined.user.user_id == "early"
    watch.cancel()
    await other.close()


async def test_sources_have_checked_inputs(engine: EngineUnderTest) -> None:
    """Files outside the media folders and addresses that are no RTSP are refused for good."""
    await engine.set_gate("camera")
    for media_input in (
        types.VideoInput(file=types.VideoInput.File(path="/etc/passwd")),
        types.VideoInput(file=types.VideoInput.File(path=f"{engine.socket.parent}/../../../../etc/passwd")),
        types.VideoInput(file=types.VideoInput.File(path=f"{engine.socket.parent}/missing.mp4")),
        types.VideoInput(rtsp=types.VideoInput.Rtsp(url="http://127.0.0.1/stream")),
        types.VideoInput(rtsp=types.VideoInput.Rtsp(url="rtsp://[::1/stream")),
    ):
        with pytest.raises(StepFailed) as failure:
            await engine.open_source("camera", types.CaptureConfig(input=media_input))
        assert failure.value.reason == types.REASON_URL_INVALID
        assert failure.value.permanent


async def test_credentials_stay_secret(engine: EngineUnderTest) -> None:
    """A network camera that cannot be reached: neither the failure nor the log has its password."""
    await engine.set_gate("camera")
    rtsp = types.VideoInput.Rtsp(url="rtsp://viewer:pa55word@127.0.0.1:1/stream?key=pa55word")
    with pytest.raises(StepFailed) as failure:
        await engine.open_source("camera", types.CaptureConfig(input=types.VideoInput(rtsp=rtsp)))
    assert not failure.value.permanent
    assert "pa55word" not in failure.value.message
    assert "pa55word" not in engine.log()


async def test_an_absent_camera_is_waited_for(engine: EngineUnderTest) -> None:
    """The failure says that it may come yet."""
    await engine.set_gate("camera")
    camera = types.VideoInput.Camera(device_id="usb-nowhere")
    with pytest.raises(StepFailed) as failure:
        await engine.open_source("camera", types.CaptureConfig(input=types.VideoInput(camera=camera)))
    assert failure.value.reason == types.REASON_DEVICE_ABSENT
    assert not failure.value.permanent
