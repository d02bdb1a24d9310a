"""The orders about the sound of others, as edits of the desired state: speaker, volumes, and the report of levels."""

from collections.abc import Callable
from typing import TypeAlias

from rtcagent.v1 import devices_pb2, rooms_pb2
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control import checks
from rtcagentd.control.errors import invalid, not_found, unavailable
from rtcagentd.control.ledger import Edit
from rtcagentd.control.objects import AUDIO_REPORT_KEY, PLAYBACK_KEY, remote_volume_key
from rtcagentd.control.state import State

Edits: TypeAlias = Callable[[Edit], None]

MAX_VOLUME = 400
DEFAULT_INTERVAL_MS = 1000  # of the ByteRTC guide
LEAST_INTERVAL_MS = 100
MOST_INTERVAL_MS = 60_000
TEST_MS = (100, 30_000)
TEST_HZ = (50, 16_000)


class SoundOrders:
    """Checks them against the devices that the machine has."""

    def __init__(self, state: State) -> None:
        self._state = state

    # -- the speaker

    def set_playback_device(self, request: devices_pb2.SetAudioPlaybackDeviceRequest, *, devices_known: bool) -> Edits:
        self.check_speaker(request.device_id, devices_known=devices_known)

        def change(playback: st.DesiredPlayback) -> None:
            playback.device_id = request.device_id

        return _playback_edit(change, request.order)

    def set_playback_volume(self, request: devices_pb2.SetPlaybackVolumeRequest) -> Edits:
        if not request.HasField("volume") and not request.HasField("muted"):
            raise invalid("volume", "NOTHING_SET", "neither volume nor muted is set: there is nothing to change")
        _check_volume(request.volume)

        def change(playback: st.DesiredPlayback) -> None:
            if request.HasField("volume"):
                playback.volume = request.volume
            if request.HasField("muted"):
                playback.muted = request.muted

        return _playback_edit(change, request.order)

    def playback(self, asked: st.DesiredPlayback, *, devices_known: bool) -> Edits:
        """All of it at once."""
        self.check_speaker(asked.device_id, devices_known=devices_known)
        _check_volume(asked.volume)
        whole = st.DesiredPlayback()
        whole.CopyFrom(asked)
        return lambda edits: edits.put(PLAYBACK_KEY, whole)

    def check_speaker(self, device_id: str, *, devices_known: bool) -> None:
        """Refuse a speaker that this machine never had; empty is the default one."""
        speakers = {
            each.device_id: each for each in self._state.reported.devices if each.kind == ty.Device.KIND_SPEAKER
        }
        if not device_id or device_id in speakers:
            return
        if not devices_known:
            text = "the engine is being started, and which speakers there are is not known yet: try again"
            raise unavailable("ENGINE_STARTING", text, device_id=device_id)
        known = ", ".join(sorted(name for name, each in speakers.items() if each.present)) or "none"
        text = f"this machine never had a speaker {device_id[:80]!r}; it has now: {known}"
        raise not_found("DEVICE_NOT_FOUND", text, device_id=device_id)

    # -- other users

    def set_remote_muted(self, request: rooms_pb2.SetRemoteMutedRequest) -> Edits:
        def change(volume: st.DesiredRemoteVolume) -> None:
            volume.muted = request.muted

        return _remote_edit(request.room_id, request.user_id, change, request.order)

    def set_remote_volume(self, request: rooms_pb2.SetRemoteVolumeRequest) -> Edits:
        _check_volume(request.volume)

        def change(volume: st.DesiredRemoteVolume) -> None:
            volume.volume = request.volume if request.HasField("volume") else 100

        return _remote_edit(request.room_id, request.user_id, change, request.order)

    def remote_volume(self, asked: st.DesiredRemoteVolume) -> Edits:
        """All of it at once."""
        checks.room_id(asked.room_id)
        checks.user_id(asked.user_id)
        _check_volume(asked.volume)
        whole = st.DesiredRemoteVolume()
        whole.CopyFrom(asked)
        return lambda edits: edits.put(remote_volume_key(asked.room_id, asked.user_id), whole)

    # -- audio properties

    def enable_report(self, request: devices_pb2.EnableAudioPropertiesReportRequest) -> Edits:
        interval_ms = request.interval_ms if request.HasField("interval_ms") else DEFAULT_INTERVAL_MS
        if interval_ms <= 0:
            return lambda edits: edits.remove(AUDIO_REPORT_KEY)
        return self.audio_report(interval_ms)

    def audio_report(self, interval_ms: int) -> Edits:
        if not LEAST_INTERVAL_MS <= interval_ms <= MOST_INTERVAL_MS:
            text = f"interval_ms is {interval_ms}, not {LEAST_INTERVAL_MS}-{MOST_INTERVAL_MS} (0 or less is off)"
            raise invalid("interval_ms", "INTERVAL_INVALID", text)
        return lambda edits: edits.put(AUDIO_REPORT_KEY, st.DesiredAudioReport(interval_ms=interval_ms))


def check_test(request: devices_pb2.TestSpeakerRequest) -> None:
    """Refuse a tone that nobody would hear, or for ever; fills in what is unset."""
    request.duration_ms = request.duration_ms or 2000
    request.frequency_hz = request.frequency_hz or 440
    for field, value, (least, most) in (
        ("duration_ms", request.duration_ms, TEST_MS),
        ("frequency_hz", request.frequency_hz, TEST_HZ),
    ):
        if not least <= value <= most:
            raise invalid(field, "OUT_OF_RANGE", f"{field} is {value}, not {least}-{most}")


def _check_volume(percent: int) -> None:
    if percent > MAX_VOLUME:
        raise invalid("volume", "VOLUME_INVALID", f"volume is {percent}, not 0-{MAX_VOLUME} percent")


def _keep(order: ty.OrderOptions, before: st.OrderInfo) -> ty.Keep | None:
    """A part of an object is changed: the whole holds as long as before, unless the order says how long."""
    if order.keep.kind != ty.Keep.KIND_UNSPECIFIED or not before.revision:
        return None
    keep = ty.Keep()
    keep.CopyFrom(before.keep)
    return keep


def _playback_edit(change: Callable[[st.DesiredPlayback], None], order: ty.OrderOptions) -> Edits:
    def edit(edits: Edit) -> None:
        playback = edits.get(PLAYBACK_KEY, st.DesiredPlayback) or st.DesiredPlayback()
        keep = _keep(order, playback.order)
        change(playback)
        edits.put(PLAYBACK_KEY, playback, keep=keep)

    return edit


def _remote_edit(
    room_id: str, user_id: str, change: Callable[[st.DesiredRemoteVolume], None], order: ty.OrderOptions
) -> Edits:
    checks.room_id(room_id)
    checks.user_id(user_id)
    key = remote_volume_key(room_id, user_id)

    def edit(edits: Edit) -> None:
        before = edits.get(key, st.DesiredRemoteVolume)
        volume = before or st.DesiredRemoteVolume(room_id=room_id, user_id=user_id)
        keep = _keep(order, volume.order)
        change(volume)
        edits.put(key, volume, keep=keep)

    return edit
