"""A real full disk under a real daemon that publishes: orders are refused, media and answers go on, nothing is lost."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rtcagent.v1 import types_pb2 as ty

from tests.parts.controller import Controller, all_reached, bars, error_reason, watching
from tests.parts.daemon import NAME, Daemon, MakeDaemon
from tests.parts.listener import Listener
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until

ROOM = "room"
CAMERA = "camera"
DISK_MB = 4
FOREVER = ty.OrderOptions(keep=ty.Keep(kind=ty.Keep.KIND_FOREVER))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of a few megabytes."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path) -> None:
    with open(disk / "filling", "ab", buffering=0) as file:
        for size in (1 << 16, 1):  # to the last byte
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def free(disk: Path) -> None:
    (disk / "filling").unlink()


async def health(daemon: Daemon, part: str) -> str:
    stub = health_pb2_grpc.HealthStub(daemon.control.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=part), timeout=5)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


async def refused(control: Controller) -> bool:
    """Give orders until one cannot be stored: the disk's last pages are taken by those before."""
    try:
        await control.start_capture(bars(), source_id="other", order=ty.OrderOptions(wait_ms=0))
        await control.stop_capture(source_id="other", order=ty.OrderOptions(wait_ms=0))
    except grpc.aio.AioRpcError as error:
        if (error.code(), error_reason(error)) != (grpc.StatusCode.UNAVAILABLE, "STORE_FAILED"):
            raise
        return True
    return False


async def test_a_full_disk_stops_orders_alone(
    small_disk: Path, make_daemon: MakeDaemon, room_server: RoomServer, listener: Listener
) -> None:
    daemon = await make_daemon(room_server, settings={"state_dir": str(small_disk / "state")})
    control = daemon.control
    assert all_reached(await control.start_capture(bars(), order=FOREVER))
    assert all_reached(await control.join(ROOM, order=FOREVER))
    await listener.join(room_server.url, room_server.token(ROOM, "ann"))
    await listener.frames(NAME, CAMERA, count=10)
    async with watching(control) as watcher:
        fill(small_disk)
        await until(lambda: refused(control), timeout_ms=20_000, what="an order is refused")
        before = (await control.state()).desired.revision

        # what happens goes on, and is reported: the engine is lost and replaced, room and camera come back
        killed_at = time.monotonic()
        await daemon.kill_engine()
        await listener.event("track_subscribed", NAME, CAMERA, after=killed_at, timeout_ms=20_000)
        await listener.frames(NAME, CAMERA, count=30)
        state = await control.state()
        assert not state.store.writable
        assert state.store.cause.reason == ty.REASON_STORE_FAILED
        assert state.store.unwritten_count > 0
        assert state.desired.revision == before
        assert [room.room_id for room in state.reported.rooms] == [ROOM]
        assert await health(daemon, "store") == "NOT_SERVING"
        assert await health(daemon, "api") == "SERVING"
        seen = len(watcher.events)

        free(small_disk)
        await watcher.event("engine_state_changed", lambda one: one.engine.state == 2, timeout_ms=15_000)
        assert all_reached(await control.mute(ROOM, True, order=FOREVER))
        state = await control.state()
        assert state.store.writable
        assert state.store.unwritten_count == 0
        await watcher.until(
            lambda: watcher.events[-1].seq >= state.position.seq, timeout_ms=5000, what="the watcher is up to date"
        )
        assert not watcher.gaps
        assert len(watcher.events) > seen
        first = watcher.events[0].seq
        assert [one.seq for one in watcher.events] == list(range(first, first + len(watcher.events)))


async def test_a_daemon_started_on_a_full_disk_publishes(
    small_disk: Path, make_daemon: MakeDaemon, room_server: RoomServer, listener: Listener
) -> None:
    daemon = await make_daemon(room_server, settings={"state_dir": str(small_disk / "state")})
    control = daemon.control
    assert all_reached(await control.start_capture(bars(), order=FOREVER))
    assert all_reached(await control.join(ROOM, order=FOREVER))
    log_id = (await control.state()).position.log_id
    assert await daemon.stop() == 0
    fill(small_disk)
    await daemon.start()
    await listener.join(room_server.url, room_server.token(ROOM, "ann"))
    await listener.frames(NAME, CAMERA, count=10, timeout_ms=20_000)
    await until(lambda: refused(control), timeout_ms=20_000, what="an order is refused")
    free(small_disk)

    async def taken() -> bool:
        return not await refused(control)

    await until(taken, timeout_ms=15_000, what="orders are taken")
    state = await control.state()
    assert (state.store.writable, state.position.log_id) == (True, log_id)
    assert [room.config.room_id for room in state.desired.rooms] == [ROOM]
