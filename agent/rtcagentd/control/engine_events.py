"""Turns what happens in the engine into events of the log, and into progress lost."""

from google.protobuf.message import Message
from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import fold

from rtcagentd.control import recording_steps
from rtcagentd.control.events import capture_changed, event, publication_changed, room_changed
from rtcagentd.control.objects import (
    Key,
    canvas_key,
    capture_key,
    recording_key,
    room_key,
    stream_key,
    subscription_key,
)
from rtcagentd.control.progress import ProgressTable
from rtcagentd.control.sound_steps import playback_is
from rtcagentd.control.state import State
from rtcagentd.control.steps import Steps

# Engine events that say just what the log's event of the same name says, with the same fields.
_ALIKE: dict[str, type[Message]] = {
    "user_joined": ev.UserJoined,
    "user_left": ev.UserLeft,
    "user_info_changed": ev.UserInfoChanged,
    "connection_quality_changed": ev.ConnectionQualityChanged,
    "stream_unpublished": ev.StreamUnpublished,
    "stream_muted": ev.StreamMuted,
    "first_frame_sent": ev.FirstFrameSent,
    "sound_status_changed": ev.SoundStatusChanged,
    "screen_state_changed": ev.ScreenStateChanged,
    "stream_republished": ev.StreamRepublished,
    "active_speaker_changed": ev.ActiveSpeakerChanged,
    "first_remote_frame": ev.FirstRemoteFrame,
    "first_remote_audio_frame": ev.FirstRemoteAudioFrame,
    "remote_size_changed": ev.RemoteSizeChanged,
    "displays_changed": ev.DisplaysChanged,
}


def key_of(happened: en.EngineEvent) -> Key | None:
    """The object whose state an event changes; None where no step could be under way for it."""
    match happened.WhichOneof("event"):
        case "source_ended":
            return capture_key(happened.source_ended.source_id)
        case "screen_state_changed":
            return capture_key(happened.screen_state_changed.screen.source_id)
        case "room_reconnecting":
            return room_key(happened.room_reconnecting.room_id)
        case "room_reconnected":
            return room_key(happened.room_reconnected.room_id)
        case "room_ended":
            return room_key(happened.room_ended.room_id)
        case "publication_ended":
            return stream_key(happened.publication_ended.room_id, happened.publication_ended.source_id)
        case "source_device_changed":
            return capture_key(happened.source_device_changed.source_id)
        case "stream_republished":
            return stream_key(happened.stream_republished.room_id, happened.stream_republished.source_id)
        case "first_frame_sent":
            return stream_key(happened.first_frame_sent.room_id, happened.first_frame_sent.source_id)
        case "encoder_changed":
            return stream_key(happened.encoder_changed.room_id, happened.encoder_changed.source_id)
        case "media_state_changed":
            return stream_key(happened.media_state_changed.room_id, happened.media_state_changed.source_id)
        case "canvas_changed":
            return canvas_key(happened.canvas_changed.canvas.canvas_id)
        case "recording_changed":
            return recording_key(happened.recording_changed.recording.recording_id)
    return None


async def take(happened: en.EngineEvent, state: State, progress: ProgressTable, steps: Steps) -> None:
    """Write down what `happened`, and forget the progress that it undid."""
    kind = happened.WhichOneof("event") or ""
    if kind in _ALIKE:
        payload = _ALIKE[kind].FromString(getattr(happened, kind).SerializeToString())
        await state.record(event(payload))
        return
    match kind:
        case "source_ended":
            await _source_ended(happened.source_ended, progress, steps)
        case "source_format_changed":
            await _source_format_changed(happened.source_format_changed, state)
        case "source_device_changed":
            await _source_device_changed(happened.source_device_changed, state)
        case "device_changed":
            await state.record(event(ev.DeviceAdded(device=happened.device_changed.device)))
        case "device_gone":
            await state.record(event(ev.DeviceRemoved(device_id=happened.device_gone.device_id)))
        case "room_reconnecting":
            lost = happened.room_reconnecting
            steps.room_lost(lost.room_id)
            await _room_state(state, lost.room_id, st.ROOM_STATE_RECONNECTING, lost.cause)
        case "room_reconnected":
            steps.room_restored(happened.room_reconnected.room_id)
            await _room_state(state, happened.room_reconnected.room_id, st.ROOM_STATE_JOINED, None)
        case "room_ended":
            await _room_ended(happened.room_ended, state, progress, steps)
        case "stream_published":
            published = happened.stream_published
            key = subscription_key(published.room_id, published.user_id, published.stream.kind, published.stream.name)
            progress.forget(key)  # it begins as the room's auto_subscribe has it
            payload = ev.StreamPublished(room_id=published.room_id, user_id=published.user_id, stream=published.stream)
            await state.record(event(payload))
        case "subscription_changed":
            await _subscription_changed(happened.subscription_changed, state)
        case "publication_ended":
            await _publication_ended(happened.publication_ended, state, progress, steps)
        case "encoder_changed":
            await _encoder_changed(happened.encoder_changed, state)
        case "media_state_changed":
            await _media_state_changed(happened.media_state_changed, state)
        case "playback_changed":
            await playback_is(happened.playback_changed.playback, state)
        case "canvas_changed":
            if fold.find_canvas(state.reported, happened.canvas_changed.canvas.canvas_id) is not None:
                await state.record(event(ev.CanvasStateChanged(canvas=happened.canvas_changed.canvas)))
        case "recording_changed":
            await recording_steps.changed(happened.recording_changed, state, progress)
        case "warning":
            await state.record(event(ev.ErrorOccurred(cause=happened.warning.cause)))


