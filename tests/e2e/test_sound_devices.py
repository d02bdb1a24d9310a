"""Microphones and speakers beside cameras: listed, followed, default, in slots; and a machine without a server."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from rtcagent.v1 import capture_pb2 as cap
from rtcagent.v1 import devices_pb2 as dv
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts.controller import Controller, bars, error_reason, kind_and_reason, watching
from tests.parts.daemon import Daemon, MakeDaemon
from tests.parts.pulse import Pulse
from tests.parts.sound import tone
from tests.parts.waiting import until

TIMES = 20


@pytest_asyncio.fixture
async def pulse() -> AsyncIterator[Pulse]:
    async with Pulse() as server:
        await server.add_speaker("hall")
        await server.add_microphone("desk")
        yield server


@pytest_asyncio.fixture
async def with_sound(make_daemon: MakeDaemon, pulse: Pulse) -> Daemon:
    return await make_daemon(environment=pulse.environment)


async def listed(control: Controller) -> dv.ListDevicesResponse:
    return await control.devices.ListDevices(dv.ListDevicesRequest())  # type: ignore[no-any-return]


async def test_they_are_listed_and_followed(with_sound: Daemon, pulse: Pulse) -> None:
    control = with_sound.control
    found = await listed(control)
    assert found.sound.connected
    assert "pulseaudio" in found.sound.server.lower()
    devices = {device.device_id: device for device in found.devices}
    assert devices["hall"].kind == ty.Device.KIND_SPEAKER
    assert devices["hall"].is_default
    assert devices["hall"].monitor == "hall.monitor"
    assert devices["desk"].kind == ty.Device.KIND_MICROPHONE
    assert "hall.monitor" not in devices, "what is played is no microphone"
    async with watching(control) as watcher:
        await pulse.add_speaker("lamp")
        await watcher.event("device_added", lambda event: event.device.device_id == "lamp")
        await pulse.set_default_speaker("lamp")
        changed = await watcher.event(
            "device_added", lambda event: event.device.device_id == "lamp" and event.device.is_default
        )
        await watcher.event(
            "device_added",
            lambda event: event.device.device_id == "hall" and not event.device.is_default,
            after_seq=changed.seq - 2,
        )
        for _ in range(TIMES):
            seq = watcher.events[-1].seq
            await pulse.remove("desk")
            await watcher.event("device_removed", lambda event: event.device_id == "desk", after_seq=seq)
            await pulse.add_microphone("desk")
            await watcher.event("device_added", lambda event: event.device.device_id == "desk", after_seq=seq)
    known = {device.device_id: device.present for device in (await listed(control)).devices}
    assert known["desk"]
    await pulse.remove("hall")
    async with watching(control, after=st.Position(log_id=watcher.log_id, seq=seq)) as later:
        await later.event("device_removed", lambda event: event.device_id == "hall")
    known = {device.device_id: device.present for device in (await listed(control)).devices}
    assert known["hall"] is False, "it is known, and absent"


async def test_a_sound_server_that_goes_and_comes_back(with_sound: Daemon, pulse: Pulse) -> None:
    control = with_sound.control
    async with watching(control) as watcher:
        await pulse.kill()
        gone = await watcher.event("sound_status_changed", lambda event: not event.sound.connected)
        assert gone.sound_status_changed.sound.problem
        await watcher.event("device_removed", lambda event: event.device_id == "hall")
        await pulse.start()
        await watcher.event("sound_status_changed", lambda event: event.sound.connected, after_seq=gone.seq)
        await pulse.add_speaker("hall")
        await watcher.event("device_added", lambda event: event.device.device_id == "hall", after_seq=gone.seq)


async def test_without_a_sound_server_it_is_said_so(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    nowhere = {"PULSE_SERVER": f"unix:{tmp_path}/nobody", "DBUS_SESSION_BUS_ADDRESS": "disabled:"}
    daemon = await make_daemon(environment=nowhere)
    found = await listed(daemon.control)
    assert not found.sound.connected
    assert "sound server" in found.sound.problem
    assert not [device for device in found.devices if device.kind != ty.Device.KIND_CAMERA]


async def test_a_slot_is_a_microphone_for_who_needs_one(with_sound: Daemon) -> None:
    control = with_sound.control
    slot = ty.Slot(name="table", matches=[ty.Slot.Match(name="desk")])
    await control.devices.SetSlot(dv.SetSlotRequest(slot=slot))
    (status,) = (await control.devices.ListSlots(dv.ListSlotsRequest())).slots
    assert list(status.device_ids) == ["desk"]
    microphone = ty.AudioInput(microphone=ty.AudioInput.Microphone(device_id="desk"))
    request = cap.StartAudioCaptureRequest(source_id="mic", config=ty.AudioCaptureConfig(input=microphone))
    await control.capture.StartAudioCapture(request)
    switched = await control.devices.SetCaptureDevice(dv.SetCaptureDeviceRequest(source_id="mic", slot="table"))
    assert kind_and_reason(switched.result) == ("REACHED", "")
    (capture,) = (await control.desired()).captures
    assert capture.audio.input.microphone.slot == "table"

    await control.start_capture(bars(320, 180), source_id="picture")
    for source_id, device_id, reason in (
        ("mic", "hall", "DEVICE_KIND_WRONG"),
        ("mic", "no-such-microphone", "DEVICE_NOT_FOUND"),
        ("picture", "desk", "NOT_OF_A_DEVICE"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await control.devices.SetCaptureDevice(dv.SetCaptureDeviceRequest(source_id=source_id, device_id=device_id))
        assert error_reason(refused.value) == reason


async def test_a_microphone_is_listened_to_without_capturing_it(with_sound: Daemon, pulse: Pulse) -> None:
    control = with_sound.control
    playing = await pulse.play("desk.mouth", tone(440, -20, 1.0), loop=True)
    request = dv.TestMicrophoneRequest(device_id="desk", duration_ms=1500)
    heard = await control.devices.TestMicrophone(request)
    await playing.stop()
    assert heard.device_id == "desk"
    assert len(heard.levels) > 5
    assert max(level.peak_dbfs for level in heard.levels) > -40
    assert not (await control.state()).reported.captures
    assert not [one for one in await pulse.source_outputs() if one["client"] is not None], "it is closed afterwards"
    for given, code, reason in (
        ({"device_id": "hall"}, grpc.StatusCode.NOT_FOUND, "DEVICE_NOT_FOUND"),
        ({"device_id": "nobody"}, grpc.StatusCode.NOT_FOUND, "DEVICE_NOT_FOUND"),
        ({"slot": "nowhere"}, grpc.StatusCode.NOT_FOUND, "SLOT_NOT_FOUND"),
        ({"duration_ms": 100}, grpc.StatusCode.INVALID_ARGUMENT, "DURATION_INVALID"),
        ({"duration_ms": 60_000}, grpc.StatusCode.INVALID_ARGUMENT, "DURATION_INVALID"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await control.devices.TestMicrophone(dv.TestMicrophoneRequest(**given))
        assert (refused.value.code(), error_reason(refused.value)) == (code, reason)
    await pulse.remove("desk")

    async def absent() -> bool:
        return not {one.device_id: one.present for one in (await listed(control)).devices}["desk"]

    await until(absent, timeout_ms=10_000, what="the microphone is unplugged")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await control.devices.TestMicrophone(request)
    assert error_reason(refused.value) == "DEVICE_ABSENT"
