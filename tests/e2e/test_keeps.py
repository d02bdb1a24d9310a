"""How long orders hold, over `kill -9` of the daemon and boots of the machine; judged by who sees the agent."""

import time
from pathlib import Path

import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts.controller import Watcher, bars, kind_and_reason, watching
from tests.parts.daemon import NAME, Daemon, MakeDaemon, faults_environment
from tests.parts.listener import Listener
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until

ROOM = "lobby"
CAMERA = "camera"
REACHED = ("REACHED", "")
FOREVER = ty.OrderOptions(keep=ty.Keep(kind=ty.Keep.KIND_FOREVER))
THIS_BOOT = ty.OrderOptions(keep=ty.Keep(kind=ty.Keep.KIND_THIS_BOOT))


class Machine:
    """The daemon's machine: its boots, real to the daemon alone."""

    def __init__(self, daemon: Daemon, boot_id_file: Path) -> None:
        self.daemon = daemon
        self._boot_id_file = boot_id_file

    async def power_cut(self, *, boots: bool = True) -> None:
        """Kill the daemon, and start it after a boot, or without one."""
        await self.daemon.kill()
        if boots:
            self._boot_id_file.write_text("another boot")
        await self.daemon.start()


@pytest_asyncio.fixture
async def machine(room_server: RoomServer, make_daemon: MakeDaemon, tmp_path: Path) -> Machine:
    boot_id_file = tmp_path / "boot-id"
    boot_id_file.write_text("one boot")
    daemon = await make_daemon(room_server, environment=faults_environment(boot_id=boot_id_file))
    return Machine(daemon, boot_id_file)


async def test_orders_for_this_boot_outlast_the_daemon_and_not_the_boot(
    room_server: RoomServer, machine: Machine, listener: Listener
) -> None:
    """One room and the camera are for ever, the other room for this boot: after a boot nobody sees the agent there."""
    control = machine.daemon.control
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    await control.start_capture(bars(), order=FOREVER)
    assert kind_and_reason(await control.join("lasting", order=FOREVER)) == REACHED
    assert kind_and_reason(await control.join(ROOM, order=THIS_BOOT)) == REACHED
    await listener.frames(NAME, CAMERA, count=5)

    killed_at = time.monotonic()
    await machine.power_cut(boots=False)
    await listener.event("track_subscribed", NAME, CAMERA, after=killed_at)
    await listener.frames(NAME, CAMERA, count=5)

    killed_at = time.monotonic()
    await machine.daemon.kill()
    await listener.event("participant_disconnected", NAME, after=killed_at, timeout_ms=30_000)
    started_at = time.monotonic()
    await machine.power_cut()
    await published(machine.daemon, "lasting")
    assert [room.room_id for room in (await control.state()).reported.rooms] == ["lasting"]
    assert not [seen for seen in listener.events if seen.at > started_at]
    assert listener.video(NAME, CAMERA).count_since(started_at) == 0
    async with watching(control, after=st.Position()) as watcher:
        ended = await watcher.event("order_ended")
    assert ended.order_ended.object.room_id == ROOM
    assert "booted" in ended.order_ended.cause.message


async def test_what_ended_while_the_daemon_was_down_is_not_begun_again(
    room_server: RoomServer, machine: Machine, listener: Listener
) -> None:
    """The camera is not opened and the room not joined, not even for a moment."""
    control = machine.daemon.control
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    end = Timestamp()
    end.FromMilliseconds(int(time.time() * 1000) + 4000)
    passing = ty.OrderOptions(keep=ty.Keep(kind=ty.Keep.KIND_UNTIL, until=end))
    assert kind_and_reason(await control.start_capture(bars(), order=passing)) == REACHED
    assert kind_and_reason(await control.join(ROOM, order=passing)) == REACHED
    await listener.frames(NAME, CAMERA, count=1)
    killed_at = time.monotonic()
    await machine.daemon.kill()
    await listener.event("participant_disconnected", NAME, after=killed_at, timeout_ms=30_000)
    await until(lambda: time.time() * 1000 > end.ToMilliseconds(), timeout_ms=10_000, what="its time has come")

    started_at = time.monotonic()
    await machine.daemon.start()
    async with watching(control, after=st.Position()) as watcher:
        await watcher.until(lambda: count(watcher, "order_ended") == 2, timeout_ms=10_000, what="both orders ended")
        since = max(event.seq for event in watcher.events if event.WhichOneof("payload") == "agent_started")
        runs = await watcher.event("engine_state_changed", after_seq=since)
        assert all(event.seq < runs.seq for event in watcher.events if event.WhichOneof("payload") == "order_ended")
        later = {event.WhichOneof("payload") for event in watcher.events if event.seq > since}
    assert not {"capture_state_changed", "room_state_changed", "publication_state_changed"} & later
    state = await control.state()
    assert not state.desired.rooms
    assert not state.desired.captures
    assert not state.reported.captures
    assert not [seen for seen in listener.events if seen.at > started_at]


async def test_being_alone_is_counted_anew_after_a_restart(machine: Machine) -> None:
    control = machine.daemon.control
    alone = ty.OrderOptions(keep=ty.Keep(kind=ty.Keep.KIND_UNTIL_ALONE, alone_s=4))
    assert kind_and_reason(await control.join(ROOM, order=alone)) == REACHED
    first = (await control.room(ROOM) or st.RoomStatus()).joined_at.ToMilliseconds()
    await machine.power_cut(boots=False)
    async with watching(control, after=st.Position()) as watcher:
        ended = await watcher.event("order_ended", timeout_ms=20_000)
        joined = [
            event.at.ToMilliseconds()
            for event in watcher.events
            if event.WhichOneof("payload") == "room_state_changed"
            and event.room_state_changed.room.state == st.ROOM_STATE_JOINED
        ]
    assert len(joined) == 2
    assert joined[1] - first > 500  # so that a count that went on would be noticed
    assert ended.at.ToMilliseconds() - joined[1] >= 3900


async def test_a_request_is_known_after_a_power_cut(machine: Machine) -> None:
    control = machine.daemon.control
    order = ty.OrderOptions(request_id="one", keep=FOREVER.keep)
    first = await control.join(ROOM, order=order)
    await machine.power_cut()
    again = await control.join(ROOM, order=order)
    assert again.revision == first.revision
    assert kind_and_reason(again) == REACHED
    async with watching(control, after=st.Position()) as watcher:
        await watcher.event("desired_state_changed")
        assert count(watcher, "desired_state_changed") == 1


def count(watcher: Watcher, payload: str) -> int:
    return sum(1 for event in watcher.events if event.WhichOneof("payload") == payload)


async def published(daemon: Daemon, room_id: str) -> None:
    async def is_published() -> bool:
        room = await daemon.control.room(room_id)
        return room is not None and [each.state for each in room.publications] == [st.PUBLICATION_STATE_PUBLISHED]

    await until(is_published, timeout_ms=20_000, what=f"the camera is published in {room_id}")
