"""Captured and sent sound in words."""

from rtcagent.v1.state_pb2 import AudioCaptureStatus, DesiredCapture
from rtcagent.v1.types_pb2 import (
    AudioCaptureConfig,
    AudioEncoding,
    AudioInput,
    AudioProcessing,
    AudioProfile,
    StreamKind,
)

from rtcagent_client.rtcctl.render import phrases


def capture(wanted: DesiredCapture) -> str:
    """What was ordered of a capture, of video or of sound."""
    return config(wanted.audio) if wanted.HasField("audio") else phrases.capture_config(wanted.config)


def config(wanted: AudioCaptureConfig) -> str:
    kind = "" if wanted.kind in (0, StreamKind.STREAM_KIND_MICROPHONE) else f"as {phrases.low(StreamKind, wanted.kind)}"
    return phrases.joined(
        _input(wanted.input),
        f"volume {wanted.volume} %" if wanted.HasField("volume") else "",
        phrases.low(AudioProfile, wanted.profile),
        *_switched(wanted.processing),
        kind,
    )


def status(audio: AudioCaptureStatus) -> str:
    """What is in force of a captured source; empty for one of video."""
    if not audio.channels:
        return ""
    return phrases.joined(
        "stereo" if audio.channels == 2 else "mono", "" if audio.volume == 100 else f"volume {audio.volume} %"
    )


def encoding(audio: AudioEncoding) -> str:
    """How a stream of sound is sent; empty for one of video."""
    if not audio.channels:
        return ""
    channels = "stereo" if audio.channels == 2 else "mono"
    return phrases.joined(phrases.low(AudioProfile, audio.profile), channels, phrases.bitrate(audio.max_bitrate_bps))


def _input(wanted: AudioInput) -> str:
    match wanted.WhichOneof("input"):
        case "microphone":
            which = wanted.microphone
            name = f"slot {which.slot}" if which.slot else f"microphone {which.device_id}".strip()
            return name if which.WhichOneof("which") else "default microphone"
        case "file":
            return f"sound of {wanted.file.path}{' in a loop' if wanted.file.loop else ''}"
        case "test_tone":
            return f"test tone of {wanted.test_tone.frequency_hz or 440:g} Hz"
        case _:
            return "default microphone or its slot"


def _switched(processing: AudioProcessing) -> list[str]:
    return [f"{each.name.replace('_', ' ')} {'on' if is_on else 'off'}" for each, is_on in processing.ListFields()]
