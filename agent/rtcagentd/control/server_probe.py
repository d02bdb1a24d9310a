"""Asks a room server's port again and again whether anybody is there; a request is a few hundred bytes."""

import asyncio
import contextlib
import enum
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

EAGER_PACE_S = 0.25
EAGER_FOR_S = 90.0
PACE_S = 1.0
ANSWER_S = 3.0  # requests overlap: the first one that gets through after an outage tells of its end
_HEAD_BYTES = 4096


class Answer(enum.Enum):
    """What a room server's port says."""

    SERVES = enum.auto()
    REFUSED = enum.auto()  # the machine is there, and nobody listens
    SILENT = enum.auto()  # nothing, or a proxy that has no server behind it


@dataclass(frozen=True)
class Sighting:
    answer: Answer
    date: datetime | None = None  # the server's clock, where it tells


SILENT = Sighting(Answer.SILENT)


async def sightings(server_url: str) -> AsyncGenerator[Sighting, None]:
    """What is seen of the server, request by request, for as long as the caller wants to know. Close it to stop."""
    loop = asyncio.get_running_loop()
    begun_at = loop.time()
    seen: asyncio.Queue[Sighting] = asyncio.Queue()
    requests: set[asyncio.Task[None]] = set()

    async def ask() -> None:
        seen.put_nowait(await look(server_url))

    try:
        while True:
            pace = EAGER_PACE_S if loop.time() - begun_at < EAGER_FOR_S else PACE_S
            next_at = loop.time() + pace
            task = asyncio.create_task(ask(), name=f"probe {server_url}")
            requests.add(task)
            task.add_done_callback(requests.discard)
            while (left := next_at - loop.time()) > 0:
                with contextlib.suppress(TimeoutError):
                    yield await asyncio.wait_for(seen.get(), left)
    finally:
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)


async def look(server_url: str) -> Sighting:
    """One request."""
    address = urlsplit(server_url)
    is_tls = address.scheme in ("wss", "https")
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection(
                address.hostname,
                address.port or (443 if is_tls else 80),
                ssl=_any_certificate() if is_tls else None,
                limit=_HEAD_BYTES,
            )
            try:
                writer.write(f"GET / HTTP/1.1\r\nHost: {address.netloc.rpartition('@')[2]}\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
            finally:
                writer.transport.abort()
    except ConnectionRefusedError:
        return Sighting(Answer.REFUSED)
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):  # TimeoutError and ssl's errors are OSErrors
        return SILENT
    return _read(head)


def _read(head: bytes) -> Sighting:
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split()
    if len(words) < 2 or not words[0].startswith("HTTP/") or words[1].startswith("5"):
        return SILENT
    date = None
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() == "date":
            with contextlib.suppress(ValueError):
                date = parsedate_to_datetime(value.strip())
    return Sighting(Answer.SERVES, date)


def _any_certificate() -> ssl.SSLContext:
    # Nothing is told to the server, and its answer opens nothing: whoever joins afterwards checks the certificate.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
