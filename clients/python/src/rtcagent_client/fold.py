"""Applies events to a reported state: GetState at S with the events (S, T] applied is GetState at T.

The daemon keeps its own reported state with this very function, so that a watcher who uses it sees exactly what
GetState would say.
"""

from collections.abc import Callable, Mapping, MutableMapping, MutableSequence
from typing import Any

from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st

_CONNECTED = (st.ROOM_STATE_JOINING, st.ROOM_STATE_JOINED, st.ROOM_STATE_RECONNECTING)


def apply(state: st.ReportedState, event: ev.Event) -> None:
    """Change `state` as `event` says. Events that report no state change nothing; nor do those about rooms that are
    not listed.
    """
    kind = event.WhichOneof("payload")
    rule = _RULES.get(kind or "")
    if rule is not None:
        rule(state, getattr(event, kind or ""))


def find_room(state: st.ReportedState, room_id: str) -> st.RoomStatus | None:
    """The status of a room, or None where the agent has nothing to do with it."""
    return next((room for room in state.rooms if room.room_id == room_id), None)


def find_user(state: st.ReportedState, room_id: str, user_id: str) -> st.User | None:
    """Another user of a room."""
    room = find_room(state, room_id)
    return next((user for user in room.users if user.user_id == user_id), None) if room else None


def find_capture(state: st.ReportedState, source_id: str) -> st.CaptureStatus | None:
    """The status of a source."""
    return next((capture for capture in state.captures if capture.source_id == source_id), None)


def find_publication(state: st.ReportedState, room_id: str, source_id: str) -> st.PublicationStatus | None:
    """The status of an own stream."""
    room = find_room(state, room_id)
    return next((item for item in room.publications if item.source_id == source_id), None) if room else None


def find_canvas(state: st.ReportedState, canvas_id: str) -> st.CanvasStatus | None:
    """The status of a canvas."""
    return next((canvas for canvas in state.canvases if canvas.canvas_id == canvas_id), None)


def find_recording(state: st.ReportedState, recording_id: str) -> st.RecordingStatus | None:
    """The status of a recording."""
    return next((each for each in state.recordings if each.recording_id == recording_id), None)


def _agent_started(state: st.ReportedState, started: ev.AgentStarted) -> None:
    _forget_media(state)
    state.ClearField("sound")
    for device in state.devices:
        device.present = False
        device.path = ""


def _engine_state_changed(state: st.ReportedState, changed: ev.EngineStateChanged) -> None:
    state.engine.CopyFrom(changed.engine)
    if changed.engine.state != st.ENGINE_STATE_RUNNING:
        _forget_media(state)


def _forget_media(state: st.ReportedState) -> None:
    del state.captures[:]
    del state.screens[:]
    del state.rooms[:]
    del state.active_speakers[:]
    state.ClearField("playback")
    del state.canvases[:]
    del state.recordings[:]
    state.ClearField("displays")


def _device_added(state: st.ReportedState, added: ev.DeviceAdded) -> None:
    _put(state.devices, added.device, lambda device: device.device_id)


def _device_removed(state: st.ReportedState, removed: ev.DeviceRemoved) -> None:
    for device in state.devices:
        if device.device_id == removed.device_id:
            device.present = False
            device.path = ""


def _sound_status_changed(state: st.ReportedState, changed: ev.SoundStatusChanged) -> None:
    state.sound.CopyFrom(changed.sound)


def _capture_state_changed(state: st.ReportedState, changed: ev.CaptureStateChanged) -> None:
    if changed.capture.state == st.CAPTURE_STATE_STOPPED:
        _drop(state.captures, lambda capture: capture.source_id == changed.capture.source_id)
    else:
        _put(state.captures, changed.capture, lambda capture: capture.source_id)
    if changed.capture.state != st.CAPTURE_STATE_CAPTURING:
        _drop(state.screens, lambda screen: screen.source_id == changed.capture.source_id)


