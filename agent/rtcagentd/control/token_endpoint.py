"""The HTTPS endpoint that room tokens come from: one request for one token, bounded in time and in size.

docs/tokens.md has the form of the request and of the answer. Nothing of either is logged or stored.
"""

import asyncio
import json
import os
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from rtcagentd.control.join_tokens import EndpointRefused, EndpointUnreachable, RoomToken
from rtcagentd.control.room_tokens import TokenUnreadable, read_claims

MAX_ANSWER_BYTES = 64 * 1024
# What an endpoint, or a proxy before it, answers when a later try may go better.
_PASSING_STATUS = {408, 425, 429}


class CredentialsUnusable(Exception):
    """The files that the agent shows itself with, or knows the endpoint by, cannot be used."""


@dataclass(frozen=True)
class Credentials:
    """How the agent shows itself to the endpoint, and how it knows that one. Read at each request: they are renewed
    without a restart.
    """

    ca_file: Path | None = None
    bearer_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None

    def read(self, *, tls: bool) -> "tuple[ssl.SSLContext | None, dict[str, str]]":
        """The TLS context and the headers of a request. Blocks: reads the machine's certificates."""
        try:
            return self._context() if tls else None, self._headers()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise CredentialsUnusable(str(error)) from error

    def _context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ValueError) as error:
            raise ValueError(f"ca_file {self.ca_file}: {error}") from error
        if self.client_cert is not None and self.client_key is not None:
            try:
                _check_private(self.client_key, "client_key")
                context.load_cert_chain(self.client_cert, self.client_key)
            except OSError as error:
                raise ValueError(f"client_cert {self.client_cert}, client_key {self.client_key}: {error}") from error
        return context

    def _headers(self) -> dict[str, str]:
        if self.bearer_file is None:
            return {}
        try:
            _check_private(self.bearer_file, "bearer_file")
            bearer = self.bearer_file.read_text(encoding="ascii").strip()
        except OSError as error:
            raise ValueError(f"bearer_file {self.bearer_file}: {error.strerror}") from error
        if not bearer or any(not "!" <= character <= "~" for character in bearer):
            raise ValueError(f"bearer_file {self.bearer_file} does not hold one word of printable characters")
        return {"Authorization": f"Bearer {bearer}"}


class TokenEndpoint:
    """Asks for tokens. Keeps no connection: it is asked once in a join."""

    def __init__(self, url: str, agent_name: str, credentials: Credentials, timeout_s: float) -> None:
        """CredentialsUnusable as at each request: a daemon that could never get a token does not start."""
        parts = urlsplit(url)
        self.shown_url = f"{parts.scheme}://{parts.netloc}{parts.path}"  # a query may be secret
        self.timeout_s = timeout_s
        self._url = url
        self._is_tls = parts.scheme == "https"
        self._agent_name = agent_name
        self._credentials = credentials
        credentials.read(tls=self._is_tls)

    async def fetch(self, room_id: str, user_id: str, reason: str) -> RoomToken:
        """As the protocol says. Secrets are in no exception."""
        body = {"room_id": room_id, "user_id": user_id, "agent": self._agent_name, "reason": reason}
        try:
            async with asyncio.timeout(self.timeout_s):
                answer = await self._post(body)
        except CredentialsUnusable as error:
            raise EndpointUnreachable(f"the token endpoint cannot be asked: {error}") from error
        except TimeoutError as error:
            text = f"the token endpoint {self.shown_url} did not answer within {self.timeout_s:g} s"
            raise EndpointUnreachable(text) from error
        except (aiohttp.ClientError, OSError) as error:
            raise EndpointUnreachable(
                f"the token endpoint {self.shown_url} cannot be reached: {_why(error)}"
            ) from error
        return self._read(answer, room_id, user_id)

    async def _post(self, body: dict[str, str]) -> bytes:
        tls, headers = await asyncio.to_thread(self._credentials.read, tls=self._is_tls)
        headers |= {"Accept": "application/json", "Accept-Encoding": "identity"}
        connector = aiohttp.TCPConnector(ssl=tls if tls is not None else True, force_close=True)
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # what is small may unfold without bound
            ) as session,
            session.post(self._url, json=body, headers=headers, allow_redirects=False) as response,
        ):
            self._check_status(response.status)
            answer = bytearray()
            async for part in response.content.iter_any():
                answer += part
                if len(answer) > MAX_ANSWER_BYTES:
                    raise EndpointRefused(f"{self._of_no_use}: it has more than {MAX_ANSWER_BYTES} bytes")
            return bytes(answer)

    def _check_status(self, status: int) -> None:
        if status in (200, 201):
            return
        if status >= 500 or status in _PASSING_STATUS:
            raise EndpointUnreachable(f"the token endpoint {self.shown_url} answered with HTTP status {status}")
        if 300 <= status < 400:
            text = f"the token endpoint {self.shown_url} redirects (HTTP status {status}), which is not followed"
            raise EndpointRefused(f"{text}: configure the address that it points to")
        text = f"the token endpoint {self.shown_url} gives no token for this room and user (HTTP status {status})"
        raise EndpointRefused(f"{text}: allow it there")

    def _read(self, answer: bytes, room_id: str, user_id: str) -> RoomToken:
        try:
            fields: Any = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise EndpointRefused(f"{self._of_no_use}: it is not JSON") from error
        token = fields.get("token") if isinstance(fields, dict) else None
        if not isinstance(token, str):
            raise EndpointRefused(f'{self._of_no_use}: it is not an object with the text "token"')
        server_url = fields.get("server_url") or ""
        if server_url and not _is_server_url(server_url):
            raise EndpointRefused(f"{self._of_no_use}: its server_url is not ws://host or wss://host")
        try:
            claims = read_claims(token)
        except TokenUnreadable as error:
            raise EndpointRefused(f"{self._of_no_use}: its token is no room token: {error}") from error
        for name, found, asked in (("room", claims.room_id, room_id), ("user", claims.user_id, user_id)):
            if found != asked:
                raise EndpointRefused(f"{self._of_no_use}: its token is for {name} {found[:128]!r}, not {asked!r}")
        if not claims.may_join:
            raise EndpointRefused(f"{self._of_no_use}: its token does not allow to join a room (roomJoin)")
        return RoomToken(token, server_url, claims.expires_at)

    @property
    def _of_no_use(self) -> str:
        return f"the answer of the token endpoint {self.shown_url} is of no use"


def _check_private(path: Path, setting: str) -> None:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ValueError(f"{setting} {path} may be read or written by others: chmod 600 it")


def _is_server_url(text: Any) -> bool:
    if not isinstance(text, str) or len(text) > 2048:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("ws", "wss") and bool(parts.hostname)
    except ValueError:
        return False


def _why(error: Exception) -> str:
    """What went wrong, without the address that is named anyway."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno or 0
        is_kernels = number > 0 and not isinstance(error.os_error, ssl.SSLError)
        return os.strerror(number) if is_kernels else str(error.os_error)
    if isinstance(error, aiohttp.ClientResponseError):
        return f"it does not speak HTTP: {error.message[:200]}"
    return str(error) or type(error).__name__
