"""What `rtcctl watch` shows: one line for each event, with a readable summary of every type."""

from collections.abc import Callable
from typing import Any

from rtcagent.v1.event_pb2 import Event
from rtcagent.v1.state_pb2 import CaptureState, ConnectionQuality, PublicationState, SubscriptionState
from rtcagent.v1.types_pb2 import StreamKind

from rtcagent_client.errors import describe_cause
from rtcagent_client.rtcctl.render import phrases, sound
from rtcagent_client.rtcctl.render.agent import engine_text
from rtcagent_client.rtcctl.render.canvases import displays_text, state_text
from rtcagent_client.rtcctl.render.messages import message_text
from rtcagent_client.rtcctl.render.recordings import recording_text
from rtcagent_client.rtcctl.render.rooms import room_text
from rtcagent_client.rtcctl.render.screens import screen_state
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import describe_object, describe_remote_stream, enum_word


def event_line(event: Event, screen: Screen) -> str:
    """ "   381  14:02:11.123  room_state_changed          room demo: JOINED as kiosk" """
    kind = event.WhichOneof("payload") or "unknown event"
    time = phrases.local(event.at).strftime("%H:%M:%S.%f")[:-3]
    head = f"{event.seq:>6}  {time}  "
    return f"{screen.paint(head, 'dim')}{kind:<26}  {summary(event)}"


def summary(event: Event) -> str:
    """The event's payload in words; empty for a type that this version does not know."""
    kind = event.WhichOneof("payload")
    return SUMMARIES[kind](getattr(event, kind)) if kind in SUMMARIES else ""


def _why(message: Any) -> str:
    return f": {describe_cause(message.cause)}" if message.HasField("cause") else ""


def _capture(event: Any) -> str:
    capture = event.capture
    state = enum_word(CaptureState, capture.state)
    slate = "its slate is shown" if capture.showing_slate else ""
    details = phrases.joined(phrases.video_format(capture.format) or sound.status(capture.audio), capture.input, slate)
    return f"capture {capture.source_id}: {state}{f' {details}' if details else ''}{_why(capture)}"


def _sound(event: Any) -> str:
    return f"sound through {event.sound.server}" if event.sound.connected else f"no sound: {event.sound.problem}"


def _publication(event: Any) -> str:
    one = event.publication
    state = phrases.joined(
        enum_word(PublicationState, one.state),
        phrases.encoder(one.encoder) or sound.encoding(one.audio),
        f"by {one.coder}{' (hardware)' if one.hardware else ''}" if one.coder else "",
        "muted" if one.muted else "",
        phrases.media(one.media_state),
    )
    return f"stream {one.room_id}/{one.source_id}: {state}{_why(one)}"


def _remote(event: Any, kind: int, name: str) -> str:
    return f"{event.user_id}'s {describe_remote_stream(kind or StreamKind.STREAM_KIND_CAMERA, name)} in {event.room_id}"


def _stream_published(event: Any) -> str:
    stream = event.stream
    size = f" {stream.width}x{stream.height}" if stream.width else ""
    return f"{_remote(event, stream.kind, stream.name)}{size}{', muted' if stream.muted else ''}"


def _desired(event: Any) -> str:
    objects = ", ".join(describe_object(one) for one in event.objects)
    return f"{event.method} by {event.controller.identity or 'somebody'}: {objects} (revision {event.revision})"


def _message(event: Any) -> str:
    more = f" ({event.unlogged_count} before it are not in the log)" if event.unlogged_count else ""
    return message_text(event.message) + more


def _device_added(event: Any) -> str:
    device = event.device
    return f"{device.device_id}: {device.name} at {device.path}" if device.present else f"{device.device_id}: absent"


def _quality(event: Any) -> str:
    return f"{event.user_id}'s connection in {event.room_id}: {phrases.low(ConnectionQuality, event.quality) or '?'}"


def _user_info(event: Any) -> str:
    info = f" {event.extra_info}" if event.extra_info else ""
    attributes = "".join(f" {key}={value}" for key, value in sorted(event.attributes.items()))
    return f"{event.user_id} in {event.room_id}{f' ({event.name})' if event.name else ''}{info}{attributes}"


SUMMARIES: dict[str, Callable[[Any], str]] = {
    "agent_started": lambda e: f"rtcagentd {e.version}, revision {e.revision}",
    "agent_stopping": lambda e: "",
    "engine_state_changed": lambda e: engine_text(e.engine),
    "error_occurred": lambda e: describe_cause(e.cause),
    "desired_state_changed": _desired,
    "order_ended": lambda e: f"{describe_object(e.object)}: {phrases.keep(e.keep) or 'ended'}{_why(e)}",
    "device_added": _device_added,
    "device_removed": lambda e: e.device_id,
    "capture_state_changed": _capture,
    "sound_status_changed": _sound,
    "screen_state_changed": screen_state,
    "room_state_changed": lambda e: f"room {e.room.room_id}: {room_text(e.room)}",
    "user_joined": lambda e: f"{e.user.user_id} in {e.room_id}",
    "user_left": lambda e: f"{e.user_id} from {e.room_id}{_why(e)}",
    "user_info_changed": _user_info,
    "connection_quality_changed": _quality,
    "stream_published": _stream_published,
    "stream_unpublished": lambda e: _remote(e, e.kind, e.name),
    "stream_muted": lambda e: f"{_remote(e, e.kind, e.name)}: {'muted' if e.muted else 'not muted'}",
    "subscription_state_changed": lambda e: (
        f"{_remote(e, e.kind, e.name)}: {enum_word(SubscriptionState, e.subscription)}{_why(e)}"
    ),
    "publication_state_changed": _publication,
    "message_received": _message,
    "first_frame_sent": lambda e: f"stream {e.room_id}/{e.source_id}{f': {e.width}x{e.height}' if e.width else ''}",
    "stream_republished": lambda e: f"stream {e.room_id}/{e.source_id}: nothing of it was sent for {e.gap_ms} ms",
    "playback_state_changed": lambda e: f"speaker: {phrases.playback(e.playback)}{_why(e.playback)}",
    "active_speaker_changed": lambda e: f"{e.user_id} speaks in {e.room_id}",
    "token_will_expire": lambda e: (
        f"the token of {e.user_id} for room {e.room_id} expires at {phrases.local(e.expires_at):%H:%M:%S}"
    ),
    "canvas_state_changed": lambda e: f"canvas {e.canvas.canvas_id}: {state_text(e.canvas)}",
    "displays_changed": lambda e: displays_text(e.displays),
    "recording_state_changed": lambda e: f"recording {e.recording.recording_id}: {recording_text(e.recording)}",
    "recording_deleted": lambda e: f"recording {e.recording_id}: {', '.join(e.files)}",
    "first_remote_frame": lambda e: (
        f"{_remote(e, e.kind, e.name)} {e.width}x{e.height} on "
        f"{f'canvas {e.canvas_id}' if e.canvas_id else 'the default layout'}"
    ),
    "first_remote_audio_frame": lambda e: f"{_remote(e, e.kind, e.name)} is heard",
    "remote_size_changed": lambda e: f"{_remote(e, e.kind, e.name)}: {e.width}x{e.height}",
}
