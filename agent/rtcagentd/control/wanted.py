"""What the desired state comes to on this machine, now: slots become devices, auto_publish becomes streams, and all
of it becomes a gate.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import fold

from rtcagentd.control import wanted_audio
from rtcagentd.control.events import cause
from rtcagentd.control.objects import capture_key, slot_key, subscription_key
from rtcagentd.control.state import State

AUTO_PUBLISHED = (ty.STREAM_KIND_CAMERA, ty.STREAM_KIND_MICROPHONE)


@dataclass(frozen=True, slots=True)
class Gate:
    """What may be captured, and what may be sent: (room_id, source_id)."""

    capture: frozenset[str] = frozenset()
    send: frozenset[tuple[str, str]] = frozenset()

    def takes_away_from(self, other: "Gate") -> bool:
        """Whether something that `other` allows is not allowed any more."""
        return not (other.capture <= self.capture and other.send <= self.send)

    def __or__(self, other: "Gate") -> "Gate":
        """What one of the two allows."""
        return Gate(self.capture | other.capture, self.send | other.send)


@dataclass(frozen=True, slots=True)
class WantedStream:
    """A source that is to be sent into a room."""

    room_id: str
    source_id: str
    kind: ty.StreamKind.ValueType
    name: str
    encoder: ty.VideoEncoderConfig
    muted: bool
    audio_profile: ty.AudioProfile.ValueType = ty.AUDIO_PROFILE_UNSPECIFIED


def stream_kind(config: ty.CaptureConfig) -> ty.StreamKind.ValueType:
    """What a source is for those who receive it. A screen is never anything else: else it might be sent unasked."""
    if config.input.WhichOneof("input") == "screen":
        return ty.STREAM_KIND_SCREEN
    return config.kind or ty.STREAM_KIND_CAMERA


def stream_encoder(stream: st.DesiredStream, capture: st.DesiredCapture | None) -> ty.VideoEncoderConfig:
    """The encoder as ordered, of the stream or of its source. Of a film on the screen, unless something else is
    ordered, the size gives way.
    """
    encoder = ty.VideoEncoderConfig()
    encoder.CopyFrom(stream.encoder if stream.HasField("encoder") or capture is None else capture.config.encoder)
    hint = capture.config.input.screen.content_hint if capture is not None else ty.CONTENT_HINT_UNSPECIFIED
    if hint == ty.CONTENT_HINT_MOTION and not encoder.degradation:
        encoder.degradation = ty.DEGRADATION_PREFERENCE_MAINTAIN_FRAMERATE
    return encoder


def capture_kind(capture: st.DesiredCapture) -> ty.StreamKind.ValueType:
    """As stream_kind, of video or sound."""
    return wanted_audio.kind(capture.audio) if capture.HasField("audio") else stream_kind(capture.config)


def wanted_streams(state: State) -> Iterator[WantedStream]:
    """Every stream that is to be sent, whether it can be now or not."""
    for room in state.all(st.DesiredRoom):
        room_id = room.config.room_id
        ordered = {item.source_id: item for item in state.all(st.DesiredStream) if item.room_id == room_id}
        captured = {item.source_id: item for item in state.all(st.DesiredCapture)}
        for source_id in sorted(ordered.keys() | captured.keys()):
            stream = ordered.get(source_id, st.DesiredStream())
            capture = captured.get(source_id)
            kind = capture_kind(capture) if capture is not None else ty.STREAM_KIND_CAMERA
            automatic = room.config.auto_publish and capture is not None and kind in AUTO_PUBLISHED
            if stream.published if stream.HasField("published") else automatic:
                encoder = stream_encoder(stream, capture)
                profile = ty.AUDIO_PROFILE_UNSPECIFIED
                if capture is not None and capture.HasField("audio"):
                    profile = wanted_audio.profile(capture.audio)
                yield WantedStream(room_id, source_id, kind, stream.name or source_id, encoder, stream.muted, profile)


def gate(state: State) -> Gate:
    """What the orders allow, and nothing more."""
    capture = frozenset(item.source_id for item in state.all(st.DesiredCapture))
    send = frozenset(
        (stream.room_id, stream.source_id)
        for stream in wanted_streams(state)
        if not stream.muted and stream.source_id in capture
    )
    return Gate(capture, send)


def is_stream_wanted(state: State, room_id: str, source_id: str) -> bool:
    """Whether this source is to be sent into this room."""
    return any((item.room_id, item.source_id) == (room_id, source_id) for item in wanted_streams(state))


def wants_subscription(
    state: State, room_id: str, user_id: str, kind: ty.StreamKind.ValueType, name: str
) -> bool | None:
    """Whether a remote stream was ordered (True), ordered off (False), or left to the room's auto_subscribe (None)."""
    for key in (
        subscription_key(room_id, user_id, kind, name),
        subscription_key(room_id, user_id, kind, ""),
    ):
        found = state.get(key, st.DesiredSubscription)
        if found is not None:
            return found.subscribed
    return None


