"""The calls about the sound of others. What every order takes is told in requests/rooms.py."""

from rtcagent.v1.devices_pb2 import (
    EnableAudioPropertiesReportRequest,
    SetAudioPlaybackDeviceRequest,
    SetPlaybackVolumeRequest,
    TestSpeakerRequest,
    TestSpeakerResponse,
)
from rtcagent.v1.rooms_pb2 import SetRemoteMutedRequest, SetRemoteVolumeRequest
from rtcagent.v1.types_pb2 import Keep, OrderResult

from rtcagent_client.requests.call import ANSWER_S, Call, order_call, order_options


def set_audio_playback_device(
    device_id: str = "",
    *,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Ask for the sound of others on this speaker, also in the middle of a call; empty is the default one.

    Raises NotFound for a speaker that the machine never had.
    """
    request = SetAudioPlaybackDeviceRequest(device_id=device_id, order=order_options(wait_ms, keep, request_id))
    return order_call("devices", "SetAudioPlaybackDevice", request, wait_ms=wait_ms, check=check)


def set_playback_volume(
    volume: int | None = None,
    *,
    muted: bool | None = None,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """How loud all of it is, in percent (0-400), and whether it is heard; what is None stays as it is."""
    request = SetPlaybackVolumeRequest(volume=volume, muted=muted, order=order_options(wait_ms, keep, request_id))
    return order_call("devices", "SetPlaybackVolume", request, wait_ms=wait_ms, check=check)


def test_speaker(  # no test of pytest's
    device_id: str = "",  # noqa: PT028
    *,
    duration_ms: int = 2000,  # noqa: PT028
    frequency_hz: int = 440,  # noqa: PT028
) -> Call[TestSpeakerResponse]:
    """Play a tone on a speaker, the one in use where none is named; returns when it was played.

    Raises FailedPrecondition (NO_SOUND_SERVER, DEVICE_ABSENT, PLAYBACK_FAILED, PLAYBACK_MUTED).
    """
    request = TestSpeakerRequest(device_id=device_id, duration_ms=duration_ms, frequency_hz=frequency_hz)
    answer_s = duration_ms / 1000 + ANSWER_S
    return Call("devices", "TestSpeaker", request, lambda response: response, answer_s=answer_s)


def set_remote_muted(
    room_id: str,
    user_id: str,
    *,
    muted: bool = True,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Mute another user for oneself: the sound is received and not heard here, and nobody else notices."""
    order = order_options(wait_ms, keep, request_id)
    request = SetRemoteMutedRequest(room_id=room_id, user_id=user_id, muted=muted, order=order)
    return order_call("rooms", "SetRemoteMuted", request, wait_ms=wait_ms, check=check)


def set_remote_volume(
    room_id: str,
    user_id: str,
    volume: int,
    *,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """How loud another user is heard here, in percent (0-400)."""
    order = order_options(wait_ms, keep, request_id)
    request = SetRemoteVolumeRequest(room_id=room_id, user_id=user_id, volume=volume, order=order)
    return order_call("rooms", "SetRemoteVolume", request, wait_ms=wait_ms, check=check)


def enable_audio_properties_report(
    interval_ms: int = 1000,
    *,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Ask for levels to be told to those who watch audio_properties(): every 100 ms or more; 0 or less ends it."""
    order = order_options(wait_ms, keep, request_id)
    request = EnableAudioPropertiesReportRequest(interval_ms=interval_ms, order=order)
    return order_call("devices", "EnableAudioPropertiesReport", request, wait_ms=wait_ms, check=check)
