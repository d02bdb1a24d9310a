"""What both clients follow live: streams without a memory, whose lost connection is restored and whose past is not.

The order of things is that of the calls: an item is given out once, and what came while the connection was lost is not
given out at all.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

import grpc
from google.protobuf.message import Message as Request
from rtcagent.v1.messages_pb2 import Message, WatchMessagesRequest
from rtcagent.v1.statistics_pb2 import Statistics, WatchStatisticsRequest

from rtcagent_client import errors
from rtcagent_client.errors import RtcAgentError
from rtcagent_client.retry import STREAM_MAX_S, Backoff, is_lost

T = TypeVar("T")


@dataclass(frozen=True)
class Watch(Generic[T]):
    """One live stream: how it is asked for, and what is in its responses. The first response says that it has begun."""

    service: str
    method: str
    request: Request
    items: Callable[[Any], Iterable[T]]


def messages(room_ids: Iterable[str], topics: Iterable[str], on_missed: Callable[[int], None] | None) -> Watch[Message]:
    """The watch of WatchMessages."""

    def items(response: Any) -> Iterable[Message]:
        if response.missed_count and on_missed is not None:
            on_missed(response.missed_count)
        return cast(Iterable[Message], response.messages)

    request = WatchMessagesRequest(room_ids=room_ids, topics=topics)
    return Watch("rooms", "WatchMessages", request, items)


def statistics(room_ids: Iterable[str]) -> Watch[Statistics]:
    """The watch of WatchStatistics."""

    def items(response: Any) -> Iterable[Statistics]:
        return [response.statistics] if response.HasField("statistics") else []

    return Watch("rooms", "WatchStatistics", WatchStatisticsRequest(room_ids=room_ids), items)


class AsyncLive(Generic[T], AsyncIterator[T]):
    """What AsyncClient's live methods return. `async with` returns when the agent has begun to tell."""

    def __init__(
        self, client: Any, watch: Watch[T], on_lost: Callable[[RtcAgentError], None] | None, read: Callable[..., Any]
    ) -> None:
        self._client = client
        self._watch = watch
        self._on_lost = on_lost
        self._read: Callable[..., Awaitable[Any]] = read  # of the client: a read with its errors
        self._backoff = Backoff(0.1, STREAM_MAX_S)
        self._waiting: deque[T] = deque()
        self._stream: Any = None
        self._closed = False

    async def __anext__(self) -> T:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            await self._receive()
        return self._waiting.popleft()

    async def __aenter__(self) -> Self:
        while self._stream is None and not self._closed:
            await self._receive()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the stream; a waiting iteration ends too. May be repeated."""
        self._closed = True
        self._drop()

    async def _receive(self) -> None:
        try:
            if self._stream is None:
                stub = getattr(getattr(self._client.stubs, self._watch.service), self._watch.method)
                self._stream = stub(self._watch.request, metadata=self._client.metadata)
            stream = self._stream
            response = await self._read(stream.read(), self._client, stream)
            if response is grpc.aio.EOF:
                raise errors.Unavailable(f"rtcagentd at {self._client.address} ended the stream")
            self._backoff.reset()
            self._waiting.extend(self._watch.items(response))
        except RtcAgentError as error:
            self._drop()
            if self._closed:
                return
            if not is_lost(error):
                raise
            if self._on_lost is not None:
                self._on_lost(error)
            await asyncio.sleep(self._backoff.next_s())
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.cancel()
            self._stream = None


class Live(Generic[T], Iterator[T]):
    """What Client's live methods return. One thread iterates; any thread may close it, which ends the iteration."""

    def __init__(self, client: Any, watch: Watch[T], on_lost: Callable[[RtcAgentError], None] | None) -> None:
        self._client = client
        self._watch = watch
        self._on_lost = on_lost
        self._backoff = Backoff(0.1, STREAM_MAX_S)
        self._waiting: deque[T] = deque()
        self._stream: Any = None
        self._closed = threading.Event()
        self._lock = threading.Lock()  # of _stream against close(): a stream must not begin after it

    def __next__(self) -> T:
        while not self._waiting:
            self._receive()
            if self._closed.is_set():
                raise StopIteration
        return self._waiting.popleft()

    def __enter__(self) -> Self:
        while self._stream is None and not self._closed.is_set():
            self._receive()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream; a waiting iteration ends too. May be repeated, and called by any thread."""
        self._closed.set()
        self._drop()

    def _receive(self) -> None:
        with self._lock:
            if self._closed.is_set():
                return
            if self._stream is None:
                stub = getattr(getattr(self._client.stubs, self._watch.service), self._watch.method)
                self._stream = stub(self._watch.request, metadata=self._client.metadata)
            stream = self._stream
        try:
            try:
                response = next(stream, None)
            except grpc.RpcError as error:
                raise errors.from_call(cast(errors.FailedCall, error), self._client.address) from None
            if response is None:
                raise errors.Unavailable(f"rtcagentd at {self._client.address} ended the stream")
        except RtcAgentError as error:
            self._drop()
            if self._client._closed.is_set():
                self._closed.set()
            if self._closed.is_set():
                return
            if not is_lost(error):
                raise
            if self._on_lost is not None:
                self._on_lost(error)
            self._closed.wait(self._backoff.next_s())
        except BaseException:
            self._drop()
            raise
        else:
            self._backoff.reset()
            self._waiting.extend(self._watch.items(response))

    def _drop(self) -> None:
        with self._lock:
            if self._stream is not None:
                self._stream.cancel()
                self._stream = None
