"""Remembers who was in a room when the agent lost it, so that those who are gone when it is back are told of."""

from collections.abc import Iterable

from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control.events import cause, event


class Presence:
    """Over engines; not over daemons, whose AgentStarted voids all that was reported."""

    def __init__(self) -> None:
        self._users: dict[str, set[str]] = {}

    def lost(self, room: st.RoomStatus | None) -> None:
        """The agent is about to be out of this room, or to join it anew."""
        if room is not None and room.users:
            self._users.setdefault(room.room_id, set()).update(user.user_id for user in room.users)

    def forget(self, room_id: str) -> None:
        """The room was left."""
        self._users.pop(room_id, None)

    def joined(self, room_id: str, present: Iterable[str]) -> list[ev.Event]:
        """The agent is in the room again: a UserLeft for each who is not there any more."""
        gone = self._users.pop(room_id, set()) - set(present)
        why = cause(ty.REASON_USER_LEFT, "left while the agent was out of the room")
        return [event(ev.UserLeft(room_id=room_id, user_id=user_id, cause=why)) for user_id in sorted(gone)]
