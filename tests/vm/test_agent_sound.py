"""A sound card of the kernel, by PulseAudio: found, sent into a room, unplugged meanwhile, plugged in again."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from rtcagent.v1 import capture_pb2 as cap
from rtcagent.v1 import devices_pb2 as dv
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts import sound
from tests.parts.controller import Controller, kind_and_reason, watching
from tests.parts.listener import Listener
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until
from tests.vm.agent import AGENT, PATIENT, SLOW_MS, in_thread
from tests.vm.machine import Machine
from tests.vm.sound_card import CARD, TONE_HZ, plug, sound_server, tone, unplug

pytestmark = pytest.mark.timeout(600, func_only=True)

ROOM, MICROPHONE = "studio", "microphone"


@pytest.fixture
def card(machine: Machine, tmp_path: Path) -> Iterator[None]:
    plug(machine)
    with sound_server(machine, tmp_path):
        yield
    unplug(machine)


def is_tone(samples: sound.Samples) -> bool:
    mono = samples.mean(axis=0)
    return abs(sound.frequency(mono) - TONE_HZ) < 10 and sound.level(mono) > -40


async def test_a_sound_card_is_sent_unplugged_and_plugged_in_again(
    machine: Machine,
    card: None,
    control: Controller,
    reachable_server: RoomServer,
    listener: Listener,
    tmp_path: Path,
) -> None:
    found: list[ty.Device] = []

    async def is_found() -> bool:
        devices = (await control.devices.ListDevices(dv.ListDevicesRequest())).devices
        kind = ty.Device.KIND_MICROPHONE
        found[:] = [one for one in devices if one.present and one.kind == kind and CARD in (one.alsa_card, one.name)]
        return bool(found)

    await until(is_found, timeout_ms=SLOW_MS, what="the sound card is found")
    await listener.join(reachable_server.url, reachable_server.token(ROOM, "listener"))
    token = reachable_server.token(ROOM, AGENT)
    joined = await control.join(ROOM, order=PATIENT, server_url=reachable_server.url, token=token)
    assert kind_and_reason(joined) == ("REACHED", ""), joined
    which = ty.AudioInput.Microphone(device_id=found[0].device_id)
    off = ty.AudioProcessing(echo_cancellation=False, noise_suppression=False, auto_gain=False)
    config = ty.AudioCaptureConfig(input=ty.AudioInput(microphone=which), processing=off)
    async with watching(control) as watcher, in_thread(tone(machine, tmp_path)):
        request = cap.StartAudioCaptureRequest(source_id=MICROPHONE, config=config, order=PATIENT)
        started = (await control.capture.StartAudioCapture(request)).result
        assert kind_and_reason(started) == ("REACHED", ""), started
        await listener.hear(AGENT, MICROPHONE, until=is_tone, timeout_ms=SLOW_MS)
        sid = listener.heard(AGENT, MICROPHONE).sid

        await asyncio.to_thread(unplug, machine)
        gone = await watcher.event(
            "capture_state_changed", lambda e: e.capture.state == st.CAPTURE_STATE_WAITING, timeout_ms=SLOW_MS
        )
        reason = gone.capture_state_changed.capture.cause.reason
        assert reason in (ty.REASON_DEVICE_UNPLUGGED, ty.REASON_DEVICE_ABSENT), gone
        await watcher.event("device_removed", lambda e: e.device_id == found[0].device_id, timeout_ms=SLOW_MS)
        await asyncio.to_thread(plug, machine)
        async with in_thread(tone(machine, tmp_path)):
            await watcher.event(
                "capture_state_changed",
                lambda e: e.capture.state == st.CAPTURE_STATE_CAPTURING,
                after_seq=gone.seq,
                timeout_ms=SLOW_MS,
            )
            await listener.hear(AGENT, MICROPHONE, until=is_tone, timeout_ms=SLOW_MS)
    assert listener.heard(AGENT, MICROPHONE).sid == sid, "it was published anew"
