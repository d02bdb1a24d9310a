"""The package on a kernel with a camera: in its room at boot, and again after whatever befalls it, a power cut too.

The tests share one machine and run in this order; each leaves the camera in its room. Its processor is emulated: times
say nothing.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rtcagent.v1 import devices_pb2 as dv
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts.controller import Controller, watching
from tests.vm.cameras import plug_vivid, unplug_vivid
from tests.vm.kiosk import (
    AGENT,
    DAEMON,
    ENGINE,
    ROOM,
    SLOW_MS,
    SOURCE,
    Kiosk,
    is_live,
    shows_its_camera,
    until_published,
    until_state,
)

pytestmark = pytest.mark.timeout(900, func_only=True)

Record = Callable[[str, object], None]


@pytest.fixture
def kiosk(kiosk_machine: Kiosk, shown_logs: dict[str, Callable[[], str]]) -> Kiosk:
    shown_logs["the kiosk's units"] = kiosk_machine.journal
    return kiosk_machine


async def test_in_its_room_at_boot(kiosk: Kiosk, record_property: Record) -> None:
    """With nobody's help: a participant sees the camera."""
    began = time.monotonic()
    async with kiosk.controller() as control:
        state = await until_published(control)
        record_property("published_s", round(time.monotonic() - began, 1))
        (capture,) = state.reported.captures
        (device,) = [each for each in state.reported.devices if each.device_id == capture.device_id]
        assert device.driver == "vivid"
        assert [room.order.keep.kind for room in state.desired.rooms] == [ty.Keep.KIND_FOREVER]
        await shows_its_camera(kiosk, control)


async def test_the_camera_unplugged_and_plugged_in_again(kiosk: Kiosk) -> None:
    async with kiosk.controller() as control, watching(control) as watcher, kiosk.listener(control) as listener:
        await until_state(control, is_live, "it is live")
        await asyncio.to_thread(unplug_vivid, kiosk.machine)
        await watcher.event("device_removed", timeout_ms=SLOW_MS)
        waiting = await watcher.event(
            "capture_state_changed", lambda event: event.capture.state == st.CAPTURE_STATE_WAITING, timeout_ms=SLOW_MS
        )
        assert waiting.capture_state_changed.capture.cause.reason in (
            ty.REASON_DEVICE_UNPLUGGED,
            ty.REASON_DEVICE_ABSENT,
        )
        state = await until_state(control, lambda state: not is_live(state), "it is not said to be live")
        assert [outcome.object.source_id for outcome in state.differences if outcome.object.source_id] == [SOURCE]
        await asyncio.to_thread(plug_vivid, kiosk.machine)
        await watcher.event("device_added", after_seq=waiting.seq, timeout_ms=SLOW_MS)
        await listener.frames(AGENT, SOURCE, count=5, timeout_ms=SLOW_MS)
        await until_state(control, is_live, "it is live again")


@pytest.mark.parametrize(
    ("unit", "signal"),
    [
        pytest.param(ENGINE, "KILL", id="engine killed"),
        pytest.param(DAEMON, "STOP", id="daemon hung"),
        # what the watchdog does to a hung one, and a container's test at full speed
        pytest.param(DAEMON, "KILL", id="daemon killed", marks=pytest.mark.soak),
    ],
)
async def test_back_in_its_room(kiosk: Kiosk, unit: str, signal: str, record_property: Record) -> None:
    """A hung daemon is found by systemd's watchdog."""
    async with kiosk.controller() as control:
        before = await until_published(control)
        began = time.monotonic()
        await asyncio.to_thread(kiosk.signal, unit, signal)
        after = await until_published(control, after_generation=before.reported.engine.generation)
        record_property("published_s", round(time.monotonic() - began, 1))
        assert after.position.log_id == before.position.log_id
        await shows_its_camera(kiosk, control)


async def test_a_power_cut(kiosk: Kiosk, record_property: Record) -> None:
    """What was acknowledged is there, the log goes on in its own numbers, and the camera is in its room."""
    async with kiosk.controller() as control:
        await until_published(control)
        events, gap = await _log(control)
        assert not gap
        slot = ty.Slot(name="last-order", matches=[ty.Slot.Match(serial="A1B2C3")])
        await control.devices.SetSlot(dv.SetSlotRequest(slot=slot), timeout=30)
        before = await control.state()
        assert [each.slot.name for each in before.desired.slots] == ["last-order"]
        # not in a thread: the machine lives as long as the thread that booted it
        kiosk.machine.cut_power()
    began = time.monotonic()
    async with kiosk.controller() as control:
        after = await until_published(control, after_generation=before.reported.engine.generation)
        record_property("published_s", round(time.monotonic() - began, 1))
        assert after.desired == before.desired
        assert after.position.log_id == before.position.log_id
        replayed, gap = await _log(control)
        assert not gap
        assert [event.seq for event in replayed] == list(range(replayed[0].seq, replayed[0].seq + len(replayed)))
        assert replayed[: len(events)] == events
        assert replayed[-1].seq >= before.position.seq
        boots = [event.agent_started.boot_id for event in replayed if event.WhichOneof("payload") == "agent_started"]
        assert boots[-1] != boots[-2]
        kept = kiosk.machine.run("ls", "/var/lib/rtcagent")
        assert "damaged" not in kept
        await shows_its_camera(kiosk, control)


async def _log(control: Controller) -> tuple[list[ev.Event], bool]:
    """Every event of the log until now, and whether there is a gap."""
    position = (await control.state()).position
    start = st.Position(log_id=position.log_id, seq=0)
    async with watching(control, start) as watcher:
        await watcher.until(
            lambda: bool(watcher.events) and watcher.events[-1].seq >= position.seq,
            timeout_ms=SLOW_MS,
            what="the log is replayed",
        )
        return list(watcher.events), bool(watcher.gaps)


@pytest.mark.soak  # two minutes of unpacking; a container's test does the same at full speed
async def test_upgraded(kiosk: Kiosk, packages: list[Path], record_property: Record) -> None:
    """Orders, state and log stay, and the camera is in its room by the new version."""
    async with kiosk.controller() as control:
        before = await until_published(control)
        began = time.monotonic()
        await asyncio.to_thread(kiosk.upgrade, packages[1])
        after = await until_published(control, after_generation=before.reported.engine.generation)
        record_property("published_s", round(time.monotonic() - began, 1))
        version = packages[1].name.split("_")[1]
        assert version in await asyncio.to_thread(kiosk.machine.run, "readlink", "/usr/lib/rtcagent/current")
        assert after.desired == before.desired
        assert after.position.log_id == before.position.log_id
        assert ROOM in {room.room_id for room in after.reported.rooms}
        await shows_its_camera(kiosk, control)
