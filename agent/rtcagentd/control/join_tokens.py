"""Which token a room is joined with: the order's own, else one of the token endpoint, else one that the agent signs.

An order's token is never replaced by another, not even when it has expired: it may have been given because it
allows less. The newest token of the endpoint is kept in memory, and renewed in good time, for a join while the
endpoint is away; it is never written down.
"""

import asyncio
import contextlib
import logging
import random
import time
from dataclasses import dataclass, field
from typing import Protocol

from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control.events import cause
from rtcagentd.control.objects import room_key
from rtcagentd.control.room_tokens import ServerKey, own_urls
from rtcagentd.control.state import State

log = logging.getLogger(__name__)

# A join that has a valid token in hand gives the endpoint this long to give a newer one.
PATIENCE_S = 1.0
# A token in hand is renewed when this share of its life has passed, and after a failure within RENEW_AGAIN_S.
RENEW_AT = 2 / 3
RENEW_FIRST_S = 2.0
RENEW_AGAIN_S = 60.0
# A token that is about to expire is not in hand any more: the join itself takes a moment.
EXPIRY_MARGIN_S = 2.0
CLOCK_CHECK_S = 30.0  # the wall clock, which tokens expire by, may be set


class EndpointUnreachable(Exception):
    """There was no answer, or one that a later try may better; the text says what was wrong, without secrets."""


class EndpointRefused(Exception):
    """The endpoint gives no token for this room and user, or an answer that is of no use."""


@dataclass(frozen=True)
class RoomToken:
    """What the endpoint gave."""

    token: str = field(repr=False)
    server_url: str = ""  # empty: the agent's own room server
    expires_at: float | None = None  # seconds of the wall clock


class Endpoint(Protocol):
    """Gives tokens; see token_endpoint.py."""

    async def fetch(self, room_id: str, user_id: str, reason: str) -> RoomToken:
        """A token for one user in one room, or EndpointUnreachable or EndpointRefused, within a few seconds.

        `reason`: "join", "rejoin" or "renew".
        """


class NoToken(Exception):
    """There is no token to join with now."""

    def __init__(self, why: ty.Cause, *, permanent: bool) -> None:
        super().__init__(why.message)
        self.cause = why
        self.permanent = permanent


@dataclass
class _InHand:
    """The newest token of the endpoint for one room."""

    user_id: str
    grant: RoomToken
    fetched_at: float  # wall clock, as the expiry is
    failures: int = 0
    renew_at: float = 0.0

    def is_valid(self, now: float) -> bool:
        return self.grant.expires_at is None or self.grant.expires_at > now + EXPIRY_MARGIN_S


