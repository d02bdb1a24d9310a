"""Orders that change how a source's pictures look and are encoded, as edits of the desired state."""

from collections.abc import Callable

from rtcagent.v1 import agent_pb2, capture_pb2
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control import checks
from rtcagentd.control.errors import invalid, not_found, precondition
from rtcagentd.control.ids import DEFAULT_SOURCE_ID
from rtcagentd.control.ledger import Edit
from rtcagentd.control.objects import capture_key, room_key, stream_key
from rtcagentd.control.wanted import AUTO_PUBLISHED, capture_kind

Edits = Callable[[Edit], None]
Capabilities = list[agent_pb2.Capability.ValueType]

# Fields of VideoEncoderConfig that not every engine has, and what it must be able to do for each.
_NEEDS = {
    "min_bitrate_bps": agent_pb2.CAPABILITY_MIN_BITRATE,
    "layers": agent_pb2.CAPABILITY_SIMULCAST_LAYERS,
    "scalability_mode": agent_pb2.CAPABILITY_SCALABILITY_MODE,
    "encoder": agent_pb2.CAPABILITY_ENCODER_CHOICE,
}


def check_encoder(config: ty.VideoEncoderConfig, capabilities: Capabilities, field: str = "encoder") -> None:
    """How a stream is to be encoded; of what the engine cannot do, too, where it has said what it can."""
    checks.encoder(config, field)
    for name, needed in _NEEDS.items():
        if getattr(config, name) and capabilities and needed not in capabilities:
            text = f"this engine has no {name} (GetAgent lists what it can do): leave it out"
            raise precondition("UNSUPPORTED_BY_ENGINE", text, field=f"{field}.{name}")


def set_encoder_config(request: capture_pb2.SetVideoEncoderConfigRequest, capabilities: Capabilities) -> Edits:
    """Of a source in every room, or of its stream in one."""
    source_id = checks.source_id(request.source_id or DEFAULT_SOURCE_ID)
    if not request.HasField("output") and not request.HasField("encoder"):
        raise invalid("encoder", "NOTHING_TO_CHANGE", "give `output`, `encoder` or both")
    checks.output("output", request.output)
    check_encoder(request.encoder, capabilities)
    if request.room_id:
        return _of_one_stream(request, source_id)

    def change(capture: st.DesiredCapture) -> None:
        if request.HasField("output"):
            capture.config.output.CopyFrom(request.output)
        if request.HasField("encoder"):
            capture.config.encoder.CopyFrom(request.encoder)

    def edit(edits: Edit) -> None:
        _change(edits, source_id, request.order, change)
        for key in edits.keys("stream") if request.HasField("encoder") else ():
            stream = edits.get(key, st.DesiredStream)
            if stream is not None and stream.source_id == source_id and stream.HasField("encoder"):
                keep = ty.Keep()
                keep.CopyFrom(stream.order.keep)
                stream.ClearField("encoder")
                edits.put(key, stream, keep=keep)

    return edit


def set_mirror(request: capture_pb2.SetLocalVideoMirrorRequest) -> Edits:
    """Where a source's picture is mirrored."""
    source_id = checks.source_id(request.source_id or DEFAULT_SOURCE_ID)
    checks.known_value("mirror_in", ty.VideoMirror, request.mirror_in)

    def change(capture: st.DesiredCapture) -> None:
        capture.config.ClearField("mirror")  # the older form of the same
        capture.config.mirror_in = request.mirror_in or ty.VIDEO_MIRROR_NONE

    return lambda edits: _change(edits, source_id, request.order, change)


def set_rotation(request: capture_pb2.SetVideoRotationRequest) -> Edits:
    """How a source's picture is turned."""
    source_id = checks.source_id(request.source_id or DEFAULT_SOURCE_ID)
    checks.known_value("rotation", ty.Rotation, request.rotation)

    def change(capture: st.DesiredCapture) -> None:
        capture.config.rotation = request.rotation

    return lambda edits: _change(edits, source_id, request.order, change)


def _change(edits: Edit, source_id: str, order: ty.OrderOptions, change: Callable[[st.DesiredCapture], None]) -> None:
    """Change the order to capture a source; it holds as long as before, unless this one says how long."""
    key = capture_key(source_id)
    capture = edits.get(key, st.DesiredCapture)
    if capture is None or capture.HasField("audio"):
        text = f"there is no order to capture the video of source {source_id!r}: start it first"
        raise not_found("CAPTURE_NOT_FOUND", text, source_id=source_id)
    keep = ty.Keep()
    keep.CopyFrom(capture.order.keep)
    secret = edits.row(key)
    change(capture)
    keeps_its_time = order.keep.kind == ty.Keep.KIND_UNSPECIFIED
    edits.put(key, capture, secret.secret if secret is not None else "", keep=keep if keeps_its_time else None)


def _of_one_stream(request: capture_pb2.SetVideoEncoderConfigRequest, source_id: str) -> Edits:
    room_id = checks.room_id(request.room_id)
    if request.HasField("output"):
        text = "a stream has no size of its own: leave `output` out, or `room_id`, to change the source in every room"
        raise invalid("output", "OUTPUT_IN_ROOM", text)
    key = stream_key(room_id, source_id)

    def edit(edits: Edit) -> None:
        room = edits.get(room_key(room_id), st.DesiredRoom)
        if room is None:
            raise not_found("ROOM_NOT_FOUND", f"there is no order to be in room {room_id!r}", room_id=room_id)
        stream = edits.get(key, st.DesiredStream) or st.DesiredStream(room_id=room_id, source_id=source_id)
        capture = edits.get(capture_key(source_id), st.DesiredCapture)
        automatic = room.config.auto_publish and capture is not None and capture_kind(capture) in AUTO_PUBLISHED
        if not (stream.published if stream.HasField("published") else automatic):
            text = f"nothing publishes {source_id!r} in room {room_id!r}: publish it, with its encoder"
            raise precondition("NOT_PUBLISHED", text, room_id=room_id, source_id=source_id)
        keep = ty.Keep()
        keep.CopyFrom(stream.order.keep)
        stream.encoder.CopyFrom(request.encoder)
        holds = request.order.keep.kind == ty.Keep.KIND_UNSPECIFIED and keep.kind != ty.Keep.KIND_UNSPECIFIED
        edits.put(key, stream, keep=keep if holds else None)

    return edit
