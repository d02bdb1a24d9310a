"""UpdateToken: stored for the next join, joined with at once where it gives other rights, and refused for another room
or user.
"""

import grpc
import grpc.aio
import pytest
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts.controller import bars, error_reason, kind_and_reason, violated_fields, watching
from tests.parts.daemon import NAME, Daemon
from tests.parts.listener import Listener
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until

ROOM = "lobby"
REACHED = ("REACHED", "")
JOINED = st.ROOM_STATE_JOINED


async def test_new_rights_are_joined_with_at_once(room_server: RoomServer, daemon: Daemon, listener: Listener) -> None:
    """A token that may not publish, then one that may: the picture comes without any other order."""
    control = daemon.control
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    await control.start_capture(bars())
    watch_only = room_server.token(ROOM, NAME, can_publish=False)
    assert kind_and_reason(await control.join(ROOM, token=watch_only)) == REACHED
    keep = (await control.desired()).rooms[0].order.keep
    async with watching(control) as watcher:
        assert kind_and_reason(await control.update_token(ROOM, room_server.token(ROOM, NAME))) == REACHED
        await watcher.event("room_state_changed", lambda each: each.room.state == JOINED)
    await listener.frames(NAME, "camera", count=5)
    assert (await control.desired()).rooms[0].order.keep == keep


async def test_the_same_rights_are_kept_for_the_next_join(room_server: RoomServer, daemon: Daemon) -> None:
    """The room is not left for a token that another key has signed; once the server has that key, it is the one that
    opens the room, over `kill -9` of the daemon.
    """
    control = daemon.control
    forever = ty.OrderOptions(keep=ty.Keep(kind=ty.Keep.KIND_FOREVER))
    assert kind_and_reason(await control.join(ROOM, token=room_server.token(ROOM, NAME), order=forever)) == REACHED
    joined_at = (await control.room(ROOM) or st.RoomStatus()).joined_at
    new_secret = "another-secret-of-thirty-two-characters"
    result = await control.update_token(ROOM, room_server.token(ROOM, NAME, secret=new_secret))
    assert kind_and_reason(result) == REACHED
    room = await control.room(ROOM)
    assert room is not None
    assert room.joined_at == joined_at
    desired = (await control.desired()).rooms[0]
    assert desired.order.keep.kind == ty.Keep.KIND_FOREVER
    assert desired.order.revision == result.revision

    await daemon.kill()
    await room_server.kill()
    room_server.secret = new_secret
    await room_server.start()
    await daemon.start()

    async def joined() -> bool:
        status = await control.room(ROOM)
        return status is not None and status.state == JOINED

    await until(joined, timeout_ms=20_000, what="the agent is in the room")


@pytest.mark.parametrize(
    ("room_id", "user_id", "reason"),
    [("other", NAME, "TOKEN_ROOM_MISMATCH"), (ROOM, "somebody", "TOKEN_USER_MISMATCH")],
)
async def test_a_token_for_another_room_or_user(
    room_server: RoomServer, daemon: Daemon, room_id: str, user_id: str, reason: str
) -> None:
    control = daemon.control
    await control.join(ROOM)
    before = await control.desired()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await control.update_token(ROOM, room_server.token(room_id, user_id))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error_reason(raised.value) == reason
    assert violated_fields(raised.value) == ["token"]
    assert await control.desired() == before


async def test_a_token_for_a_room_that_nobody_asked_for(room_server: RoomServer, daemon: Daemon) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await daemon.control.update_token(ROOM, room_server.token(ROOM, NAME))
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await daemon.control.update_token(ROOM, "no token")
    assert error_reason(raised.value) == "TOKEN_UNREADABLE"