class JoinTokens:
    """Completes rooms for joining, and renews what it holds for the next time."""

    def __init__(self, state: State, server: ServerKey | None, endpoint: Endpoint | None) -> None:
        self._state = state
        self._server = server
        self._endpoint = endpoint
        self._in_hand: dict[str, _InHand] = {}
        self._changed = asyncio.Event()
        self._refreshing: set[asyncio.Task[RoomToken]] = set()  # asked for too long ago for the join that began them
        if endpoint is not None:
            state.on_change(self._changed.set)

    async def complete(self, config: ty.RoomConfig, token: str, *, rejoin: bool = False) -> ty.RoomConfig:
        """The room with the server and the token to join it by now; NoToken where there is none.

        The agent's own server is looked up at each join: its address may have changed since the order was stored.
        """
        joined = ty.RoomConfig()
        joined.CopyFrom(config)
        own = self._server if config.server_url in own_urls(self._server) else None
        if own is not None:
            joined.server_url = own.url
        if token:
            joined.token = token
        elif self._endpoint is not None and config.server_url in own_urls(self._server):
            grant = await self._from_endpoint(self._endpoint, config, "rejoin" if rejoin else "join")
            joined.token = grant.token
            joined.server_url = grant.server_url or joined.server_url
            if not joined.server_url:
                text = "the token endpoint named no server_url, and the agent has no room server configured"
                raise NoToken(cause(ty.REASON_TOKEN_ENDPOINT_REFUSED, text), permanent=True)
        elif own is not None and own.can_mint:
            joined.token = own.mint(
                *(config.room_id, config.user_id),
                extra_info=config.extra_info,
                name=config.name,
                attributes=config.attributes,
            )
        if not joined.token or not joined.server_url:
            text = "no token was given and the agent has no key for this server: join again with a token"
            raise NoToken(cause(ty.REASON_TOKEN_REJECTED, text), permanent=True)
        return joined

    async def run(self) -> None:
        """Renew the tokens in hand in good time, until cancelled."""
        if self._endpoint is None:
            return
        try:
            while True:
                self._changed.clear()
                now = time.time()
                self._forget_unwanted()
                due = [room_id for room_id, held in self._in_hand.items() if held.renew_at <= now]
                await asyncio.gather(*(self._renew(room_id) for room_id in due))
                times = [held.renew_at - time.time() for held in self._in_hand.values()]
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(
                        max(0.0, min([CLOCK_CHECK_S, *times]))
                    ):  # wait_for would now and then lose a cancellation
                        await self._changed.wait()
        finally:
            for task in self._refreshing:
                task.cancel()

    async def _from_endpoint(self, endpoint: Endpoint, config: ty.RoomConfig, reason: str) -> RoomToken:
        held = self._in_hand.get(config.room_id)
        usable = held is not None and held.user_id == config.user_id and held.is_valid(time.time())
        asking = asyncio.create_task(self._ask(endpoint, config.room_id, config.user_id, reason))
        self._refreshing.add(asking)
        asking.add_done_callback(self._asked)
        try:
            return await asyncio.wait_for(asyncio.shield(asking), PATIENCE_S if usable else None)
        except (EndpointUnreachable, TimeoutError) as error:
            if held is not None and usable:
                log.warning(
                    "room %s is joined with the token in hand: %s",
                    config.room_id,
                    str(error) or "it has not answered yet",
                )
                return held.grant
            raise NoToken(cause(ty.REASON_TOKEN_ENDPOINT_UNREACHABLE, str(error)), permanent=False) from error
        except EndpointRefused as error:
            raise NoToken(cause(ty.REASON_TOKEN_ENDPOINT_REFUSED, str(error)), permanent=True) from error

    async def _ask(self, endpoint: Endpoint, room_id: str, user_id: str, reason: str) -> RoomToken:
        """Ask, and keep what was given; what the endpoint has taken back is not kept either."""
        try:
            grant = await endpoint.fetch(room_id, user_id, reason)
        except EndpointRefused:
            self._in_hand.pop(room_id, None)
            raise
        now = time.time()
        held = _InHand(user_id, grant, now)
        if grant.expires_at is not None and grant.expires_at > now:
            life_s = (grant.expires_at - now) * random.uniform(0.9, 1.0)
            held.renew_at = now + max(RENEW_FIRST_S, life_s * RENEW_AT)
        else:
            held.renew_at = float("inf")  # it never expires, or has by this machine's clock: nothing to renew in time
        self._in_hand[room_id] = held
        self._changed.set()
        return grant

    async def _renew(self, room_id: str) -> None:
        held = self._in_hand[room_id]
        assert self._endpoint is not None
        try:
            await self._ask(self._endpoint, room_id, held.user_id, "renew")
        except EndpointUnreachable as error:
            delay_s = min(RENEW_AGAIN_S, RENEW_FIRST_S * 2 ** min(held.failures, 10))
            held.failures += 1
            held.renew_at = time.time() + delay_s * random.uniform(0.7, 1.0)
            if held.failures == 1:
                log.warning("the token of room %s was not renewed, and is tried again: %s", room_id, error)
        except EndpointRefused as error:
            log.warning("room %s gets no new token for its next join: %s", room_id, error)

    def _forget_unwanted(self) -> None:
        """Of rooms that are not ordered any more, or with another user or a token of the order's own."""
        for room_id, held in list(self._in_hand.items()):
            row = self._state.rows.get(room_key(room_id))
            room = row.body if row is not None and not row.secret else None
            if not isinstance(room, st.DesiredRoom) or room.config.user_id != held.user_id:
                del self._in_hand[room_id]

    def _asked(self, task: "asyncio.Task[RoomToken]") -> None:
        self._refreshing.discard(task)
        if not task.cancelled():
            task.exception()  # whoever gave up waiting for it has said so
