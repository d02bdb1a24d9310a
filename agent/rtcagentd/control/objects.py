"""The kinds of objects that the desired state has, and their keys.

A key is (kind, text): ("room", "demo"), ("capture", "camera"), ("stream", "demo/camera"), ("subscription",
"demo/ann/1/front"), ("slot", "front-cam"), ("canvas", "caller"), ("layout", "HDMI-1"). Ids have no slash, so the text
is unambiguous; a stream's name may have any character and comes last. Of ("playback", "speaker") and ("audio_report",
"interval") there is one each; ("remote_volume", "demo/ann"). ("recording", "monday").
"""

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

Desired: TypeAlias = (
    st.DesiredRoom
    | st.DesiredCapture
    | st.DesiredStream
    | st.DesiredSubscription
    | st.DesiredSlot
    | st.DesiredPlayback
    | st.DesiredRemoteVolume
    | st.DesiredAudioReport
    | st.DesiredCanvas
    | st.DesiredLayout
    | st.DesiredRecording
)


class Key(NamedTuple):
    """Names one object."""

    kind: str
    text: str


MESSAGES: dict[str, type[Desired]] = {
    "room": st.DesiredRoom,
    "capture": st.DesiredCapture,
    "stream": st.DesiredStream,
    "subscription": st.DesiredSubscription,
    "slot": st.DesiredSlot,
    "playback": st.DesiredPlayback,
    "remote_volume": st.DesiredRemoteVolume,
    "audio_report": st.DesiredAudioReport,
    "canvas": st.DesiredCanvas,
    "layout": st.DesiredLayout,
    "recording": st.DesiredRecording,
}

# The lists of DesiredState, and the kind of the objects in each. What refers to another object comes after it.
PARTS: dict[str, str] = {
    "slots": "slot",
    "captures": "capture",
    "rooms": "room",
    "streams": "stream",
    "subscriptions": "subscription",
    "playback": "playback",
    "remote_volumes": "remote_volume",
    "audio_report": "audio_report",
    "canvases": "canvas",
    "layouts": "layout",
    "recordings": "recording",
}

# The kinds of what is ordered in a room, beside being in it; it ends when the room is left.
IN_ROOMS: dict[str, str] = {"stream": "streams", "subscription": "subscriptions", "remote_volume": "remote_volumes"}


def room_key(room_id: str) -> Key:
    return Key("room", room_id)


def capture_key(source_id: str) -> Key:
    return Key("capture", source_id)


def stream_key(room_id: str, source_id: str) -> Key:
    return Key("stream", f"{room_id}/{source_id}")


def subscription_key(room_id: str, user_id: str, kind: int, name: str) -> Key:
    return Key("subscription", f"{room_id}/{user_id}/{kind}/{name}")


def slot_key(name: str) -> Key:
    return Key("slot", name)


PLAYBACK_KEY = Key("playback", "speaker")
AUDIO_REPORT_KEY = Key("audio_report", "interval")


def remote_volume_key(room_id: str, user_id: str) -> Key:
    return Key("remote_volume", f"{room_id}/{user_id}")


def canvas_key(canvas_id: str) -> Key:
    return Key("canvas", canvas_id)


def recording_key(recording_id: str) -> Key:
    return Key("recording", recording_id)


def layout_key(display: str) -> Key:
    """Of one display, or, with an empty name, of all that have no order of their own."""
    return Key("layout", display)


def key_of_desired(body: Desired) -> Key:
    """The key of what is desired."""
    match body:
        case st.DesiredRoom():
            return room_key(body.config.room_id)
        case st.DesiredCapture():
            return capture_key(body.source_id)
        case st.DesiredStream():
            return stream_key(body.room_id, body.source_id)
        case st.DesiredSubscription():
            return subscription_key(body.room_id, body.user_id, body.kind, body.name)
        case st.DesiredSlot():
            return slot_key(body.slot.name)
        case st.DesiredPlayback():
            return PLAYBACK_KEY
        case st.DesiredRemoteVolume():
            return remote_volume_key(body.room_id, body.user_id)
        case st.DesiredAudioReport():
            return AUDIO_REPORT_KEY
        case st.DesiredCanvas():
            return canvas_key(body.canvas_id)
        case st.DesiredLayout():
            return layout_key(body.display)
        case st.DesiredRecording():
            return recording_key(body.recording_id)


def as_state(revision: int, rows: Iterable[tuple[Key, Desired]]) -> st.DesiredState:
    """Objects as the message of them all, each list in the order of its keys."""
    desired = st.DesiredState(revision=revision)
    lists = {kind: getattr(desired, part) for part, kind in PARTS.items()}
    for key, body in sorted(rows, key=lambda row: row[0]):
        lists[key.kind].append(body)
    return desired


def key_of(ref: ty.ObjectRef) -> Key:
    """The key of what `ref` names."""
    match ref.WhichOneof("object"):
        case "room_id":
            return room_key(ref.room_id)
        case "source_id":
            return capture_key(ref.source_id)
        case "stream":
            return stream_key(ref.stream.room_id, ref.stream.source_id)
        case "remote_stream":
            remote = ref.remote_stream
            return subscription_key(remote.room_id, remote.user_id, remote.kind, remote.name)
        case "slot":
            return slot_key(ref.slot)
        case "playback":
            return PLAYBACK_KEY
        case "remote_volume":
            return remote_volume_key(ref.remote_volume.room_id, ref.remote_volume.user_id)
        case "audio_report":
            return AUDIO_REPORT_KEY
        case "canvas_id":
            return canvas_key(ref.canvas_id)
        case "layout":
            return layout_key(ref.layout.display)
        case "recording_id":
            return recording_key(ref.recording_id)
    raise ValueError("the reference names no object")


def ref_of(key: Key) -> ty.ObjectRef:
    """The reference that names `key`."""
    match key.kind:
        case "room":
            return ty.ObjectRef(room_id=key.text)
        case "capture":
            return ty.ObjectRef(source_id=key.text)
        case "stream":
            room_id, source_id = key.text.split("/")
            return ty.ObjectRef(stream=ty.ObjectRef.Stream(room_id=room_id, source_id=source_id))
        case "subscription":
            room_id, user_id, kind, name = key.text.split("/", 3)
            stream_kind = ty.StreamKind.ValueType(int(kind))
            remote = ty.ObjectRef.RemoteStream(room_id=room_id, user_id=user_id, kind=stream_kind, name=name)
            return ty.ObjectRef(remote_stream=remote)
        case "slot":
            return ty.ObjectRef(slot=key.text)
        case "playback":
            return ty.ObjectRef(playback=ty.ObjectRef.Playback())
        case "remote_volume":
            room_id, user_id = key.text.split("/")
            return ty.ObjectRef(remote_volume=ty.ObjectRef.RemoteUser(room_id=room_id, user_id=user_id))
        case "audio_report":
            return ty.ObjectRef(audio_report=ty.ObjectRef.AudioReport())
        case "canvas":
            return ty.ObjectRef(canvas_id=key.text)
        case "recording":
            return ty.ObjectRef(recording_id=key.text)
        case "layout":
            return ty.ObjectRef(layout=ty.ObjectRef.LayoutDisplay(display=key.text))
    raise ValueError(f"no object has the kind {key.kind!r}")


def room_id_of(key: Key) -> str:
    """The room that the object belongs to, or is; empty for what is the machine's own."""
    return key.text.split("/", 1)[0] if key.kind == "room" or key.kind in IN_ROOMS else ""
