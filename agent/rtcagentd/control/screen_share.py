"""What the end of a room means for the agent's own screen share and its sound."""

from collections.abc import Collection, Iterable

from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control.objects import Desired, Key, capture_key, room_key
from rtcagentd.control.wanted import capture_kind

_SHARED = (ty.STREAM_KIND_SCREEN, ty.STREAM_KIND_SCREEN_AUDIO)


def ends_with_rooms(rows: Iterable[tuple[Key, Desired]], leaving: Collection[Key]) -> list[Key]:
    """The captured screens, and what the machine plays, that are shared in these rooms and in no other one: nobody is
    left to see and hear them.
    """
    bodies = dict(rows)
    shared_in: dict[Key, set[Key]] = {}
    for body in bodies.values():
        if isinstance(body, st.DesiredStream) and body.published and room_key(body.room_id) in bodies:
            shared_in.setdefault(capture_key(body.source_id), set()).add(room_key(body.room_id))
    return [
        key
        for key, body in bodies.items()
        if isinstance(body, st.DesiredCapture)
        and capture_kind(body) in _SHARED
        and key in shared_in
        and shared_in[key] <= set(leaving)
    ]
