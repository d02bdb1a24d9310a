"""What leaving a room means for the agent's own screen share."""

from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control.ledger import Edit
from rtcagentd.control.objects import room_id_of, room_key
from rtcagentd.control.wanted import stream_kind


def end_with_room(edits: Edit, room_id: str) -> None:
    """Ask no longer for the screens that are shared in this room and in no other one."""
    shared_in: dict[str, set[str]] = {}
    for key in edits.keys("stream"):
        stream = edits.get(key, st.DesiredStream)
        if stream is not None and stream.published and edits.row(room_key(room_id_of(key))) is not None:
            shared_in.setdefault(stream.source_id, set()).add(stream.room_id)
    for key in edits.keys("capture"):
        capture = edits.get(key, st.DesiredCapture)
        is_screen = capture is not None and stream_kind(capture.config) == ty.STREAM_KIND_SCREEN
        if is_screen and shared_in.get(key.text) == {room_id}:
            edits.remove(key)
