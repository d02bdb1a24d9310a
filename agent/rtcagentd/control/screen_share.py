"""What the end of a room means for the agent's own screen share."""

from collections.abc import Collection, Iterable

from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control.objects import Desired, Key, capture_key, room_key
from rtcagentd.control.wanted import stream_kind


def ends_with_rooms(rows: Iterable[tuple[Key, Desired]], leaving: Collection[Key]) -> list[Key]:
    """The captured screens that are shared in these rooms and in no other one: nobody is left to see them."""
    bodies = dict(rows)
    shared_in: dict[Key, set[Key]] = {}
    for body in bodies.values():
        if isinstance(body, st.DesiredStream) and body.published and room_key(body.room_id) in bodies:
            shared_in.setdefault(capture_key(body.source_id), set()).add(room_key(body.room_id))
    return [
        key
        for key, body in bodies.items()
        if isinstance(body, st.DesiredCapture)
        and not body.HasField("audio")
        and stream_kind(body.config) == ty.STREAM_KIND_SCREEN
        and key in shared_in
        and shared_in[key] <= set(leaving)
    ]
