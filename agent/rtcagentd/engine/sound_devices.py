"""The machine's speakers and microphones as devices of the agent, told as they come and go."""

from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine.events import Events
from rtcagentd.engine.pulse import Pulse, SoundDevice

_KIND = {"speaker": types.Device.KIND_SPEAKER, "microphone": types.Device.KIND_MICROPHONE}


class SoundDevices:
    """Follows the sound server. On the event loop only."""

    def __init__(self, pulse: Pulse, events: Events) -> None:
        self._pulse = pulse
        self._events = events
        self._devices: dict[str, types.Device] = {}
        pulse.on_change(self._compare)

    def all(self) -> list[types.Device]:
        return [device for _, device in sorted(self._devices.items())]

    def _compare(self) -> None:
        snapshot = self._pulse.snapshot
        defaults = (snapshot.default_microphone, snapshot.default_speaker)
        found = {
            each.name: _device(each, is_default=each.name in defaults)
            for each in (*snapshot.microphones.values(), *snapshot.speakers.values())
        }
        before, self._devices = self._devices, found
        for device_id in sorted(before.keys() - found.keys()):
            self._events.emit(contract.EngineEvent(device_gone=contract.DeviceGone(device_id=device_id)))
        for device_id, device in sorted(found.items()):
            if before.get(device_id) != device:
                self._events.emit(contract.EngineEvent(device_changed=contract.DeviceChanged(device=device)))


def _device(sound: SoundDevice, *, is_default: bool) -> types.Device:
    return types.Device(
        device_id=sound.name,
        kind=_KIND[sound.kind],
        name=sound.description,
        path=sound.name,
        present=True,
        usb_port=sound.usb_port,
        serial=sound.serial,
        driver=sound.driver,
        is_default=is_default,
        monitor=sound.monitor,
        alsa_card=sound.alsa_card,
    )