def _screen_state_changed(state: st.ReportedState, changed: ev.ScreenStateChanged) -> None:
    if changed.screen.minimised:
        _put(state.screens, changed.screen, lambda screen: screen.source_id)
    else:
        _drop(state.screens, lambda screen: screen.source_id == changed.screen.source_id)


def _room_state_changed(state: st.ReportedState, changed: ev.RoomStateChanged) -> None:
    room_id = changed.room.room_id
    if changed.room.state == st.ROOM_STATE_LEFT:
        _drop(state.rooms, lambda room: room.room_id == room_id)
    if changed.room.state not in _CONNECTED:
        _drop(state.active_speakers, lambda speaker: speaker.room_id == room_id)
    if changed.room.state == st.ROOM_STATE_LEFT:
        return
    room = st.RoomStatus()
    room.CopyFrom(changed.room)
    before = find_room(state, room_id)
    if before is not None and room.state in _CONNECTED:
        room.users.extend(before.users)
        room.publications.extend(before.publications)
        if room.quality == st.CONNECTION_QUALITY_UNSPECIFIED:
            room.quality = before.quality
    _put(state.rooms, room, lambda room: room.room_id)


def _user_joined(state: st.ReportedState, joined: ev.UserJoined) -> None:
    room = find_room(state, joined.room_id)
    if room is not None:
        _put(room.users, joined.user, lambda user: user.user_id)


def _user_left(state: st.ReportedState, left: ev.UserLeft) -> None:
    room = find_room(state, left.room_id)
    if room is not None:
        _drop(room.users, lambda user: user.user_id == left.user_id)
        gone = (left.room_id, left.user_id)
        _drop(state.active_speakers, lambda speaker: (speaker.room_id, speaker.user_id) == gone)


def _user_info_changed(state: st.ReportedState, changed: ev.UserInfoChanged) -> None:
    room = find_room(state, changed.room_id)
    if room is None:
        return
    if room.user_id == changed.user_id:
        room.extra_info, room.name = changed.extra_info, changed.name
        _replace(room.attributes, changed.attributes)
    for user in room.users:
        if user.user_id == changed.user_id:
            user.extra_info = changed.extra_info
            user.name = changed.name
            _replace(user.attributes, changed.attributes)


def _connection_quality_changed(state: st.ReportedState, changed: ev.ConnectionQualityChanged) -> None:
    room = find_room(state, changed.room_id)
    if room is None:
        return
    if room.user_id == changed.user_id:
        room.quality = changed.quality
    for user in room.users:
        if user.user_id == changed.user_id:
            user.quality = changed.quality


def _stream_published(state: st.ReportedState, published: ev.StreamPublished) -> None:
    user = find_user(state, published.room_id, published.user_id)
    if user is not None:
        _put(user.streams, published.stream, lambda stream: (stream.kind, stream.name))


def _stream_unpublished(state: st.ReportedState, unpublished: ev.StreamUnpublished) -> None:
    user = find_user(state, unpublished.room_id, unpublished.user_id)
    if user is not None:
        key = (unpublished.kind, unpublished.name)
        _drop(user.streams, lambda stream: (stream.kind, stream.name) == key)


def _stream_muted(state: st.ReportedState, muted: ev.StreamMuted) -> None:
    user = find_user(state, muted.room_id, muted.user_id)
    for stream in user.streams if user else ():
        if (stream.kind, stream.name) == (muted.kind, muted.name):
            stream.muted = muted.muted


def _subscription_state_changed(state: st.ReportedState, changed: ev.SubscriptionStateChanged) -> None:
    user = find_user(state, changed.room_id, changed.user_id)
    for stream in user.streams if user else ():
        if (stream.kind, stream.name) == (changed.kind, changed.name):
            stream.subscription = changed.subscription
            stream.ClearField("cause")
            if changed.HasField("cause"):
                stream.cause.CopyFrom(changed.cause)


