"""Room tokens from an HTTPS endpoint: fetched at each join, renewed in time; its absence and refusals are survived."""

import json
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio
from aiohttp import web
from rtcagent.v1 import rooms_pb2 as rm
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts.controller import Watcher, bars, error_reason, kind_and_reason, watching
from tests.parts.daemon import NAME, MakeDaemon
from tests.parts.listener import Listener
from tests.parts.room_server import RoomServer
from tests.parts.token_endpoint import BEARER, TokenEndpoint, tokens_of

ROOM = "lobby"
REACHED = ("REACHED", "")
SOON = ty.OrderOptions(wait_ms=500)
RETRY = {"first_ms": 100, "max_ms": 500, "refused_first_ms": 400, "refused_max_ms": 1000}


@pytest_asyncio.fixture
async def endpoint(tmp_path: Path, room_server: RoomServer) -> AsyncIterator[TokenEndpoint]:
    """An endpoint that gives tokens of the room server."""
    served = TokenEndpoint(tmp_path, tokens_of(room_server))
    await served.start()
    yield served
    await served.stop()


def settings(endpoint: TokenEndpoint, **more: Any) -> dict[str, Any]:
    return {"token_endpoint": endpoint.settings(**more), "retry": RETRY}


async def joined(watcher: Watcher, after_seq: int = 0) -> st.RoomStatus:
    event = await watcher.event(
        "room_state_changed",
        lambda each: each.room.state == st.ROOM_STATE_JOINED,
        timeout_ms=20_000,
        after_seq=after_seq,
    )
    return event.room_state_changed.room


async def test_a_room_is_joined_with_what_the_endpoint_gives(
    room_server: RoomServer, endpoint: TokenEndpoint, make_daemon: MakeDaemon, listener: Listener
) -> None:
    """Token and server both come from the endpoint; the tokens and the bearer are nowhere in log and store."""
    daemon = await make_daemon(settings=settings(endpoint) | {"log_level": "debug"})
    control = daemon.control
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    await control.start_capture(bars())
    given: list[str] = []
    endpoint.answer = remembering(endpoint, given)
    assert kind_and_reason(await control.join(ROOM)) == REACHED
    await listener.frames(NAME, "camera", count=5)
    assert (await control.room(ROOM) or st.RoomStatus()).server_url == room_server.url
    assert endpoint.asked == [{"room_id": ROOM, "user_id": NAME, "agent": NAME, "reason": "join"}]

    async with watching(control) as watcher:
        await daemon.kill_engine()
        await joined(watcher)
    assert endpoint.reasons() == ["join", "rejoin"]
    assert len(given) == 2
    await daemon.stop()
    database = sqlite3.connect(daemon.folder / "state" / "rtcagent.db")
    stored = "\n".join(
        map(repr, [*database.execute("SELECT * FROM desired"), *database.execute("SELECT * FROM events")])
    )
    database.close()
    for secret in (*given, BEARER):
        assert secret not in daemon.log()
        assert secret not in stored


async def test_the_orders_own_token_comes_first_and_the_agents_key_last(
    room_server: RoomServer, endpoint: TokenEndpoint, make_daemon: MakeDaemon
) -> None:
    daemon = await make_daemon(room_server, settings=settings(endpoint))
    control = daemon.control
    assert kind_and_reason(await control.join(ROOM, token=room_server.token(ROOM, NAME))) == REACHED
    assert not endpoint.asked
    assert kind_and_reason(await control.join("other")) == REACHED
    assert [each["room_id"] for each in endpoint.asked] == ["other"]
    assert kind_and_reason(await control.join("third", server_url=room_server.url, user_id="ann")) == REACHED
    assert endpoint.asked[-1] == {"room_id": "third", "user_id": "ann", "agent": NAME, "reason": "join"}


async def test_an_endpoint_that_is_away_is_waited_for(
    room_server: RoomServer, endpoint: TokenEndpoint, make_daemon: MakeDaemon
) -> None:
    await endpoint.stop()
    daemon = await make_daemon(settings=settings(endpoint))
    control = daemon.control
    assert kind_and_reason(await control.join(ROOM, order=SOON)) == ("WAITING", "TOKEN_ENDPOINT_UNREACHABLE")
    async with watching(control) as watcher:
        await endpoint.start()
        await joined(watcher)
    assert not (await control.state()).differences


@pytest.mark.parametrize("hangs", [False, True], ids=["away", "hangs"])
async def test_a_rejoin_does_without_an_endpoint_that_is_away(
    room_server: RoomServer, endpoint: TokenEndpoint, make_daemon: MakeDaemon, hangs: bool
) -> None:
    """The token in hand is still valid: a new engine joins with it, soon, whatever the endpoint does."""
    daemon = await make_daemon(settings=settings(endpoint, timeout_ms=15_000))
    control = daemon.control
    assert kind_and_reason(await control.join(ROOM)) == REACHED
    if hangs:
        endpoint.hang()
    else:
        await endpoint.stop()
    async with watching(control) as watcher:
        await daemon.kill_engine()
        failed = await watcher.event("engine_state_changed")
        runs = await watcher.event("engine_state_changed", lambda each: each.engine.state == st.ENGINE_STATE_RUNNING)
        await joined(watcher, after_seq=failed.seq)
        event = watcher.events[-1]
        assert event.at.ToMilliseconds() - runs.at.ToMilliseconds() < 10_000  # the endpoint alone would take 15 s
    assert "joined with the token in hand" in daemon.log()