def wanted_quality(
    state: State, room_id: str, user_id: str, kind: ty.StreamKind.ValueType, name: str
) -> ty.StreamQuality:
    """The quality that a remote stream was ordered in; empty where none was."""
    for key in (
        subscription_key(room_id, user_id, kind, name),
        subscription_key(room_id, user_id, kind, ""),
    ):
        found = state.get(key, st.DesiredSubscription)
        if found is not None:
            return found.quality
    return ty.StreamQuality()


def find_device(
    state: State, match: ty.Slot.Match, kind: ty.Device.Kind.ValueType = ty.Device.KIND_CAMERA
) -> ty.Device | None:
    """The first present device of a kind with every property that the match has set."""
    for device in present_devices(state, kind):
        properties = ("device_id", "serial", "usb_port", "name", "alsa_card")
        if all(getattr(match, name) in ("", getattr(device, name)) for name in properties):
            return device
    return None


def slot_device(
    state: State, slot: ty.Slot, kind: ty.Device.Kind.ValueType = ty.Device.KIND_CAMERA
) -> ty.Device | None:
    """The device of a kind that a slot stands for now."""
    found = (find_device(state, match, kind) for match in slot.matches)
    return next((device for device in found if device is not None), None)


def slot_devices(state: State, slot: ty.Slot) -> list[ty.Device]:
    """The devices that a slot stands for now, one of each kind."""
    kinds = (kind for kind in ty.Device.Kind.values() if kind)
    found = (slot_device(state, slot, kind) for kind in kinds)
    return [device for device in found if device is not None]


def present_devices(state: State, kind: ty.Device.Kind.ValueType) -> Iterable[ty.Device]:
    return (device for device in state.reported.devices if device.present and device.kind == kind)


def present_cameras(state: State) -> Iterable[ty.Device]:
    return present_devices(state, ty.Device.KIND_CAMERA)


def resolve(state: State, capture: st.DesiredCapture) -> ty.CaptureConfig | ty.AudioCaptureConfig | ty.Cause:
    """The capture with its device named by device_id, or the reason why there is none now."""
    if capture.HasField("audio"):
        return wanted_audio.resolve(state, capture)
    config = ty.CaptureConfig()
    config.CopyFrom(capture.config)
    config.kind = stream_kind(config)
    config.ClearField("encoder")  # of its streams, not of the capture
    if config.input.WhichOneof("input") is None:
        config.input.camera.SetInParent()
    if config.input.WhichOneof("input") == "rtsp":
        config.input.rtsp.url = state.rows[capture_key(capture.source_id)].secret  # with its credentials
    if config.input.WhichOneof("input") != "camera":
        return config
    camera = config.input.camera
    if camera.WhichOneof("which") is None and _slot(state, capture.source_id) is not None:
        camera.slot = capture.source_id
    if camera.WhichOneof("which") is None:
        cameras = [device.device_id for device in present_cameras(state)]
        if not cameras:
            return cause(ty.REASON_DEVICE_ABSENT, "this machine has no camera now: plug one in, or name another input")
        status = fold.find_capture(state.reported, capture.source_id)
        in_use = status.device_id if status is not None else ""
        camera.device_id = in_use if in_use in cameras else cameras[0]  # a new camera does not take over
    elif camera.WhichOneof("which") == "slot":
        name = camera.slot
        slot = _slot(state, name)
        device = slot_device(state, slot) if slot is not None else None
        if device is None:
            return cause(ty.REASON_DEVICE_ABSENT, f"no device of slot {name!r} is plugged in")
        camera.device_id = device.device_id
    elif not any(device.device_id == camera.device_id for device in present_cameras(state)):
        return cause(ty.REASON_DEVICE_ABSENT, f"camera {camera.device_id!r} is not plugged in")
    return config


def stand_in(capture: st.DesiredCapture) -> ty.CaptureConfig:
    """What the engine is to show, if anything, while there is no device: the capture without one."""
    config = ty.CaptureConfig()
    config.CopyFrom(capture.config)
    config.kind = stream_kind(config)
    config.ClearField("encoder")
    config.input.camera.ClearField("which")
    config.input.camera.SetInParent()
    return config


def names_device(state: State, capture: st.DesiredCapture) -> bool:
    """Whether the capture is to be of a certain camera, by slot or device_id, rather than of any."""
    camera = capture.config.input.camera
    return camera.WhichOneof("which") is not None or _slot(state, capture.source_id) is not None


def _slot(state: State, name: str) -> ty.Slot | None:
    found = state.get(slot_key(name), st.DesiredSlot)
    return found.slot if found is not None else None