def _publication_state_changed(state: st.ReportedState, changed: ev.PublicationStateChanged) -> None:
    publication = changed.publication
    room = find_room(state, publication.room_id)
    if room is None:
        return
    if publication.state == st.PUBLICATION_STATE_UNPUBLISHED:
        _drop(room.publications, lambda item: item.source_id == publication.source_id)
    else:
        _put(room.publications, publication, lambda item: item.source_id)


def _first_frame_sent(state: st.ReportedState, sent: ev.FirstFrameSent) -> None:
    publication = find_publication(state, sent.room_id, sent.source_id)
    if publication is not None:
        publication.first_frame_sent = True


def _playback_state_changed(state: st.ReportedState, changed: ev.PlaybackStateChanged) -> None:
    state.playback.CopyFrom(changed.playback)


def _active_speaker_changed(state: st.ReportedState, changed: ev.ActiveSpeakerChanged) -> None:
    if find_room(state, changed.room_id) is not None:
        speaker = st.ActiveSpeaker(room_id=changed.room_id, user_id=changed.user_id)
        _put(state.active_speakers, speaker, lambda speaker: speaker.room_id)


def _canvas_state_changed(state: st.ReportedState, changed: ev.CanvasStateChanged) -> None:
    if changed.canvas.state == st.CANVAS_STATE_REMOVED:
        _drop(state.canvases, lambda canvas: canvas.canvas_id == changed.canvas.canvas_id)
    else:
        _put(state.canvases, changed.canvas, lambda canvas: canvas.canvas_id)


def _recording_state_changed(state: st.ReportedState, changed: ev.RecordingStateChanged) -> None:
    if changed.recording.state == st.RECORDING_STATE_STOPPED:
        _drop(state.recordings, lambda each: each.recording_id == changed.recording.recording_id)
    else:
        _put(state.recordings, changed.recording, lambda each: each.recording_id)


def _displays_changed(state: st.ReportedState, changed: ev.DisplaysChanged) -> None:
    state.displays.CopyFrom(changed.displays)


_RULES: dict[str, Callable[[st.ReportedState, Any], None]] = {
    "agent_started": _agent_started,
    "engine_state_changed": _engine_state_changed,
    "device_added": _device_added,
    "device_removed": _device_removed,
    "sound_status_changed": _sound_status_changed,
    "capture_state_changed": _capture_state_changed,
    "screen_state_changed": _screen_state_changed,
    "room_state_changed": _room_state_changed,
    "user_joined": _user_joined,
    "user_left": _user_left,
    "user_info_changed": _user_info_changed,
    "connection_quality_changed": _connection_quality_changed,
    "stream_published": _stream_published,
    "stream_unpublished": _stream_unpublished,
    "stream_muted": _stream_muted,
    "subscription_state_changed": _subscription_state_changed,
    "publication_state_changed": _publication_state_changed,
    "first_frame_sent": _first_frame_sent,
    "playback_state_changed": _playback_state_changed,
    "active_speaker_changed": _active_speaker_changed,
    "canvas_state_changed": _canvas_state_changed,
    "displays_changed": _displays_changed,
    "recording_state_changed": _recording_state_changed,
}


def _put(items: MutableSequence[Any], item: Any, key: Callable[[Any], Any]) -> None:
    """Replace the item of the same key, else insert it so that the keys stay in order."""
    for index, other in enumerate(items):
        if key(other) == key(item):
            other.CopyFrom(item)
            return
        if key(other) > key(item):
            items.insert(index, item)
            return
    items.append(item)


def _replace(items: MutableMapping[str, str], others: Mapping[str, str]) -> None:
    items.clear()
    items.update(others)


def _drop(items: MutableSequence[Any], matches: Callable[[Any], bool]) -> None:
    for index in reversed(range(len(items))):
        if matches(items[index]):
            del items[index]