async def test_tokens_are_renewed_before_they_expire(
    room_server: RoomServer, endpoint: TokenEndpoint, make_daemon: MakeDaemon
) -> None:
    """While the agent is in the room, and without leaving it; the renewed one is for the next join."""
    endpoint.answer = tokens_of(room_server, ttl_s=6)
    daemon = await make_daemon(settings=settings(endpoint))
    control = daemon.control
    begin = time.monotonic()
    assert kind_and_reason(await control.join(ROOM)) == REACHED
    joined_at = (await control.room(ROOM) or st.RoomStatus()).joined_at
    await endpoint.until_asked(lambda: "renew" in endpoint.reasons(), timeout_ms=15_000, what="the token is renewed")
    assert 2 <= time.monotonic() - begin < 6
    assert (await control.room(ROOM) or st.RoomStatus()).joined_at == joined_at
    await control.leave(ROOM)
    asked = len(endpoint.asked)
    await control.join("other")
    await endpoint.until_asked(lambda: endpoint.reasons()[asked + 1 :] == ["renew"], timeout_ms=15_000, what="renewed")
    assert {each["room_id"] for each in endpoint.asked[asked:]} == {"other"}  # nothing for the room that was left


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refusal_is_tried_again_slowly(
    room_server: RoomServer, endpoint: TokenEndpoint, make_daemon: MakeDaemon, status: int
) -> None:
    endpoint.answer = lambda _: web.Response(status=status)
    daemon = await make_daemon(settings=settings(endpoint))
    control = daemon.control
    assert kind_and_reason(await control.join(ROOM)) == ("REFUSED", "TOKEN_ENDPOINT_REFUSED")
    async with watching(control) as watcher:
        await endpoint.until_asked(lambda: len(endpoint.asked) >= 3, timeout_ms=10_000, what="asked again")
        assert [names for names in (await control.state()).differences if names.kind == ty.Outcome.KIND_REFUSED]
        endpoint.answer = tokens_of(room_server)
        await joined(watcher)
    assert kind_and_reason(await control.join(ROOM)) == REACHED


async def test_a_token_for_another_user_says_so(
    room_server: RoomServer, endpoint: TokenEndpoint, make_daemon: MakeDaemon
) -> None:
    endpoint.answer = lambda _: web.json_response(
        {"token": room_server.token(ROOM, "bob"), "server_url": room_server.url}
    )
    daemon = await make_daemon(settings=settings(endpoint))
    result = await daemon.control.join(ROOM)
    assert kind_and_reason(result) == ("REFUSED", "TOKEN_ENDPOINT_REFUSED")
    assert "for user 'bob', not 'agent'" in result.outcomes[0].cause.message
    assert "ey" not in result.outcomes[0].cause.message.split()


async def test_a_server_whose_key_is_put_right_is_joined_without_an_order(
    room_server: RoomServer, make_daemon: MakeDaemon
) -> None:
    """The agent signs with the right key; it is the server that had another one. A controller's token is not tried
    again by itself.
    """
    right = room_server.secret
    daemon = await make_daemon(room_server, settings={"retry": RETRY})
    await room_server.kill()
    room_server.secret = "another-secret-of-thirty-two-characters"
    await room_server.start()
    control = daemon.control
    assert kind_and_reason(await control.join(ROOM)) == ("REFUSED", "TOKEN_REJECTED")
    given = room_server.token("given", NAME, secret=right)
    assert kind_and_reason(await control.join("given", token=given)) == ("REFUSED", "TOKEN_REJECTED")
    await room_server.kill()
    room_server.secret = right
    await room_server.start()
    async with watching(control, after=st.Position()) as watcher:
        room = await joined(watcher)
    assert room.room_id == ROOM
    assert (await control.room("given") or st.RoomStatus()).state == st.ROOM_STATE_REFUSED


async def test_invites_need_the_key(room_server: RoomServer, endpoint: TokenEndpoint, make_daemon: MakeDaemon) -> None:
    daemon = await make_daemon(settings=settings(endpoint))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await daemon.control.rooms.CreateInvite(rm.CreateInviteRequest(room_id=ROOM, user_id="ann"))
    assert error_reason(raised.value) == "NO_SERVER_KEY"


def remembering(endpoint: TokenEndpoint, given: list[str]) -> Any:
    answer = endpoint.answer

    def remember(asked: Any) -> web.StreamResponse:
        response = answer(asked)
        assert isinstance(response, web.Response)
        assert isinstance(response.body, bytes)
        given.append(json.loads(response.body)["token"])
        return response

    return remember
