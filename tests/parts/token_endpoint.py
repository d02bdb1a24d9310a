"""A real HTTPS endpoint that gives room tokens, in the test's own process; it can be away, hang, refuse and lie."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from rtcagentd.access.certificates import Authority

from tests.parts.ports import free_tcp_port
from tests.parts.room_server import RoomServer
from tests.parts.waiting import Changes

HOST = "127.0.0.1"
PATH = "/room-token"
BEARER = "bearer-of-the-test"

Answer = Callable[[Mapping[str, str]], web.StreamResponse | Awaitable[web.StreamResponse]]


class TokenEndpoint:
    """One endpoint. Its certificates and port stay the same over stop() and start()."""

    def __init__(self, folder: Path, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[dict[str, str]] = []  # the requests that it took, as their JSON
        self.identities: list[str] = []  # the common names of the client certificates with them
        self.port = free_tcp_port()
        self._folder = folder
        self._authority = Authority.create("the test's authority")
        self._changes = Changes()
        self._runner: web.AppRunner | None = None
        self._hangs: asyncio.Event | None = None
        self.ca_file = folder / "endpoint-ca.pem"
        self.bearer_file = folder / "bearer"
        self.client_cert, self.client_key = folder / "client.pem", folder / "client-key.pem"
        self._cert, self._key = folder / "endpoint.pem", folder / "endpoint-key.pem"
        self.ca_file.write_bytes(self._authority.certificate.cert_pem)
        self.bearer_file.touch(mode=0o600)
        self.bearer_file.write_text(BEARER + "\n")
        self._authority.issue_server([HOST]).write(self._cert, self._key)
        self._authority.issue_client("the-agent").write(self.client_cert, self.client_key)

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}{PATH}"

    def settings(self, **more: Any) -> dict[str, Any]:
        """The section of the daemon's configuration, with the bearer token."""
        return {"url": self.url, "ca_file": str(self.ca_file), "bearer_file": str(self.bearer_file), **more}

    async def start(self, *, wants_certificate: bool = False) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._cert, self._key)
        if wants_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca_file)
        app = web.Application()
        app.router.add_post(PATH, self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self.port, ssl_context=context, reuse_address=True).start()

    async def stop(self) -> None:
        self.go_on()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def hang(self) -> None:
        """Take requests and answer none of them, until go_on()."""
        self._hangs = asyncio.Event()

    def go_on(self) -> None:
        if self._hangs is not None:
            self._hangs.set()
            self._hangs = None

    async def until_asked(self, fact: Callable[[], bool], *, timeout_ms: float, what: str) -> None:
        await self._changes.until(fact, timeout_ms=timeout_ms, what=lambda: f"{what}; asked: {self.asked}")

    def reasons(self) -> list[str]:
        return [each["reason"] for each in self.asked]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body: dict[str, str] = await request.json()
        subject = ((request.transport.get_extra_info("peercert") if request.transport else None) or {}).get(
            "subject", ()
        )
        self.identities += [value for pairs in subject for name, value in pairs if name == "commonName"]
        self.asked.append(body)
        self._changes.tell()
        if self._hangs is not None:
            await self._hangs.wait()
        if not subject and request.headers.get("Authorization") != f"Bearer {BEARER}":
            return web.Response(status=401)
        answer = self.answer(body)
        return answer if isinstance(answer, web.StreamResponse) else await answer


def tokens_of(server: RoomServer, *, ttl_s: float = 3600) -> Answer:
    """What an endpoint should answer."""

    def answer(asked: Mapping[str, str]) -> web.StreamResponse:
        token = server.token(asked["room_id"], asked["user_id"], ttl_s=ttl_s)
        return web.json_response({"token": token, "server_url": server.url})

    return answer


@contextlib.asynccontextmanager
async def token_endpoint(folder: Path, answer: Answer, **options: Any) -> AsyncIterator[TokenEndpoint]:
    """An endpoint that runs."""
    endpoint = TokenEndpoint(folder, answer)
    await endpoint.start(**options)
    try:
        yield endpoint
    finally:
        await endpoint.stop()
