"""Orders about the capture of sound, as edits of the desired state."""

from collections.abc import Callable
from pathlib import Path

from rtcagent.v1 import capture_pb2
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control import checks
from rtcagentd.control.errors import invalid, not_found, precondition
from rtcagentd.control.ids import DEFAULT_AUDIO_SOURCE_ID
from rtcagentd.control.ledger import Edit
from rtcagentd.control.objects import Key, capture_key, slot_key
from rtcagentd.control.state import State
from rtcagentd.control.wanted_audio import microphones

MAX_VOLUME = 400
MAX_APPLICATION = 256
_KINDS = (
    ty.STREAM_KIND_UNSPECIFIED,
    ty.STREAM_KIND_MICROPHONE,
    ty.STREAM_KIND_SCREEN_AUDIO,
    ty.STREAM_KIND_OTHER_AUDIO,
)

Edits = Callable[[Edit], None]


class AudioOrders:
    """Checks them against the state and the configuration."""

    def __init__(self, state: State, media_folders: list[Path]) -> None:
        self._state = state
        self._media_folders = media_folders

    def start(self, request: capture_pb2.StartAudioCaptureRequest) -> Edits:
        source_id = checks.source_id(request.source_id or DEFAULT_AUDIO_SOURCE_ID)
        self._check(request.config)
        config = ty.AudioCaptureConfig()
        config.CopyFrom(request.config)
        key = capture_key(source_id)

        def edit(edits: Edit) -> None:
            microphone = config.input.microphone
            is_slot = config.input.WhichOneof("input") == "microphone" and microphone.WhichOneof("which") == "slot"
            if is_slot and edits.row(slot_key(microphone.slot)) is None:
                text = f"there is no slot {microphone.slot!r}: make it first"
                raise not_found("SLOT_NOT_FOUND", text, slot=microphone.slot)
            before = edits.get(key, st.DesiredCapture)
            if before is not None and not before.HasField("audio"):
                text = f"source {source_id!r} is captured as video: stop that first, or choose another source_id"
                raise precondition("SOURCE_IS_VIDEO", text, source_id=source_id)
            edits.put(key, st.DesiredCapture(source_id=source_id, audio=config))

        return edit

    def stop(self, request: capture_pb2.StopAudioCaptureRequest) -> Edits:
        source_id = checks.source_id(request.source_id or DEFAULT_AUDIO_SOURCE_ID)
        key = capture_key(source_id)

        def edit(edits: Edit) -> None:
            _ordered(edits, key)
            edits.remove(key)

        return edit

    def set_volume(self, request: capture_pb2.SetCaptureVolumeRequest) -> Edits:
        _volume("volume", request.volume)

        def change(audio: ty.AudioCaptureConfig) -> None:
            audio.volume = request.volume

        return self._change(request.source_id, request.order, change)

    def set_profile(self, request: capture_pb2.SetAudioProfileRequest) -> Edits:
        _profile("profile", request.profile)

        def change(audio: ty.AudioCaptureConfig) -> None:
            audio.profile = request.profile

        return self._change(request.source_id, request.order, change)

    def _change(self, source_id: str, order: ty.OrderOptions, change: Callable[[ty.AudioCaptureConfig], None]) -> Edits:
        key = capture_key(checks.source_id(source_id or DEFAULT_AUDIO_SOURCE_ID))
        keeps_its_time = order.keep.kind == ty.Keep.KIND_UNSPECIFIED

        def edit(edits: Edit) -> None:
            ordered = _ordered(edits, key)
            keep = ty.Keep()
            keep.CopyFrom(ordered.order.keep)
            change(ordered.audio)
            edits.put(key, ordered, keep=keep if keeps_its_time else None)

        return edit

    def _check(self, config: ty.AudioCaptureConfig) -> None:
        if config.HasField("volume"):
            _volume("config.volume", config.volume)
        _profile("config.profile", config.profile)
        if config.kind not in _KINDS:
            text = "kind is none of sound: MICROPHONE, SCREEN_AUDIO or OTHER_AUDIO"
            raise invalid("config.kind", "VALUE_UNKNOWN", text)
        match config.input.WhichOneof("input"):
            case "microphone":
                self._check_microphone(config.input.microphone)
            case "file":
                checks.media_file(config.input.file.path, self._media_folders)
            case "screen_audio":
                _application(config.input.screen_audio.application)
            case "test_tone":
                _tone(config.input.test_tone)

    def _check_microphone(self, microphone: ty.AudioInput.Microphone) -> None:
        if microphone.WhichOneof("which") == "slot":
            checks.slot_name(microphone.slot, "config.input.microphone.slot")
        elif microphone.WhichOneof("which") == "device_id":
            known = [device.device_id for device in microphones(self._state)]
            if len(microphone.device_id) > 256 or not microphone.device_id:
                text = "device_id is not 1-256 characters; leave it out for the default microphone"
                raise invalid("config.input.microphone.device_id", "DEVICE_ID_INVALID", text)
            if known and microphone.device_id not in known:
                text = f"this machine never had a microphone {microphone.device_id!r}; it has: {', '.join(known)}"
                raise not_found("DEVICE_NOT_FOUND", text, device_id=microphone.device_id)


def _ordered(edits: Edit, key: Key) -> st.DesiredCapture:
    """The capture of sound that there is an order for."""
    found = edits.get(key, st.DesiredCapture)
    if found is None or not found.HasField("audio"):
        text = f"there is no order to capture the sound of source {key.text!r}: start its capture"
        raise not_found("CAPTURE_NOT_FOUND", text, source_id=key.text)
    return found


def _volume(field: str, volume: int) -> None:
    if volume > MAX_VOLUME:
        raise invalid(field, "VOLUME_INVALID", f"volume is {volume}, not 0-{MAX_VOLUME} percent")


def _profile(field: str, profile: ty.AudioProfile.ValueType) -> None:
    if profile not in ty.AudioProfile.values():
        raise invalid(field, "PROFILE_UNKNOWN", f"this agent knows no audio profile {profile}")


def _application(application: ty.SoundApplication) -> None:
    for field in ("name", "binary"):
        if len(getattr(application, field)) > MAX_APPLICATION:
            text = f"the {field} of an application has at most {MAX_APPLICATION} characters"
            raise invalid(f"config.input.screen_audio.application.{field}", "APPLICATION_INVALID", text)


def _tone(tone: ty.AudioInput.TestTone) -> None:
    if tone.frequency_hz and not 20 <= tone.frequency_hz <= 20_000:
        text = f"frequency_hz is {tone.frequency_hz:g}, not 20-20000"
        raise invalid("config.input.test_tone.frequency_hz", "FREQUENCY_INVALID", text)
    if tone.HasField("level_dbfs") and not -90 <= tone.level_dbfs <= 0:
        text = f"level_dbfs is {tone.level_dbfs:g}, not -90 to 0"
        raise invalid("config.input.test_tone.level_dbfs", "LEVEL_INVALID", text)
