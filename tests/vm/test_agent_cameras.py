"""The whole agent in the test machine, with real camera drivers: found, published, unplugged, plugged in again.

The controller, the room server and the listener run outside, at full speed; ssh carries the control socket and the
media (over TCP) in and out.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import grpc.aio
import pytest
from rtcagent.v1 import capture_pb2 as cap
from rtcagent.v1 import devices_pb2 as dv
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts.controller import Controller, error_reason, kind_and_reason, watching
from tests.parts.listener import Listener
from tests.parts.room_server import RoomServer
from tests.parts.slate import shows_slate
from tests.parts.waiting import until
from tests.vm.agent import AGENT, PATIENT, SLOW_MS, in_thread
from tests.vm.cameras import native, shows_ball, shows_bars, usb_camera, vivid_unplugged
from tests.vm.machine import GuestProcess, Machine

pytestmark = pytest.mark.timeout(600, func_only=True)

T = TypeVar("T")

ROOM = "lobby"
SERIAL, OTHER_SERIAL = "CAM0001", "CAM0002"
UNPLUGGED_TIMES = 20
BRIEF = ty.OrderOptions(wait_ms=3_000)


@pytest.fixture
def usb(machine: Machine, tmp_path: Path) -> Iterator[GuestProcess]:
    with usb_camera(machine, SERIAL, tmp_path) as camera:
        yield camera


async def cameras(control: Controller) -> dict[str, ty.Device]:
    """The cameras that are plugged in, by their driver."""
    response = await control.devices.ListDevices(dv.ListDevicesRequest())
    return {device.driver: device for device in response.devices if device.present}


async def found_cameras(control: Controller) -> dict[str, ty.Device]:
    """Both cameras, as soon as the agent has found them."""
    found: dict[str, ty.Device] = {}

    async def both() -> bool:
        found.clear()
        found.update(await cameras(control))
        return found.keys() == {"vivid", "uvcvideo"}

    await until(both, timeout_ms=SLOW_MS, what=lambda: f"both cameras are found: {found}")
    return found


def camera(device: ty.Device, pixel_format: ty.PixelFormat.ValueType = ty.PIXEL_FORMAT_UNSPECIFIED) -> ty.CaptureConfig:
    which = ty.VideoInput.Camera(device_id=device.device_id, pixel_format=pixel_format)
    return ty.CaptureConfig(input=ty.VideoInput(camera=which), output=ty.VideoFormat(width=320, height=240, max_fps=15))


async def join(control: Controller, server: RoomServer) -> None:
    result = await control.join(ROOM, order=PATIENT, server_url=server.url, token=server.token(ROOM, AGENT))
    assert kind_and_reason(result) == ("REACHED", ""), result


async def test_cameras_are_published_unplugged_and_plugged_in_again(
    machine: Machine,
    control: Controller,
    reachable_server: RoomServer,
    listener: Listener,
    usb: GuestProcess,
    tmp_path: Path,
) -> None:
    """Two cameras in a room at once; one of them goes and comes back, and its publication stays."""
    device = await found_cameras(control)
    await listener.join(reachable_server.url, reachable_server.token(ROOM, "listener"))
    async with watching(control) as watcher:
        await join(control, reachable_server)
        for source_id, driver in (("usb", "uvcvideo"), ("built-in", "vivid")):
            result = await control.start_capture(camera(device[driver]), source_id=source_id, order=PATIENT)
            assert kind_and_reason(result) == ("REACHED", ""), result
            result = await control.publish(ROOM, source_id=source_id, order=PATIENT)
            assert kind_and_reason(result) == ("REACHED", ""), result

        for source_id, fits in (("usb", shows_ball), ("built-in", shows_bars)):
            await listener.picture(AGENT, source_id, until=fits, timeout_ms=SLOW_MS)
            assert listener.video(AGENT, source_id).size() == (320, 240)
            sent = await watcher.event("first_frame_sent", by_source(source_id), timeout_ms=SLOW_MS)
            assert (sent.first_frame_sent.width, sent.first_frame_sent.height) == (320, 240)

        await asyncio.to_thread(usb.stop)
        removed = await watcher.event(
            "device_removed",
            lambda event: event.device_id == device["uvcvideo"].device_id,
            timeout_ms=SLOW_MS,
        )
        waiting = await watcher.event(
            "capture_state_changed", captured("usb", st.CAPTURE_STATE_WAITING), timeout_ms=SLOW_MS
        )
        reason = waiting.capture_state_changed.capture.cause.reason
        assert reason in (ty.REASON_DEVICE_UNPLUGGED, ty.REASON_DEVICE_ABSENT), waiting
        await listener.frames(AGENT, "built-in", count=5, timeout_ms=SLOW_MS)
        assert "uvcvideo" not in await cameras(control)

        seq = max(removed.seq, waiting.seq)
        async with (
            in_thread(usb_camera(machine, OTHER_SERIAL, tmp_path)),  # takes the number that the first one had
            in_thread(usb_camera(machine, SERIAL, tmp_path)),
        ):
            added = await watcher.event("device_added", added_as(device["uvcvideo"]), after_seq=seq, timeout_ms=SLOW_MS)
            assert added.device_added.device.path != device["uvcvideo"].path
            capturing = captured("usb", st.CAPTURE_STATE_CAPTURING)
            again = await watcher.event("capture_state_changed", capturing, after_seq=seq, timeout_ms=SLOW_MS)
            assert again.capture_state_changed.capture.device_id == device["uvcvideo"].device_id
            await listener.frames(AGENT, "usb", count=5, timeout_ms=SLOW_MS)
        assert "track_unpublished" not in {seen.kind for seen in listener.events}, listener.account()


@pytest.mark.timeout(900, func_only=True)
async def test_a_slate_stands_in_twenty_times(
    machine: Machine, control: Controller, reachable_server: RoomServer, listener: Listener, tmp_path: Path
) -> None:
    """The camera of a slot is unplugged and plugged in under another number, again and again: one track all along."""
    await control.devices.SetSlot(dv.SetSlotRequest(slot=ty.Slot(name="front", matches=[ty.Slot.Match(serial=SERIAL)])))
    config = ty.CaptureConfig(
        input=ty.VideoInput(camera=ty.VideoInput.Camera(slot="front")),
        output=ty.VideoFormat(width=320, height=240, max_fps=15),
    )
    await listener.join(reachable_server.url, reachable_server.token(ROOM, "listener"))
    await join(control, reachable_server)
    result = await control.start_capture(config, order=BRIEF)
    assert kind_and_reason(result) == ("WAITING", "DEVICE_ABSENT"), result
    await listener.picture(AGENT, "camera", until=shows_slate, timeout_ms=SLOW_MS)  # from the start
    sid = listener.video(AGENT, "camera").sid
    paths: list[str] = []
    slate_s: list[float] = []
    live_s: list[float] = []
    async with watching(control) as watcher:
        for number in range(UNPLUGGED_TIMES):
            async with contextlib.AsyncExitStack() as cameras_in:
                if number % 2:  # takes the number that the camera had
                    await cameras_in.enter_async_context(in_thread(usb_camera(machine, OTHER_SERIAL, tmp_path)))
                seq = max((event.seq for event in watcher.events), default=0)
                usb = await cameras_in.enter_async_context(in_thread(usb_camera(machine, SERIAL, tmp_path)))
                added = await watcher.event("device_added", by_serial(SERIAL), after_seq=seq, timeout_ms=SLOW_MS)
                paths.append(added.device_added.device.path)
                plugged_in = time.monotonic()
                await listener.picture(AGENT, "camera", until=shows_ball, timeout_ms=SLOW_MS)
                live_s.append(time.monotonic() - plugged_in)
                unplugged = time.monotonic()
                await asyncio.to_thread(usb.stop)
                await listener.picture(AGENT, "camera", until=shows_slate, timeout_ms=SLOW_MS)
                slate_s.append(time.monotonic() - unplugged)
    print(f"slate after {_spread(slate_s)} of unplugging by ssh, pictures {_spread(live_s)} after the device was told")
    assert len(set(paths)) > 1, paths
    assert listener.video(AGENT, "camera").sid == sid
    assert "track_unpublished" not in {seen.kind for seen in listener.events}, listener.account()


async def test_a_source_changes_its_camera_and_its_stream_stays(
    control: Controller, reachable_server: RoomServer, listener: Listener, usb: GuestProcess
) -> None:
    device = await found_cameras(control)
    await listener.join(reachable_server.url, reachable_server.token(ROOM, "listener"))
    await join(control, reachable_server)
    result = await control.start_capture(camera(device["vivid"]), order=PATIENT)
    assert kind_and_reason(result) == ("REACHED", ""), result
    await listener.picture(AGENT, "camera", until=shows_bars, timeout_ms=SLOW_MS)
    sid = listener.video(AGENT, "camera").sid
    request = dv.SetCaptureDeviceRequest(device_id=device["uvcvideo"].device_id, order=PATIENT)
    switched = (await control.devices.SetCaptureDevice(request)).result
    assert kind_and_reason(switched) == ("REACHED", ""), switched
    await listener.picture(AGENT, "camera", until=shows_ball, timeout_ms=SLOW_MS)
    assert listener.video(AGENT, "camera").sid == sid
    assert "track_unpublished" not in {seen.kind for seen in listener.events}, listener.account()


def _spread(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"{ordered[len(ordered) // 2]:.2f} s (at most {ordered[-1]:.2f} s)"


@pytest.mark.parametrize("driver", ["vivid", "uvcvideo"])
@pytest.mark.usefixtures("usb")
async def test_a_camera_in_use_is_waited_for(
    machine: Machine, control: Controller, driver: str, tmp_path: Path
) -> None:
    """The order stands while another program has the camera, and is carried out once it is free."""
    device = (await found_cameras(control))[driver]
    async with in_thread(machine.process(*native("follow", device.path), log=tmp_path / "user.log")) as user:
        assert "first_frame" in await asyncio.to_thread(user.read_line)
        result = await control.start_capture(camera(device), order=BRIEF)
        assert kind_and_reason(result) == ("WAITING", "DEVICE_BUSY"), result
        async with watching(control) as watcher:
            await asyncio.to_thread(user.stop)
            capturing = captured("camera", st.CAPTURE_STATE_CAPTURING)
            await watcher.event("capture_state_changed", capturing, timeout_ms=SLOW_MS)


async def test_what_a_camera_lacks_is_an_error_and_stores_nothing(control: Controller) -> None:
    device = (await cameras(control))["vivid"]
    before = await control.desired()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await control.start_capture(camera(device, ty.PIXEL_FORMAT_MJPEG))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error_reason(refused.value) == "FORMAT_UNSUPPORTED"
    assert await control.desired() == before


async def test_the_first_camera_is_captured_when_none_is_named(control: Controller) -> None:
    device = (await cameras(control))["vivid"]
    result = await control.start_capture(None, order=PATIENT)
    assert kind_and_reason(result) == ("REACHED", ""), result
    (capture,) = (await control.state()).reported.captures
    assert capture.device_id == device.device_id


async def test_a_camera_that_is_not_plugged_in_is_waited_for(machine: Machine, control: Controller) -> None:
    async with watching(control) as watcher:
        async with in_thread(vivid_unplugged(machine)):
            result = await control.start_capture(None, order=BRIEF)
            assert kind_and_reason(result) == ("WAITING", "DEVICE_ABSENT"), result
        capturing = captured("camera", st.CAPTURE_STATE_CAPTURING)
        await watcher.event("capture_state_changed", capturing, timeout_ms=SLOW_MS)


async def test_a_camera_that_is_unplugged_in_the_middle_of_an_order(machine: Machine, control: Controller) -> None:
    """The order is answered as the camera is by then, waited for, and reached when it is plugged in again."""
    vivid = (await cameras(control))["vivid"]
    ordering = asyncio.ensure_future(control.start_capture(camera(vivid), order=PATIENT))
    async with in_thread(vivid_unplugged(machine)):
        kind, reason = kind_and_reason(await ordering)
        assert kind == "REACHED" or reason in ("DEVICE_UNPLUGGED", "DEVICE_ABSENT"), (kind, reason)

        async def is_missed() -> bool:
            (capture,) = (await control.state()).reported.captures
            return capture.cause.reason == ty.REASON_DEVICE_ABSENT

        await until(is_missed, timeout_ms=SLOW_MS, what="the camera is missed")

    async def is_reached() -> bool:
        return not (await control.state()).differences

    await until(is_reached, timeout_ms=SLOW_MS, what="the camera is captured")


async def test_the_next_engine_opens_the_camera_again(machine: Machine, control: Controller) -> None:
    """SIGKILL to the engine leaves the device to the kernel, and the order to the daemon."""
    result = await control.start_capture(None, order=PATIENT)
    assert kind_and_reason(result) == ("REACHED", ""), result
    async with watching(control) as watcher:
        engine = (await control.state()).reported.engine
        await asyncio.to_thread(machine.run, "kill", "-KILL", str(engine.pid))
        capturing = captured("camera", st.CAPTURE_STATE_CAPTURING)
        await watcher.event("capture_state_changed", capturing, timeout_ms=SLOW_MS)
    snapshot = await control.capture.TakeSnapshot(cap.TakeSnapshotRequest(source_id="camera"))
    assert snapshot.image.startswith(b"\x89PNG")


async def test_a_slot_falls_back_to_the_next_camera(control: Controller, usb: GuestProcess) -> None:
    """A slot that matches the USB camera, else the vivid one, follows the unplugging."""
    device = await found_cameras(control)
    matches = [ty.Slot.Match(serial=SERIAL), ty.Slot.Match(device_id=device["vivid"].device_id)]
    await control.devices.SetSlot(dv.SetSlotRequest(slot=ty.Slot(name="front", matches=matches)))
    config = camera(device["vivid"])
    config.input.camera.slot = "front"
    async with watching(control) as watcher:
        result = await control.start_capture(config, order=PATIENT)
        assert kind_and_reason(result) == ("REACHED", ""), result
        (capture,) = (await control.state()).reported.captures
        assert capture.device_id == device["uvcvideo"].device_id

        await asyncio.to_thread(usb.stop)
        await watcher.event(
            "capture_state_changed",
            lambda event: (
                event.capture.state == st.CAPTURE_STATE_CAPTURING
                and event.capture.device_id == device["vivid"].device_id
            ),
            timeout_ms=SLOW_MS,
        )


def captured(source_id: str, state: st.CaptureState.ValueType) -> Callable[[ev.CaptureStateChanged], bool]:
    return lambda event: event.capture.source_id == source_id and event.capture.state == state


def by_source(source_id: str) -> Callable[[ev.FirstFrameSent], bool]:
    return lambda event: event.source_id == source_id


def added_as(device: ty.Device) -> Callable[[ev.DeviceAdded], bool]:
    return lambda event: event.device.device_id == device.device_id


def by_serial(serial: str) -> Callable[[ev.DeviceAdded], bool]:
    return lambda event: event.device.serial == serial
