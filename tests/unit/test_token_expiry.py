"""When it is told that a room's token expires: 30 s before, once, and not when it is too late."""

from typing import Any, cast

from google.protobuf.timestamp_pb2 import Timestamp
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagentd.control.objects import room_key
from rtcagentd.control.state import Row, State
from rtcagentd.control.token_expiry import TokenExpiry


class Told(State):
    """A state that is edited directly, and keeps what is recorded."""

    def __init__(self) -> None:
        super().__init__(cast(Any, None), cast(Any, None))
        self.events: list[ev.Event] = []

    def record(self, *events: ev.Event) -> Any:
        self.events += events

    def room(self, room_id: str, expires_at: int | None) -> None:
        room = st.DesiredRoom(config=ty.RoomConfig(room_id=room_id, user_id="kiosk"), has_token=True)
        if expires_at is not None:
            room.token_expires_at.CopyFrom(Timestamp(seconds=expires_at))
        self.rows[room_key(room_id)] = Row(room, "token")


async def test_once_for_each_token_in_good_time() -> None:
    state = Told()
    expiry = TokenExpiry(state)
    state.room("demo", 1100)
    state.room("lab", 1200)
    state.room("forever", None)
    assert expiry.tell(1000) == 1070
    assert state.events == []
    assert expiry.tell(1070) == 1170
    assert expiry.tell(1071) == 1170
    assert [each.room_id for each in state.events] == ["demo"]
    assert state.events[0].token_will_expire.expires_at.seconds == 1100
    state.room("demo", 2000)  # a new token
    assert expiry.tell(1072) == 1170
    assert expiry.tell(1990) is None
    assert [each.room_id for each in state.events] == ["demo", "demo"]  # that of lab had expired long ago