async def _source_ended(ended: en.SourceEnded, progress: ProgressTable, steps: Steps) -> None:
    key = capture_key(ended.source_id)
    digest = progress.of(key).applied
    if digest is not None:
        slate = st.CaptureStatus(showing_slate=ended.showing_slate, format=ended.format)
        await steps.capture_failed(ended.source_id, key, digest, ended.failure, slate)


async def _source_format_changed(changed: en.SourceFormatChanged, state: State) -> None:
    before = fold.find_capture(state.reported, changed.source_id)
    if before is not None:
        status = st.CaptureStatus()
        status.CopyFrom(before)
        status.format.CopyFrom(changed.format)
        await state.record(capture_changed(status))


async def _source_device_changed(changed: en.SourceDeviceChanged, state: State) -> None:
    before = fold.find_capture(state.reported, changed.source_id)
    if before is not None and before.state == st.CAPTURE_STATE_CAPTURING:
        status = st.CaptureStatus()
        status.CopyFrom(before)
        status.device_id = changed.device_id
        await state.record(capture_changed(status))


async def _room_state(state: State, room_id: str, room_state: st.RoomState.ValueType, cause: ty.Cause | None) -> None:
    before = fold.find_room(state.reported, room_id)
    if before is None or before.state not in (st.ROOM_STATE_JOINED, st.ROOM_STATE_RECONNECTING):
        return  # the connection was given up meanwhile
    status = st.RoomStatus()
    status.CopyFrom(before)
    status.state = room_state
    status.ClearField("cause")
    if cause is not None:
        status.cause.CopyFrom(cause)
    else:
        status.join_type = st.JOIN_TYPE_RECONNECTED
    await state.record(room_changed(status))


async def _room_ended(ended: en.RoomEnded, state: State, progress: ProgressTable, steps: Steps) -> None:
    key = room_key(ended.room_id)
    digest = progress.of(key).applied
    before = fold.find_room(state.reported, ended.room_id)
    if digest is None or before is None:
        return
    status = st.RoomStatus(room_id=before.room_id, user_id=before.user_id, server_url=before.server_url)
    await steps.room_failed(status, key, digest, ended.failure)


async def _subscription_changed(changed: en.SubscriptionChanged, state: State) -> None:
    subscription = st.SUBSCRIPTION_STATE_SUBSCRIBED if changed.subscribed else st.SUBSCRIPTION_STATE_UNSUBSCRIBED
    payload = ev.SubscriptionStateChanged(
        room_id=changed.room_id,
        user_id=changed.user_id,
        kind=changed.kind,
        name=changed.name,
        subscription=subscription,
    )
    if changed.HasField("failure"):
        payload.cause.CopyFrom(changed.failure.cause)
        if changed.failure.permanent:
            payload.subscription = st.SUBSCRIPTION_STATE_REFUSED
    await state.record(event(payload))


async def _media_state_changed(changed: en.MediaStateChanged, state: State) -> None:
    before = fold.find_publication(state.reported, changed.room_id, changed.source_id)
    if before is not None and before.state == st.PUBLICATION_STATE_PUBLISHED:
        status = st.PublicationStatus()
        status.CopyFrom(before)
        status.media_state = changed.media_state
        await state.record(publication_changed(status))


async def _encoder_changed(changed: en.EncoderChanged, state: State) -> None:
    before = fold.find_publication(state.reported, changed.room_id, changed.source_id)
    if before is not None and before.state == st.PUBLICATION_STATE_PUBLISHED:
        status = st.PublicationStatus()
        status.CopyFrom(before)
        status.coder, status.hardware = changed.coder, changed.hardware
        await state.record(publication_changed(status))


async def _publication_ended(ended: en.PublicationEnded, state: State, progress: ProgressTable, steps: Steps) -> None:
    key = stream_key(ended.room_id, ended.source_id)
    digest = progress.of(key).applied
    before = fold.find_publication(state.reported, ended.room_id, ended.source_id)
    if digest is not None and before is not None:
        status = st.PublicationStatus()
        status.CopyFrom(before)
        status.ClearField("media_state")
        await steps.publication_failed(status, key, digest, ended.failure)
