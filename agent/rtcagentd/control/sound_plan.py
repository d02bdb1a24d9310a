"""Compares how the sound of others is wanted with what the engine has. Part of plan.py, apart for its length."""

from collections.abc import Iterator
from dataclasses import dataclass

from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import state_pb2 as st

from rtcagentd.control.objects import PLAYBACK_KEY, Key, remote_volume_key
from rtcagentd.control.progress import ProgressTable
from rtcagentd.control.state import State


@dataclass(frozen=True, slots=True)
class SetPlayback:
    key: Key
    digest: bytes
    request: en.SetPlaybackRequest


@dataclass(frozen=True, slots=True)
class SetRemoteVolume:
    """`is_default`: its order has ended, and nothing is left to remember."""

    key: Key
    digest: bytes
    request: en.SetRemoteVolumeRequest
    is_default: bool


def playback_request(state: State) -> en.SetPlaybackRequest:
    """How it is wanted; without an order as a new engine has it."""
    asked = state.get(PLAYBACK_KEY, st.DesiredPlayback) or st.DesiredPlayback()
    volume = asked.volume if asked.HasField("volume") else 100
    return en.SetPlaybackRequest(device_id=asked.device_id, volume=volume, muted=asked.muted)


def remote_volume_request(asked: st.DesiredRemoteVolume) -> en.SetRemoteVolumeRequest:
    volume = asked.volume if asked.HasField("volume") else 100
    return en.SetRemoteVolumeRequest(room_id=asked.room_id, user_id=asked.user_id, volume=volume, muted=asked.muted)


def digest_of(request: en.SetPlaybackRequest | en.SetRemoteVolumeRequest) -> bytes:
    return request.SerializeToString(deterministic=True)


def sound_steps(state: State, progress: ProgressTable) -> Iterator[SetPlayback | SetRemoteVolume]:
    """What is to be said to the engine. Small, and before rooms are joined: who is muted must not be heard first."""
    playback = playback_request(state)
    applied = progress.peek(PLAYBACK_KEY).applied or digest_of(en.SetPlaybackRequest(volume=100))
    if applied != digest_of(playback):
        yield SetPlayback(PLAYBACK_KEY, digest_of(playback), playback)
    for asked in state.all(st.DesiredRemoteVolume):
        key, request = remote_volume_key(asked.room_id, asked.user_id), remote_volume_request(asked)
        if progress.peek(key).applied != digest_of(request):
            yield SetRemoteVolume(key, digest_of(request), request, False)
    for key in progress.keys("remote_volume"):
        if key not in state.rows and progress.peek(key).applied is not None:
            room_id, user_id = key.text.split("/")
            request = en.SetRemoteVolumeRequest(room_id=room_id, user_id=user_id, volume=100)
            yield SetRemoteVolume(key, digest_of(request), request, True)
