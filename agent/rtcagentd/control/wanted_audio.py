"""What captures of sound come to on this machine, now: slots become microphones, and what is unset is chosen."""

from collections.abc import Iterable

from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control.events import cause
from rtcagentd.control.objects import slot_key
from rtcagentd.control.state import State

DEFAULT_VOLUME = 100


def profile(config: ty.AudioCaptureConfig) -> ty.AudioProfile.ValueType:
    """How good it is to be, where nothing is ordered about that too."""
    is_played = config.input.WhichOneof("input") == "screen_audio"
    return config.profile or (ty.AUDIO_PROFILE_MUSIC if is_played else ty.AUDIO_PROFILE_STANDARD)


def kind(config: ty.AudioCaptureConfig) -> ty.StreamKind.ValueType:
    """What it is for those who receive it. What the machine plays is never anything else: else it might be sent
    unasked.
    """
    if config.input.WhichOneof("input") == "screen_audio":
        return ty.STREAM_KIND_SCREEN_AUDIO
    return config.kind or ty.STREAM_KIND_MICROPHONE


def channels(config: ty.AudioCaptureConfig) -> int:
    """How many are captured."""
    return 2 if profile(config) == ty.AUDIO_PROFILE_MUSIC else 1


def microphones(state: State) -> list[ty.Device]:
    """Those that this machine has or had, as far as known."""
    return [device for device in state.reported.devices if device.kind == ty.Device.KIND_MICROPHONE]


def resolve(state: State, capture: st.DesiredCapture) -> ty.AudioCaptureConfig | ty.Cause:
    """The capture as the engine is to make it, or the reason why it cannot be made now.

    Of the profile only the channels matter here: the rest is the publications' affair.
    """
    config = ty.AudioCaptureConfig()
    config.CopyFrom(capture.audio)
    config.kind = kind(config)
    if config.input.WhichOneof("input") is None:
        config.input.microphone.SetInParent()
    is_microphone = config.input.WhichOneof("input") == "microphone"
    is_music = profile(config) == ty.AUDIO_PROFILE_MUSIC
    config.processing.CopyFrom(
        ty.AudioProcessing(
            echo_cancellation=is_microphone,
            noise_suppression=is_microphone and not is_music,
            auto_gain=is_microphone and not is_music,
        )
    )
    config.processing.MergeFrom(capture.audio.processing)
    config.volume = config.volume if config.HasField("volume") else DEFAULT_VOLUME
    config.profile = ty.AUDIO_PROFILE_MUSIC if is_music else ty.AUDIO_PROFILE_STANDARD
    if is_microphone and (absent := _choose(state, capture.source_id, config.input.microphone)) is not None:
        return absent
    sound = state.reported.sound
    if config.input.WhichOneof("input") == "screen_audio" and sound.ByteSize() and not sound.connected:
        return cause(ty.REASON_NO_SOUND_SERVER, sound.problem or "no sound server answers")
    return config


def _choose(state: State, source_id: str, microphone: ty.AudioInput.Microphone) -> ty.Cause | None:
    """Name the microphone by device_id, or leave it to the sound server; the reason where there is none."""
    if microphone.WhichOneof("which") is None and state.get(slot_key(source_id), st.DesiredSlot) is not None:
        microphone.slot = source_id
    if microphone.WhichOneof("which") == "slot":
        slot = state.get(slot_key(microphone.slot), st.DesiredSlot)
        device_id = _of_slot(state, slot.slot.matches) if slot is not None else None
        if device_id is None:
            return cause(ty.REASON_DEVICE_ABSENT, f"no microphone of slot {microphone.slot!r} is plugged in")
        microphone.device_id = device_id
    device_id = microphone.device_id
    if any(device.device_id == device_id and not device.present for device in microphones(state)):
        return cause(ty.REASON_DEVICE_ABSENT, f"microphone {device_id!r} is not plugged in")
    return None


def _of_slot(state: State, matches: Iterable[ty.Slot.Match]) -> str | None:
    present = [device for device in microphones(state) if device.present]
    for match in matches:
        for device in present:
            properties = ("device_id", "serial", "usb_port", "name", "alsa_card")
            if all(getattr(match, name) in ("", getattr(device, name)) for name in properties):
                return device.device_id
    return None
