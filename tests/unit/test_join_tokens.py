"""Which token a room is joined with, what is kept of the endpoint's, and what is tried again of what was refused."""

import asyncio
import math
import time
from typing import Any, cast

import pytest
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagentd.control import join_tokens
from rtcagentd.control.events import cause
from rtcagentd.control.join_tokens import (
    EndpointRefused,
    EndpointUnreachable,
    JoinTokens,
    NoToken,
    RoomToken,
)
from rtcagentd.control.objects import room_key
from rtcagentd.control.plan import room_digest
from rtcagentd.control.progress import ProgressTable
from rtcagentd.control.refusals import RefusalPolicy
from rtcagentd.control.room_tokens import ServerKey, rights
from rtcagentd.control.state import Row, State

from tests.parts.waiting import until

SERVER = ServerKey("wss://own", "wss://own.example", "key", "a-secret-of-thirty-two-characters!!")
ROOM = ty.RoomConfig(room_id="demo", user_id="ann")
KEY = room_key("demo")


class FakeEndpoint:
    """Answers with what it is told to."""

    def __init__(self) -> None:
        self.answer: RoomToken | Exception = RoomToken("first")
        self.asked: list[str] = []
        self.hangs = False

    async def fetch(self, room_id: str, user_id: str, reason: str) -> RoomToken:
        self.asked.append(reason)
        if self.hangs:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def state() -> State:
    state = State(cast(Any, None), cast(Any, None))
    state.rows[KEY] = Row(st.DesiredRoom(config=ROOM))
    return state


async def reason_of(tokens: JoinTokens) -> ty.Reason.ValueType:
    with pytest.raises(NoToken) as none:
        await tokens.complete(ROOM, "")
    return none.value.cause.reason


async def test_the_first_that_applies_is_used(state: State) -> None:
    endpoint = FakeEndpoint()
    tokens = JoinTokens(state, SERVER, endpoint)
    assert (await tokens.complete(ROOM, "given")).token == "given"
    fetched = await tokens.complete(ROOM, "")
    assert (fetched.token, fetched.server_url) == ("first", "wss://own")
    endpoint.answer = RoomToken("second", "wss://elsewhere")
    assert (await tokens.complete(ROOM, "")).server_url == "wss://elsewhere"
    elsewhere = ty.RoomConfig(room_id="demo", user_id="ann", server_url="wss://elsewhere")
    endpoint.asked.clear()
    with pytest.raises(NoToken):  # a token for the agent's server is not for one that an order names
        await tokens.complete(elsewhere, "")
    assert not endpoint.asked
    signed = await JoinTokens(state, SERVER, None).complete(ROOM, "")
    assert "roomJoin" in rights(signed.token)
    assert await reason_of(JoinTokens(state, None, None)) == ty.REASON_TOKEN_REJECTED
    endpoint.answer = RoomToken("third")
    assert await reason_of(JoinTokens(state, None, endpoint)) == ty.REASON_TOKEN_ENDPOINT_REFUSED


async def test_a_valid_token_in_hand_stands_in_for_the_endpoint(state: State) -> None:
    endpoint = FakeEndpoint()
    tokens = JoinTokens(state, SERVER, endpoint)
    endpoint.answer = RoomToken("newest", expires_at=time.time() + 60)
    await tokens.complete(ROOM, "")
    endpoint.answer = EndpointUnreachable("away")
    assert (await tokens.complete(ROOM, "", rejoin=True)).token == "newest"
    assert endpoint.asked == ["join", "rejoin"]
    another_user = ty.RoomConfig(room_id="demo", user_id="bob")
    with pytest.raises(NoToken) as none:
        await tokens.complete(another_user, "")
    assert (none.value.cause.reason, none.value.permanent) == (ty.REASON_TOKEN_ENDPOINT_UNREACHABLE, False)


