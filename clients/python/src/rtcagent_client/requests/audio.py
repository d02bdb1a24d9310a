"""The calls of the service Capture that are about sound. What every order takes is told in requests/rooms.py."""

from typing import Literal

from rtcagent.v1.capture_pb2 import (
    SetAudioProfileRequest,
    SetCaptureVolumeRequest,
    StartAudioCaptureRequest,
    StopAudioCaptureRequest,
)
from rtcagent.v1.types_pb2 import (
    AudioCaptureConfig,
    AudioInput,
    AudioProcessing,
    AudioProfile,
    Keep,
    OrderResult,
    StreamKind,
)

from rtcagent_client.requests.call import Call, order_call, order_options
from rtcagent_client.requests.rooms import KindName
from rtcagent_client.words import enum_value

AudioProfileName = Literal["voice", "standard", "hd", "music"]


def start_audio_capture(
    source_id: str = "microphone",
    *,
    input: AudioInput | None = None,
    volume: int | None = None,
    profile: AudioProfileName | int | None = None,
    echo_cancellation: bool | None = None,
    noise_suppression: bool | None = None,
    auto_gain: bool | None = None,
    kind: KindName | int | None = None,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Ask for a source of sound to be captured; for one that is captured already, changes how. Nobody need receive it.

    `input`: see rtcagent_client.inputs; None: the slot named like the source, else the default microphone. `volume`:
    percent, 0-400. `profile`: how good the sound is that is sent. The processing is on for microphones unless it is
    switched off. Raises InvalidArgument, NotFound (microphone, slot), FailedPrecondition (SOURCE_IS_VIDEO).
    """
    processing = AudioProcessing(
        echo_cancellation=echo_cancellation, noise_suppression=noise_suppression, auto_gain=auto_gain
    )
    config = AudioCaptureConfig(
        input=input,
        volume=volume,
        profile=enum_value(AudioProfile, profile),
        kind=enum_value(StreamKind, kind),
    )
    if processing.ListFields():
        config.processing.CopyFrom(processing)
    request = StartAudioCaptureRequest(
        source_id=source_id, config=config, order=order_options(wait_ms, keep, request_id)
    )
    return order_call("capture", "StartAudioCapture", request, wait_ms=wait_ms, check=check)


def stop_audio_capture(
    source_id: str = "microphone", *, wait_ms: int | None = None, request_id: str | None = None, check: bool = True
) -> Call[OrderResult]:
    """Ask for a source of sound not to be captured. Orders to publish it stay, and wait. NotFound: it was not asked
    for.
    """
    request = StopAudioCaptureRequest(source_id=source_id, order=order_options(wait_ms, None, request_id))
    return order_call("capture", "StopAudioCapture", request, wait_ms=wait_ms, check=check)


def set_capture_volume(
    volume: int,
    source_id: str = "microphone",
    *,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Change how loud a source of sound is captured: percent, 0-400. `keep`: None leaves it as it is. NotFound: there
    is no order to capture it.
    """
    request = SetCaptureVolumeRequest(
        source_id=source_id, volume=volume, order=order_options(wait_ms, keep, request_id)
    )
    return order_call("capture", "SetCaptureVolume", request, wait_ms=wait_ms, check=check)


def set_audio_profile(
    profile: AudioProfileName | int,
    source_id: str = "microphone",
    *,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Change how good the sound of a source is that is sent. What is published is published anew; StreamRepublished
    tells the gap. `keep`: None leaves it as it is. NotFound: there is no order to capture it.
    """
    request = SetAudioProfileRequest(
        source_id=source_id, profile=enum_value(AudioProfile, profile), order=order_options(wait_ms, keep, request_id)
    )
    return order_call("capture", "SetAudioProfile", request, wait_ms=wait_ms, check=check)
