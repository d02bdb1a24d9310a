"""Orders that give a source another device, as edits of the desired state."""

from collections.abc import Callable

from rtcagent.v1 import devices_pb2
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control import checks
from rtcagentd.control.errors import OrderError, invalid, not_found, precondition, unavailable
from rtcagentd.control.ids import DEFAULT_SOURCE_ID
from rtcagentd.control.ledger import Edit
from rtcagentd.control.objects import capture_key, slot_key
from rtcagentd.control.state import State

Edits = Callable[[Edit], None]


class DeviceOrders:
    """Checks them against the state."""

    def __init__(self, state: State) -> None:
        self._state = state

    def set_capture_device(self, request: devices_pb2.SetCaptureDeviceRequest, *, devices_known: bool) -> Edits:
        source_id = checks.source_id(request.source_id or DEFAULT_SOURCE_ID)
        key = capture_key(source_id)
        if request.WhichOneof("which") == "slot":
            checks.slot_name(request.slot, "slot")
        known = self._state.get(key, st.DesiredCapture)
        if request.WhichOneof("which") == "device_id" and known is not None:
            self._check_device(request.device_id, known, devices_known=devices_known)
        keeps_its_time = request.order.keep.kind == ty.Keep.KIND_UNSPECIFIED

        def edit(edits: Edit) -> None:
            ordered = edits.get(key, st.DesiredCapture)
            if ordered is None:
                text = f"there is no order to capture source {source_id!r}: start its capture with the device"
                raise not_found("CAPTURE_NOT_FOUND", text, source_id=source_id)
            if request.slot and edits.row(slot_key(request.slot)) is None:
                raise not_found(
                    "SLOT_NOT_FOUND", f"there is no slot {request.slot!r}: make it first", slot=request.slot
                )
            _set(_device_part(ordered), request)
            keep = ty.Keep()
            keep.CopyFrom(ordered.order.keep)
            edits.put(key, ordered, keep=keep if keeps_its_time else None)

        return edit

    def _check_device(self, device_id: str, ordered: st.DesiredCapture, *, devices_known: bool) -> None:
        _device_part(ordered)
        wanted = ty.Device.KIND_MICROPHONE if ordered.HasField("audio") else ty.Device.KIND_CAMERA
        word = ty.Device.Kind.Name(wanted).removeprefix("KIND_").lower()
        device = next((one for one in self._state.reported.devices if one.device_id == device_id), None)
        if device is None and not devices_known:
            text = "the engine is being started, and which devices there are is not known yet: try again"
            raise unavailable("ENGINE_STARTING", text, device_id=device_id)
        if device is None:
            have = [one.device_id for one in self._state.reported.devices if one.present and one.kind == wanted]
            text = f"this machine never had a {word} {device_id[:80]!r}; it has now: {', '.join(have) or 'none'}"
            raise not_found("DEVICE_NOT_FOUND", text, device_id=device_id)
        if device.kind != wanted:
            text = f"device {device_id!r} ({device.name}) is no {word}: source {ordered.source_id!r} needs one"
            raise invalid("device_id", "DEVICE_KIND_WRONG", text)
        asked = ordered.config.input.camera
        if device.formats and not any(checks.offers(asked, one) for one in device.formats):
            text = f"camera {device_id} lacks the format that source {ordered.source_id!r} is to be captured in"
            raise invalid("device_id", "FORMAT_UNSUPPORTED", text)


def _device_part(ordered: st.DesiredCapture) -> ty.VideoInput.Camera | ty.AudioInput.Microphone:
    """The part of a capture that names its device."""
    if ordered.HasField("audio"):
        if ordered.audio.input.WhichOneof("input") not in (None, "microphone"):
            raise _not_of_a_device(ordered.source_id)
        ordered.audio.input.microphone.SetInParent()
        return ordered.audio.input.microphone
    given = ordered.config.input
    if given.WhichOneof("input") not in (None, "camera"):
        raise _not_of_a_device(ordered.source_id)
    given.camera.SetInParent()
    return given.camera


def _set(part: ty.VideoInput.Camera | ty.AudioInput.Microphone, request: devices_pb2.SetCaptureDeviceRequest) -> None:
    match request.WhichOneof("which"):
        case "device_id":
            part.device_id = request.device_id
        case "slot":
            part.slot = request.slot
        case _:
            part.ClearField("which")


def _not_of_a_device(source_id: str) -> OrderError:
    text = f"source {source_id!r} is captured from no device of this machine: start its capture with the device"
    return precondition("NOT_OF_A_DEVICE", text, source_id=source_id)
