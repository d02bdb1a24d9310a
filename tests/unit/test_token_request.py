"""One request to the token endpoint, over real TLS: what is sent, what is taken, and what of everything else."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from rtcagentd.access.certificates import Authority
from rtcagentd.control.join_tokens import EndpointRefused, EndpointUnreachable
from rtcagentd.control.token_endpoint import Credentials, CredentialsUnusable, TokenEndpoint

from tests.parts.token_endpoint import BEARER, Answer, token_endpoint
from tests.parts.token_endpoint import TokenEndpoint as Served

KEY = "a-key-of-at-least-thirty-two-characters"


def room_token(room_id: str, user_id: str, **grants: Any) -> str:
    video = {"roomJoin": True, "room": room_id, **grants}
    return jwt.encode({"sub": user_id, "exp": int(time.time()) + 60, "video": video}, KEY, algorithm="HS256")


def right(asked: Mapping[str, str]) -> web.StreamResponse:
    return web.json_response({"token": room_token(asked["room_id"], asked["user_id"])})


def gives(fields: Any, status: int = 200) -> Answer:
    return lambda _: web.json_response(fields, status=status)


def agent_of(served: Served, *, timeout_s: float = 5.0, **files: Path | None) -> TokenEndpoint:
    credentials = Credentials(**{"ca_file": served.ca_file, "bearer_file": served.bearer_file, **files})
    return TokenEndpoint(f"{served.url}?secret=of-the-query", "kiosk", credentials, timeout_s)


async def test_what_is_sent_and_what_comes_back(tmp_path: Path) -> None:
    async with token_endpoint(tmp_path, right) as served:
        grant = await agent_of(served).fetch("demo", "ann", "join")
    assert served.asked == [{"room_id": "demo", "user_id": "ann", "agent": "kiosk", "reason": "join"}]
    assert jwt.decode(grant.token, KEY, algorithms=["HS256"])["sub"] == "ann"
    assert grant.expires_at is not None
    assert 50 < grant.expires_at - time.time() <= 60
    assert grant.server_url == ""
    assert grant.token not in repr(grant)


async def test_a_client_certificate_in_place_of_the_bearer(tmp_path: Path) -> None:
    async with token_endpoint(tmp_path, right, wants_certificate=True) as served:
        certificate, key = served.client_cert, served.client_key
        agent = agent_of(served, bearer_file=None, client_cert=certificate, client_key=key)
        await agent.fetch("demo", "ann", "join")
        assert served.identities == ["the-agent"]
        with pytest.raises(EndpointUnreachable):
            await agent_of(served).fetch("demo", "ann", "join")


async def test_an_endpoint_of_another_authority_is_not_asked(tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(Authority.create("another").certificate.cert_pem)
    async with token_endpoint(tmp_path, right) as served:
        with pytest.raises(EndpointUnreachable, match="not trusted"):
            await agent_of(served, ca_file=other).fetch("demo", "ann", "join")
        assert not served.asked


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (gives({"token": room_token("other", "ann")}), "for room 'other', not 'demo'"),
        (gives({"token": room_token("demo", "bob")}), "for user 'bob', not 'ann'"),
        (gives({"token": room_token("demo", "ann", roomJoin=False)}), "roomJoin"),
        (gives({"token": "text"}), "no room token"),
        (gives({"token": 7}), '"token"'),
        (gives(["token"]), '"token"'),
        (gives({"token": room_token("demo", "ann"), "server_url": "http://x"}), "ws://host"),
        (gives({"token": room_token("demo", "ann"), "server_url": "wss://[x"}), "ws://host"),
        (lambda _: web.Response(text="[" * 50_000), "not JSON"),
        (lambda _: web.Response(text="<html>"), "not JSON"),
        (lambda _: web.Response(text="x" * 70_000), "more than 65536 bytes"),
        (lambda _: web.Response(status=307, headers={"Location": "https://elsewhere.example/"}), "redirects"),
        (gives({}, 401), "401"),
        (gives({}, 403), "403"),
        (gives({}, 404), "404"),
    ],
)
async def test_what_is_no_token_is_refused(tmp_path: Path, answer: Answer, complaint: str) -> None:
    async with token_endpoint(tmp_path, answer) as served:
        with pytest.raises(EndpointRefused) as refused:
            await agent_of(served).fetch("demo", "ann", "join")
    check_words(refused.value, complaint)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_passing_failure_is_no_refusal(tmp_path: Path, status: int) -> None:
    async with token_endpoint(tmp_path, gives({}, status)) as served:
        with pytest.raises(EndpointUnreachable) as failed:
            await agent_of(served).fetch("demo", "ann", "join")
    check_words(failed.value, str(status))


async def test_no_answer_is_waited_for_no_longer_than_allowed(tmp_path: Path) -> None:
    async with token_endpoint(tmp_path, right) as served:
        served.hang()
        with pytest.raises(EndpointUnreachable, match=r"within 0\.3 s"):
            await agent_of(served, timeout_s=0.3).fetch("demo", "ann", "join")
        await served.stop()
        with pytest.raises(EndpointUnreachable) as failed:
            await agent_of(served).fetch("demo", "ann", "join")
        check_words(failed.value, "refused")


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    secret = tmp_path / "bearer"
    secret.write_text("two words")
    secret.chmod(0o644)
    for files, complaint in (
        ({"bearer_file": secret}, "chmod 600"),
        ({"bearer_file": tmp_path / "none"}, "none"),
        ({"ca_file": secret}, "ca_file"),
        ({"client_cert": secret, "client_key": tmp_path / "none"}, "client_key"),
    ):
        with pytest.raises(CredentialsUnusable, match=complaint):
            TokenEndpoint("https://x.example/", "kiosk", Credentials(**files), 1.0)
    secret.chmod(0o600)
    with pytest.raises(CredentialsUnusable, match="one word") as unusable:
        TokenEndpoint("https://x.example/", "kiosk", Credentials(bearer_file=secret), 1.0)
    assert "two words" not in str(unusable.value)


def check_words(error: Exception, complaint: str) -> None:
    """The text says what is wrong, and no secret."""
    assert complaint in str(error)
    assert BEARER not in str(error)
    assert "of-the-query" not in str(error)
