"""Engines that crash, hang or grow are replaced, those that kill them are left out, and none keeps the agent alive."""

import signal
import time

import pytest
from rtcagent.v1 import agent_pb2 as ag
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.e2e.test_faults import CAMERA, asked_throughout, in_the_room
from tests.parts.controller import Watcher, bars, kind_and_reason, names, watching
from tests.parts.daemon import NAME, STOP_MS, Daemon, MakeDaemon, faults_environment
from tests.parts.listener import Listener
from tests.parts.room_server import RoomServer

NOISE = ty.VideoInput.TestPattern.KIND_NOISE
POISON = ty.CaptureConfig(
    input=ty.VideoInput(test_pattern=ty.VideoInput.TestPattern(kind=NOISE)),
    output=ty.VideoFormat(width=320, height=240, max_fps=10),
)
FOREVER_MS = 120_000


async def engine_event(watcher: Watcher, state: st.EngineState.ValueType, after_seq: int = 0) -> ev.Event:
    """The engine's next change to `state`."""
    return await watcher.event(
        "engine_state_changed", lambda each: each.engine.state == state, after_seq=after_seq, timeout_ms=20_000
    )


@pytest.mark.parametrize("how", ["SIGSEGV", "SIGSTOP", "hang"])
async def test_an_engine_that_crashes_or_hangs_is_replaced(
    room_server: RoomServer, make_daemon: MakeDaemon, listener: Listener, how: str
) -> None:
    daemon = await make_daemon(room_server, environment=faults_environment(hold_gil_ms=FOREVER_MS))
    await in_the_room(room_server, daemon, listener)
    old = await daemon.engine()
    async with watching(daemon.control) as watcher, asked_throughout(daemon) as taken:
        began = time.monotonic()
        if how == "hang":
            daemon.hold_gil(old.pid)
        else:
            await daemon.kill_engine(signal.Signals[how])
        failed = await engine_event(watcher, st.ENGINE_STATE_FAILED)
        runs = await engine_event(watcher, st.ENGINE_STATE_RUNNING, failed.seq)
        await listener.event("track_subscribed", NAME, CAMERA, after=began)
        await listener.frames(NAME, CAMERA, count=10)
    words = {"SIGSEGV": "ended by SIGSEGV", "SIGSTOP": "stopped", "hang": "no sign of life"}[how]
    assert words in failed.engine_state_changed.engine.cause.message
    assert runs.engine_state_changed.engine.generation > old.generation
    assert runs.engine_state_changed.engine.pid != old.pid
    assert max(taken) < 1.0
    assert not (await daemon.control.state()).differences


async def test_an_engine_that_grows_is_replaced_in_good_order(
    room_server: RoomServer, make_daemon: MakeDaemon, listener: Listener
) -> None:
    daemon = await make_daemon(
        room_server, settings={"engine": {"max_rss_mb": 700}}, environment=faults_environment(grow_mb=700)
    )
    await in_the_room(room_server, daemon, listener)
    old = await daemon.engine()
    async with watching(daemon.control) as watcher, asked_throughout(daemon) as taken:
        began = time.monotonic()
        daemon.grow(old.pid)
        replacing = await engine_event(watcher, st.ENGINE_STATE_REPLACING)
        await engine_event(watcher, st.ENGINE_STATE_RUNNING, replacing.seq)
        await listener.event("track_subscribed", NAME, CAMERA, after=began)
        await listener.frames(NAME, CAMERA, count=10)
    assert "engine.max_rss_mb = 700" in replacing.engine_state_changed.engine.cause.message
    assert max(taken) < 1.0
    assert not (await daemon.control.state()).differences


async def test_a_reset_leaves_the_room_before_it_joins_again(
    room_server: RoomServer, daemon: Daemon, listener: Listener
) -> None:
    await in_the_room(room_server, daemon, listener)
    old = await daemon.engine()
    began = time.monotonic()
    async with watching(daemon.control) as watcher:
        response = await daemon.control.agent.ResetEngine(ag.ResetEngineRequest(), timeout=20)
        await engine_event(watcher, st.ENGINE_STATE_REPLACING)
    assert response.engine.generation > old.generation
    left = await listener.event("participant_disconnected", NAME, after=began)
    await listener.event("participant_connected", NAME, after=left.at)
    await listener.frames(NAME, CAMERA, count=10)


@pytest.mark.parametrize("how", ["stopped", "hanging"])
async def test_the_agent_ends_in_time_with_an_engine_that_does_not(
    room_server: RoomServer, make_daemon: MakeDaemon, listener: Listener, how: str
) -> None:
    daemon = await make_daemon(room_server, environment=faults_environment(hold_gil_ms=FOREVER_MS))
    await in_the_room(room_server, daemon, listener)
    if how == "stopped":
        await daemon.kill_engine(signal.SIGSTOP)
    else:
        daemon.hold_gil(await daemon.engine_pid())
    daemon.terminate()
    assert await daemon.wait(STOP_MS) == 0
    assert daemon.offspring_left() == []


async def test_what_keeps_killing_the_engine_is_left_out(
    room_server: RoomServer, make_daemon: MakeDaemon, listener: Listener
) -> None:
    daemon = await make_daemon(room_server, environment=faults_environment(poison=NOISE))
    control = daemon.control
    await in_the_room(room_server, daemon, listener)
    began = (await daemon.engine()).generation

    long_enough = ty.OrderOptions(wait_ms=25_000)
    result = await control.start_capture(POISON, source_id="poison", order=long_enough)
    assert kind_and_reason(result) == ("REFUSED", "QUARANTINED"), result
    assert "order its capture again" in result.outcomes[0].cause.message
    assert (await daemon.engine()).generation == began + 3
    # The room and the camera were under suspicion too; they are back.
    await listener.frames(NAME, CAMERA, count=10)
    assert [names(each) for each in (await control.state()).differences] == [("REFUSED", "QUARANTINED")]

    # The next engine does not have it either, and a crash from outside changes nothing.
    async with watching(control) as watcher:
        await daemon.kill_engine()
        failed = await engine_event(watcher, st.ENGINE_STATE_FAILED)
        await watcher.event(
            "capture_state_changed",
            lambda each: (
                each.capture.source_id == "poison"
                and each.capture.state == st.CAPTURE_STATE_REFUSED
                and each.capture.cause.reason == ty.REASON_QUARANTINED
            ),
            after_seq=failed.seq,
        )
    await listener.frames(NAME, CAMERA, count=10)
    generation = (await daemon.engine()).generation

    result = await control.start_capture(bars(320, 240), source_id="poison")
    assert kind_and_reason(result) == ("REACHED", "")
    assert (await daemon.engine()).generation == generation
