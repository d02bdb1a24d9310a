"""Room tokens: mints them with a server's key, and reads those that controllers give. LiveKit's form: a JWT with a
`video` grant.

Source of the form: LiveKit's documentation of access tokens.
"""

import functools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

JOIN_TTL_S = 3600  # of a token for the agent itself: used at once, and renewed by the server while in the room


class TokenUnreadable(Exception):
    """The text is no room token."""


@dataclass(frozen=True)
class TokenClaims:
    """What a room token says of itself, unverified: only the server can verify it."""

    room_id: str
    user_id: str
    may_join: bool
    expires_at: float | None = None  # seconds of the wall clock


@dataclass(frozen=True)
class ServerKey:
    """A room server, and the key that its tokens are signed with; without a key, tokens come from the controllers."""

    url: str
    advertised_url: str
    api_key: str = ""
    api_secret: str = ""

    @property
    def can_mint(self) -> bool:
        return bool(self.api_key)

    def mint(
        self,
        room_id: str,
        user_id: str,
        *,
        extra_info: str = "",
        name: str = "",
        attributes: Mapping[str, str] | None = None,
        ttl_s: int = JOIN_TTL_S,
        watch_only: bool = False,
    ) -> str:
        """A token for one user in one room, valid from now for `ttl_s` seconds."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.api_key,
            "sub": user_id,
            "nbf": now - 10,  # the server's clock may be behind
            "exp": now + ttl_s,
            "video": {
                "roomJoin": True,
                "room": room_id,
                "canPublish": not watch_only,
                "canPublishData": not watch_only,
                "canSubscribe": True,
                "canUpdateOwnMetadata": not watch_only,
            },
        }
        if extra_info:
            claims["metadata"] = extra_info
        if name:
            claims["name"] = name
        if attributes:
            claims["attributes"] = dict(attributes)
        return jwt.encode(claims, self.api_secret, algorithm="HS256")


def own_urls(server: ServerKey | None) -> tuple[str, ...]:
    """How an order may name the agent's own server."""
    return ("",) if server is None else ("", server.url, server.advertised_url)


def read_claims(token: str) -> TokenClaims:
    """What `token` says, without verifying it."""
    claims = _decode(token)
    video = claims.get("video")
    if not isinstance(video, dict):
        raise TokenUnreadable("it has no `video` grant")
    expires_at = claims.get("exp")
    return TokenClaims(
        str(video.get("room", "")),
        str(claims.get("sub", "")),
        bool(video.get("roomJoin")),
        float(expires_at) if isinstance(expires_at, int | float) else None,
    )


@functools.lru_cache(maxsize=64)  # asked for at each comparison of desired and reported state
def rights(token: str) -> str:
    """Tells whether two tokens give the same user the same rights and attributes, whenever they were signed and by
    which key. Of no token, nothing.
    """
    if not token:
        return ""
    try:
        claims = _decode(token)
    except TokenUnreadable:
        return token
    return json.dumps({name: claims[name] for name in sorted(claims.keys() - _OF_THE_SIGNING)}, sort_keys=True)


_OF_THE_SIGNING = {"iss", "exp", "nbf", "iat", "jti"}


def _decode(token: str) -> dict[str, Any]:
    try:
        return jwt.decode(token, options={"verify_signature": False, "verify_exp": False, "verify_nbf": False})
    except (jwt.PyJWTError, RecursionError) as error:
        raise TokenUnreadable(str(error)) from error
