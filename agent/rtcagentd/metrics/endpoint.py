"""Answers `GET /metrics` over HTTP, on the event loop, and nothing else."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from rtcagentd.config import ConfigError, MetricsSettings

log = logging.getLogger(__name__)

REQUEST_S = 5.0  # from the connection to the end of the request's head, and for the answer to be taken
MAX_HEAD_BYTES = 16 << 10
MAX_CONNECTIONS = 16
PLAIN = "text/plain; charset=utf-8"

Page = Callable[[str], Awaitable[tuple[bytes, str]]]


class MetricsEndpoint:
    """`async with` serves; leaving ends every connection. Without an address it does nothing."""

    def __init__(self, settings: MetricsSettings, page: Page) -> None:
        self._settings = settings
        self._page = page
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "MetricsEndpoint":
        if self._settings.address is not None:
            host, port = self._settings.host_and_port
            try:
                self._server = await asyncio.start_server(self._accept, host, port, limit=MAX_HEAD_BYTES)
            except OSError as error:
                raise ConfigError(f"metrics.address: cannot listen on {self._settings.address}: {error}") from error
            log.info("metrics at http://%s/metrics", self._settings.address)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_S):
                head = await reader.readuntil(b"\r\n\r\n")
            writer.write(await self._answer(head.decode("latin-1")))
            async with asyncio.timeout(REQUEST_S):
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError) as error:
            log.debug("a scrape was not answered: %s", error)  # whoever called has gone, or is no Prometheus
        except Exception:
            log.exception("writing the metrics failed")
        finally:
            with contextlib.suppress(OSError):
                writer.transport.abort()

    async def _answer(self, head: str) -> bytes:
        request, *lines = head.split("\r\n")
        method, _, rest = request.partition(" ")
        path = rest.split(" ")[0].partition("?")[0]
        if path != "/metrics":
            return _response(HTTPStatus.NOT_FOUND, b"the metrics are at /metrics\n")
        if method not in ("GET", "HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, b"GET is what this understands\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body, content_type = await self._page(headers.get("accept", ""))
        return _response(HTTPStatus.OK, body, content_type, with_body=method == "GET")


def _response(status: HTTPStatus, body: bytes, content_type: str = PLAIN, *, with_body: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")