async def test_one_that_is_over_or_was_taken_back_does_not(state: State) -> None:
    endpoint = FakeEndpoint()
    tokens = JoinTokens(state, SERVER, endpoint)
    endpoint.answer = RoomToken("over", expires_at=time.time() + 1)
    await tokens.complete(ROOM, "")
    endpoint.answer = EndpointUnreachable("away")
    assert await reason_of(tokens) == ty.REASON_TOKEN_ENDPOINT_UNREACHABLE
    endpoint.answer = RoomToken("good", expires_at=time.time() + 60)
    await tokens.complete(ROOM, "")
    endpoint.answer = EndpointRefused("not any more")
    assert await reason_of(tokens) == ty.REASON_TOKEN_ENDPOINT_REFUSED
    endpoint.answer = EndpointUnreachable("away")
    assert await reason_of(tokens) == ty.REASON_TOKEN_ENDPOINT_UNREACHABLE


async def test_renewal_goes_on_while_the_endpoint_is_away_and_ends_with_the_room(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join_tokens, "RENEW_FIRST_S", 0.1)
    endpoint = FakeEndpoint()
    tokens = JoinTokens(state, SERVER, endpoint)
    endpoint.answer = RoomToken("short", expires_at=time.time() + 0.5)
    await tokens.complete(ROOM, "")
    renewing = asyncio.create_task(tokens.run())
    endpoint.answer = EndpointUnreachable("away")
    await until(lambda: endpoint.asked.count("renew") >= 2, timeout_ms=20_000, what="it is tried again")
    endpoint.answer = RoomToken("long", expires_at=time.time() + 3600)
    asked = len(endpoint.asked)
    await until(lambda: len(endpoint.asked) > asked, timeout_ms=20_000, what="it is renewed")
    del state.rows[KEY]
    state.touch()
    await until(lambda: not tokens._in_hand, timeout_ms=5_000, what="nothing is kept of a room that was left")
    renewing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await renewing


async def test_an_endpoint_that_hangs_does_not_hold_up_a_rejoin(state: State) -> None:
    endpoint = FakeEndpoint()
    tokens = JoinTokens(state, SERVER, endpoint)
    await tokens.complete(ROOM, "")
    endpoint.hangs = True
    async with asyncio.timeout(10):
        assert (await tokens.complete(ROOM, "", rejoin=True)).token == "first"


def test_tokens_with_the_same_rights_are_the_same_room() -> None:
    room = st.DesiredRoom(config=ROOM)
    early, late = SERVER.mint("demo", "ann", ttl_s=60), SERVER.mint("demo", "ann", ttl_s=3600)
    assert early != late
    assert room_digest(room, early) == room_digest(room, late)
    watching = SERVER.mint("demo", "ann", watch_only=True)
    assert len({room_digest(room, token) for token in ("", early, watching, "unreadable")}) == 4


@pytest.mark.parametrize(
    ("reason", "own_token", "again"),
    [
        (ty.REASON_TOKEN_REJECTED, True, True),
        (ty.REASON_TOKEN_ENDPOINT_REFUSED, True, True),
        (ty.REASON_TOKEN_REJECTED, False, False),
        (ty.REASON_DUPLICATE_USER, True, False),
        (ty.REASON_KICKED_OUT, True, False),
    ],
)
def test_only_refusals_of_own_tokens_are_tried_again(reason: ty.Reason.ValueType, own_token: bool, again: bool) -> None:
    policy = RefusalPolicy(60.0, 600.0)
    delays = [policy.again_in_s(reason, count, own_token=own_token) for count in range(1, 7)]
    assert delays == ([60, 120, 240, 480, 600, 600] if again else [None] * 6)


def test_a_refusal_is_tried_again_at_its_time_or_never() -> None:
    progress = ProgressTable(1.0, 10.0)
    why = cause(ty.REASON_TOKEN_REJECTED, "no")
    progress.failed(KEY, b"x", why, True, 0.0, 60.0)
    item = progress.of(KEY)
    assert 42.0 <= item.refused_until <= 60.0
    assert progress.next_retry(0.0) == item.refused_until
    progress.failed(KEY, b"x", why, True, 0.0)
    assert item.refused_until == math.inf
    assert item.refusals == 2
    assert progress.next_retry(0.0) is None
    progress.retry_now(KEY)
    assert item.refusals == 0
