"""Engine, daemon, room server and watchers die or hang: what must go on goes on, and all comes back as ordered."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from rtcagent.v1 import devices_pb2 as dv
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts import watching_process
from tests.parts.controller import Controller, bars, watching
from tests.parts.daemon import NAME, Daemon, MakeDaemon, faults_environment
from tests.parts.listener import Listener
from tests.parts.media import held_back, pushed
from tests.parts.picture import shows_bars
from tests.parts.processes import KnownProcess
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until

ROOM = "lobby"
CAMERA = "camera"
ROOT = Path(__file__).resolve().parents[2]


async def in_the_room(room_server: RoomServer, daemon: Daemon, listener: Listener) -> None:
    """The agent publishes bars, and the listener sees them."""
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    await daemon.control.start_capture(bars())
    await daemon.control.join(ROOM)
    await listener.picture(NAME, CAMERA, until=shows_bars)


@contextlib.asynccontextmanager
async def asked_throughout(daemon: Daemon) -> AsyncIterator[list[float]]:
    """Calls GetState again and again; every call must be answered. Gives the times that the answers took."""
    taken: list[float] = []
    enough = asyncio.Event()

    async def ask() -> None:
        while not enough.is_set():
            begin = time.monotonic()
            await daemon.control.state()
            taken.append(time.monotonic() - begin)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await enough.wait()

    asking = asyncio.ensure_future(ask())
    try:
        yield taken
    finally:
        enough.set()
        await asking


async def test_the_api_answers_while_the_engine_is_killed_and_replaced(
    room_server: RoomServer, daemon: Daemon, listener: Listener
) -> None:
    await in_the_room(room_server, daemon, listener)
    control = daemon.control
    generation = (await daemon.engine()).generation
    async with watching(control) as watcher, asked_throughout(daemon) as taken:
        killed_at = time.monotonic()
        old = await daemon.kill_engine()
        await watcher.event("engine_state_changed", lambda each: each.engine.state == st.ENGINE_STATE_FAILED)
        runs = await watcher.event("engine_state_changed", lambda each: each.engine.state == st.ENGINE_STATE_RUNNING)
        await watcher.event("room_state_changed", lambda each: each.room.state == st.ROOM_STATE_JOINED)
        await listener.event("track_subscribed", NAME, CAMERA, after=killed_at)
        await listener.frames(NAME, CAMERA, count=10)
    assert runs.engine_state_changed.engine.generation > generation
    assert runs.engine_state_changed.engine.pid != old
    assert len(taken) > 20
    assert max(taken) < 1.0
    assert not (await control.state()).differences


async def test_what_is_muted_stays_so_when_the_engine_is_replaced(
    room_server: RoomServer, daemon: Daemon, listener: Listener
) -> None:
    await in_the_room(room_server, daemon, listener)
    await daemon.control.mute(ROOM, True)
    await listener.until_muted(NAME, CAMERA, True)
    killed_at = time.monotonic()
    async with watching(daemon.control) as watcher:
        await daemon.kill_engine()
        published = st.PUBLICATION_STATE_PUBLISHED
        await watcher.event("publication_state_changed", lambda each: each.publication.state == published)
    await listener.event("track_published", NAME, CAMERA, after=killed_at)
    await held_back(daemon.control, ROOM, 30)
    assert await pushed(daemon.control, ROOM) == 0
    assert listener.muted(NAME, CAMERA) is True


async def test_frames_go_on_while_the_interpreter_of_the_engine_is_held(
    room_server: RoomServer, make_daemon: MakeDaemon, listener: Listener
) -> None:
    from tests.bench.interpreter_stall import hold  # which also proves that it was held

    daemon = await make_daemon(room_server, environment=faults_environment())
    await in_the_room(room_server, daemon, listener)
    video = await listener.frames(NAME, CAMERA, count=60)
    generation = (await daemon.engine()).generation
    begin = time.monotonic()
    await hold(daemon)
    await listener.frames(NAME, CAMERA, count=5)
    assert video.longest_gap_ms(begin, time.monotonic()) < 300
    assert (await daemon.engine()).generation == generation


@pytest.mark.timeout(120)
@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_a_restarted_daemon_carries_out_what_it_was_told(
    room_server: RoomServer, daemon: Daemon, listener: Listener, ending: str
) -> None:
    await in_the_room(room_server, daemon, listener)
    await daemon.control.start_capture(bars(320, 240), source_id="second")
    await daemon.control.publish(ROOM, source_id="second")
    await listener.frames(NAME, "second")
    desired = await daemon.control.desired()
    ended_at = time.monotonic()
    await (daemon.stop() if ending == "stop" else daemon.kill())
    await daemon.start()
    assert await daemon.control.desired() == desired
    for name in (CAMERA, "second"):
        await listener.event("track_subscribed", NAME, name, after=ended_at, timeout_ms=30_000)
        await listener.picture(NAME, name, until=shows_bars)
    assert not (await daemon.control.state()).differences


async def test_the_room_is_joined_again_when_the_server_comes_back(
    room_server: RoomServer, daemon: Daemon, listener: Listener
) -> None:
    await in_the_room(room_server, daemon, listener)
    await listener.close()
    async with watching(daemon.control) as watcher:
        seq = (await daemon.control.state()).position.seq
        await room_server.restart()
        back = await watcher.event(
            "room_state_changed",
            lambda each: each.room.state == st.ROOM_STATE_JOINED,
            after_seq=seq,
            timeout_ms=45_000,
        )
        assert back.room_state_changed.room.join_type == st.JOIN_TYPE_RECONNECTED
    again = Listener()
    try:
        await again.join(room_server.url, room_server.token(ROOM, "listener"))
        await again.picture(NAME, CAMERA, until=shows_bars)
    finally:
        await again.close()


async def test_sigterm_ends_everything(room_server: RoomServer, daemon: Daemon, listener: Listener) -> None:
    await in_the_room(room_server, daemon, listener)
    begin = time.monotonic()
    assert await daemon.stop() == 0
    assert time.monotonic() - begin < 5
    assert daemon.offspring_left() == []
    await listener.event("participant_disconnected", NAME)


async def test_an_engine_without_its_daemon_ends_itself(
    room_server: RoomServer, daemon: Daemon, listener: Listener
) -> None:
    await in_the_room(room_server, daemon, listener)
    engine = KnownProcess(await daemon.engine_pid())
    await daemon.kill()
    assert await engine.wait(10_000)
    await listener.event("participant_disconnected", NAME)
    engine.close()


@pytest.mark.timeout(120)
async def test_no_event_is_lost_when_daemon_and_watcher_are_killed_in_a_flood(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    """The union of what the watchers wrote down has no hole and nothing twice with different contents."""
    daemon = await make_daemon()
    file = tmp_path / "events"
    acknowledged: list[int] = []
    async with flood(daemon, acknowledged):
        for turn in range(6):
            known = watching_process.read(file)
            log_id, seq = known[-1][:2] if known else ("", 0)
            async with watching_process_of(daemon, file, log_id, seq):
                await grown(file, len(known) + 100)
                if turn % 2:
                    await daemon.kill()
                    await daemon.start(wait=False)
            # Leaving the block killed the watcher, while it wrote.
    known = watching_process.read(file)
    final = (await daemon.control.state()).position.seq
    async with watching_process_of(daemon, file, *known[-1][:2]):
        await until(
            lambda: watching_process.read(file)[-1][1] >= final, timeout_ms=20_000, what=f"the event {final} is told"
        )

    by_seq: dict[int, bytes] = {}
    for log_id, seq, body in watching_process.read(file):
        assert log_id == known[0][0], "the log was begun anew"
        assert by_seq.setdefault(seq, body) == body, f"two different events have the seq {seq}"
    assert sorted(by_seq) == list(range(1, max(by_seq) + 1)), "there is a hole"
    told = {ev.Event.FromString(body).desired_state_changed.revision for body in by_seq.values()}
    assert set(acknowledged) <= told, "an acknowledged order has no event"
    assert len(acknowledged) > 200
    assert (await daemon.control.desired()).revision >= max(acknowledged)


@contextlib.asynccontextmanager
async def flood(daemon: Daemon, acknowledged: list[int]) -> AsyncIterator[None]:
    """Four controllers that give orders as fast as they are answered, also over the daemon's deaths."""
    enough = asyncio.Event()

    async def give(number: int) -> None:
        control = Controller(daemon.address)
        count = 0
        while not enough.is_set():
            count += 1
            slot = ty.Slot(name=f"flood-{number}", matches=[ty.Slot.Match(serial=str(count))])
            with contextlib.suppress(grpc.aio.AioRpcError):  # the daemon was killed: the outcome is unknown
                answer = await control.devices.SetSlot(
                    dv.SetSlotRequest(slot=slot, order=ty.OrderOptions(wait_ms=0)), timeout=20, wait_for_ready=True
                )
                acknowledged.append(answer.result.revision)
        await control.close()

    async with asyncio.TaskGroup() as controllers:
        for number in range(4):
            controllers.create_task(give(number))
        try:
            yield
        finally:
            enough.set()


@contextlib.asynccontextmanager
async def watching_process_of(daemon: Daemon, file: Path, log_id: str, seq: int) -> AsyncIterator[None]:
    """A watching process that is killed at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.parts.watching_process", daemon.address, str(file), log_id, str(seq)),
        cwd=ROOT,
    )
    try:
        yield
        assert process.returncode is None, "the watcher ended by itself"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def grown(file: Path, count: int) -> None:
    await until(lambda: len(watching_process.read(file)) >= count, timeout_ms=30_000, what=f"{count} events are told")
