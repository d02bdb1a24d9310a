"""What others see of the agent: changed without a rejoin, kept, read back, and refused with the reason."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import AsyncClient, InvalidArgument, NotFound, Refused, fold

from tests.parts.controller import watching
from tests.parts.correspondent import Correspondent
from tests.parts.daemon import NAME, Daemon
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until

ROOM = "lobby"


@pytest_asyncio.fixture
async def client(daemon: Daemon) -> AsyncIterator[AsyncClient]:
    async with AsyncClient.connect(daemon.address) as client:
        yield client


@pytest_asyncio.fixture
async def ann(room_server: RoomServer) -> AsyncIterator[Correspondent]:
    person = Correspondent()
    await person.join(room_server.url, room_server.token(ROOM, "ann"))
    yield person
    await person.close()


async def room_of(client: AsyncClient) -> st.RoomStatus:
    return fold.find_room((await client.get_state()).reported, ROOM) or st.RoomStatus()


async def test_shown_from_the_start_changed_without_a_rejoin_and_after_an_engine_crash(
    daemon: Daemon, client: AsyncClient, ann: Correspondent
) -> None:
    await client.join_room(ROOM, name="Front desk", extra_info='{"seat": 4}', attributes={"floor": "2", "wing": "east"})
    agent = await ann.sees(NAME)
    assert (agent.name, agent.metadata, agent.attributes) == (
        "Front desk",
        '{"seat": 4}',
        {"floor": "2", "wing": "east"},
    )
    joined_at = (await room_of(client)).joined_at

    await client.set_user_info(ROOM, name="Back office", attributes={"floor": "3", "wing": ""})
    await ann.until(
        lambda: (agent.name, agent.attributes) == ("Back office", {"floor": "3"}),
        "the new info is seen",
    )
    room = await room_of(client)
    assert (room.name, room.extra_info, dict(room.attributes)) == ("Back office", '{"seat": 4}', {"floor": "3"})
    assert room.joined_at == joined_at  # without a rejoin
    desired = (await client.get_desired_state()).rooms[0].config
    assert (desired.name, dict(desired.attributes)) == ("Back office", {"floor": "3"})

    await client.set_user_info(ROOM, extra_info="")
    agent = await ann.sees(NAME)
    await ann.until(lambda: (agent.name, agent.metadata) == ("Back office", ""), "extra_info is gone")
    joined_at = (await room_of(client)).joined_at

    await daemon.kill_engine()

    async def is_back() -> bool:
        found = await room_of(client)
        return found.state == st.ROOM_STATE_JOINED and found.joined_at != joined_at

    await until(is_back, timeout_ms=20_000, what="the room is joined again")
    again = await ann.sees(NAME)
    await ann.until(
        lambda: (again.name, again.metadata, again.attributes) == ("Back office", "", {"floor": "3"}), "it is as before"
    )


async def test_refused_without_the_grant_and_the_agent_stays_in_the_room(
    room_server: RoomServer, client: AsyncClient
) -> None:
    await client.join_room(ROOM, token=room_server.token(ROOM, NAME, canUpdateOwnMetadata=False))
    with pytest.raises(Refused) as refused:
        await client.set_user_info(ROOM, name="Front desk")
    assert refused.value.result.outcomes[0].cause.reason == ty.REASON_NO_PERMISSION
    room = await room_of(client)
    assert (room.state, room.info_cause.reason) == (st.ROOM_STATE_JOINED, ty.REASON_NO_PERMISSION)
    (difference,) = (await client.get_state()).differences
    assert difference.cause.reason == ty.REASON_NO_PERMISSION
    await client.update_token(ROOM, room_server.token(ROOM, NAME))  # with the grant: joined anew
    assert (await room_of(client)).name == "Front desk"


async def test_of_others_it_is_told(daemon: Daemon, client: AsyncClient, ann: Correspondent) -> None:
    async with watching(daemon.control, types=["user_joined", "user_info_changed"]) as watcher:
        await client.join_room(ROOM)
        await watcher.event("user_joined")
        await ann.room.local_participant.set_name("Ann B.")
        await ann.room.local_participant.set_attributes({"hand": "up"})

        def is_so(changed: ev.UserInfoChanged) -> bool:
            return (changed.user_id, changed.name, dict(changed.attributes)) == ("ann", "Ann B.", {"hand": "up"})

        await watcher.event("user_info_changed", is_so)
    user = fold.find_user((await client.get_state()).reported, ROOM, "ann") or st.User()
    assert (user.name, dict(user.attributes)) == ("Ann B.", {"hand": "up"})


async def test_bad_input(client: AsyncClient) -> None:
    with pytest.raises(NotFound):
        await client.set_user_info("elsewhere", name="x")
    await client.join_room(ROOM)
    cases = {
        "EXTRA_INFO_NOT_JSON": {"extra_info": "{"},
        "USER_NAME_INVALID": {"name": "x" * 129},
        "ATTRIBUTES_TOO_MANY": {"attributes": {str(number): "x" for number in range(65)}},
        "ATTRIBUTES_TOO_LONG": {"attributes": {"x": "x" * 40_000}},
        "ATTRIBUTE_INVALID": {"attributes": {"x" * 129: "x"}},
    }
    for reason, arguments in cases.items():
        with pytest.raises(InvalidArgument) as raised:
            await client.set_user_info(ROOM, **arguments)  # type: ignore[arg-type]
        assert raised.value.reason == reason


async def test_a_token_that_expires_is_told_once_and_the_agent_stays(
    daemon: Daemon, room_server: RoomServer, client: AsyncClient
) -> None:
    async with watching(daemon.control, types=["token_will_expire", "room_state_changed"]) as watcher:
        await client.join_room(ROOM, token=room_server.token(ROOM, NAME, ttl_s=32))
        told = (await watcher.event("token_will_expire")).token_will_expire
        assert (told.room_id, told.user_id) == (ROOM, NAME)
        expires_at = (await client.get_desired_state()).rooms[0].token_expires_at
        assert told.expires_at == expires_at
        await client.update_token(ROOM, room_server.token(ROOM, NAME, ttl_s=20))  # another one that is about to
        await watcher.event("token_will_expire", lambda each: each.expires_at != expires_at)
        await client.update_token(ROOM, room_server.token(ROOM, NAME))
    tellings = [each for each in watcher.events if each.HasField("token_will_expire")]
    assert len(tellings) == 2
    assert (await room_of(client)).state == st.ROOM_STATE_JOINED


async def test_the_same_user_from_elsewhere_takes_the_place(
    daemon: Daemon, room_server: RoomServer, client: AsyncClient
) -> None:
    await client.join_room(ROOM)
    other = Correspondent()
    async with watching(daemon.control, types=["room_state_changed"]) as watcher:
        await other.join(room_server.url, room_server.token(ROOM, NAME))
        refused = await watcher.event("room_state_changed", lambda each: each.room.state == st.ROOM_STATE_REFUSED)
        assert refused.room_state_changed.room.cause.reason == ty.REASON_DUPLICATE_USER
    await other.close()
