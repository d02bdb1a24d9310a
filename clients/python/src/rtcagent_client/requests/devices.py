"""The calls of the service Devices. What every order takes is told in requests/rooms.py."""

from collections.abc import Iterable

from rtcagent.v1.devices_pb2 import (
    ListDevicesRequest,
    ListDevicesResponse,
    ListSlotsRequest,
    SetCaptureDeviceRequest,
    SetSlotRequest,
    SlotStatus,
    TestMicrophoneRequest,
    TestMicrophoneResponse,
)
from rtcagent.v1.state_pb2 import SoundStatus
from rtcagent.v1.types_pb2 import Device, Keep, OrderResult, Slot

from rtcagent_client.requests.call import ANSWER_S, Call, order_call, order_options


def device_match(
    *, device_id: str = "", serial: str = "", usb_port: str = "", name: str = "", alsa_card: str = ""
) -> Slot.Match:
    """A device by its properties, for set_slot; every one that is given must be equal."""
    return Slot.Match(device_id=device_id, serial=serial, usb_port=usb_port, name=name, alsa_card=alsa_card)


def list_devices() -> Call[list[Device]]:
    """The devices that are plugged in, and those seen earlier, with their formats."""
    return Call("devices", "ListDevices", ListDevicesRequest(), lambda response: list(response.devices))


def list_devices_and_sound() -> Call[ListDevicesResponse]:
    """As list_devices, with what get_sound_status says."""
    return Call("devices", "ListDevices", ListDevicesRequest(), lambda response: response)


def get_sound_status() -> Call[SoundStatus]:
    """Whether there is a sound server, without which there are neither microphones nor speakers."""
    return Call("devices", "ListDevices", ListDevicesRequest(), lambda response: response.sound)


def set_slot(
    name: str,
    matches: Iterable[Slot.Match] = (),
    *,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Name a device by stable properties (see device_match); the first match that is plugged in is used.

    No matches: removes the slot. Holds for ever unless `keep` says otherwise. Raises FailedPrecondition (SLOT_IN_USE).
    """
    request = SetSlotRequest(slot=Slot(name=name, matches=matches), order=order_options(wait_ms, keep, request_id))
    return order_call("devices", "SetSlot", request, wait_ms=wait_ms, check=check)


def set_capture_device(
    source_id: str = "camera",
    device_id: str = "",
    *,
    slot: str = "",
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Take a source from another camera or microphone, by device_id or slot, while its streams stay published.

    Neither: the slot named like the source, else the first camera or default microphone. Holds as long as the capture
    did unless `keep` says otherwise. Raises NotFound (capture, device, slot), InvalidArgument, FailedPrecondition.
    """
    if device_id and slot:
        raise ValueError("a device is named by device_id or by slot, not by both")
    request = SetCaptureDeviceRequest(source_id=source_id, order=order_options(wait_ms, keep, request_id))
    if device_id:
        request.device_id = device_id
    elif slot:
        request.slot = slot
    return order_call("devices", "SetCaptureDevice", request, wait_ms=wait_ms, check=check)


def test_microphone(
    device_id: str = "",  # noqa: PT028 (no test)
    *,
    slot: str = "",  # noqa: PT028
    duration_ms: int = 3000,  # noqa: PT028
) -> Call[TestMicrophoneResponse]:
    """How loud a microphone is for some time (200-10000 ms), ten readings a second; answers when it is over.

    Neither device_id nor slot: the default one. Raises NotFound, FailedPrecondition (DEVICE_ABSENT, TEST_UNDER_WAY).
    """
    if device_id and slot:
        raise ValueError("a microphone is named by device_id or by slot, not by both")
    request = TestMicrophoneRequest(duration_ms=duration_ms)
    if device_id:
        request.device_id = device_id
    elif slot:
        request.slot = slot
    wait_s = duration_ms / 1000
    return Call("devices", "TestMicrophone", request, lambda response: response, answer_s=wait_s + ANSWER_S)


def list_slots() -> Call[list[SlotStatus]]:
    """The slots, and the device that each stands for now."""
    return Call("devices", "ListSlots", ListSlotsRequest(), lambda response: list(response.slots))
