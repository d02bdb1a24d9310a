"""Many watchers of the event log in one process, each on a connection of its own, at little cost per event.

200 watchers at 200 events a second are 40,000 messages a second: grpc's Python client would need several processors for
them, and the measurement would show its own load. So HTTP/2 is spoken here directly, in the few frames that a server
stream needs. What gRPC says of the messages is unchanged: a length, then a WatchEventsResponse.

A program: `python -m tests.bench.light_watcher SOCKET COUNT STALLED FILE`. Says `ready` when all watch; at the end of
stdin it writes what each of COUNT watchers saw to FILE, as rows of watcher, seq, revision of the order, arrival on the
monotonic clock. STALLED further watchers read nothing after their first message.
"""

import asyncio
import struct
import sys
import time

import numpy as np
from rtcagent.v1 import agent_pb2 as ag

_DATA, _HEADERS, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
_ACK = 1
_END_STREAM, _END_HEADERS = 1, 4
_LARGEST_WINDOW = 2**31 - 1  # so that the server is never held back here, and none need be renewed
_FIRST_WINDOW = 65_535
_INITIAL_WINDOW_SIZE = 4


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _header(name: str, value: str) -> bytes:
    """One header, written out in full (HPACK literal without indexing)."""
    assert len(name) < 127
    assert len(value) < 127
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def _opening(request: bytes, *, with_window: bool) -> bytes:
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/rtcagent.v1.Agent/WatchEvents",
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    settings = _frame(_SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW_SIZE, _LARGEST_WINDOW))
    settings += _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _LARGEST_WINDOW - _FIRST_WINDOW))
    return (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + (settings if with_window else _frame(_SETTINGS, 0, 0, b""))
        + _frame(_HEADERS, _END_HEADERS, 1, b"".join(_header(*each) for each in headers.items()))
        + _frame(_DATA, _END_STREAM, 1, b"\0" + struct.pack(">I", len(request)) + request)
    )


class _Watch(asyncio.Protocol):
    """One connection with one WatchEvents call."""

    def __init__(self, number: int, rows: list[tuple[int, int, int, float]] | None) -> None:
        """`rows` get what it sees; without them it stalls after its first message."""
        self.begun = asyncio.get_running_loop().create_future()
        self.problem = ""
        self._number = number
        self._rows = rows
        self._frames = bytearray()
        self._messages = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        transport.write(_opening(ag.WatchEventsRequest().SerializeToString(), with_window=self._rows is not None))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.begun.done():
            self.begun.set_exception(ConnectionError(f"the watch did not begin: {error}"))

    def data_received(self, data: bytes) -> None:
        arrived = time.monotonic()
        self._frames += data
        at = 0
        while len(self._frames) - at >= 9:
            length = int.from_bytes(self._frames[at : at + 3], "big")
            if len(self._frames) - at < 9 + length:
                break
            kind, flags = self._frames[at + 3], self._frames[at + 4]
            self._take(kind, flags, bytes(self._frames[at + 9 : at + 9 + length]), arrived)
            at += 9 + length
        del self._frames[:at]

    def _take(self, kind: int, flags: int, payload: bytes, arrived: float) -> None:
        assert self._transport is not None
        if kind == _DATA:
            self._messages += payload
            self._take_messages(arrived)
        elif kind == _PING and not flags & _ACK:
            self._transport.write(_frame(_PING, _ACK, 0, payload))
        elif kind == _SETTINGS and not flags & _ACK:
            self._transport.write(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _GOAWAY or (kind == _HEADERS and flags & _END_STREAM):
            self.problem = "the server ended the watch"

    def _take_messages(self, arrived: float) -> None:
        at = 0
        while len(self._messages) - at >= 5:
            length = int.from_bytes(self._messages[at + 1 : at + 5], "big")
            if len(self._messages) - at < 5 + length:
                break
            response = ag.WatchEventsResponse.FromString(bytes(self._messages[at + 5 : at + 5 + length]))
            at += 5 + length
            if response.HasField("gap"):
                self.problem = f"gap: {response.gap}"
            if not self.begun.done():
                self.begun.set_result(None)
            if self._rows is None:
                assert isinstance(self._transport, asyncio.Transport)
                self._transport.pause_reading()
                continue
            for event in response.events:
                self._rows.append((self._number, event.seq, event.desired_state_changed.revision, arrived))
        del self._messages[:at]


async def main(socket: str, count: int, stalled: int, path: str) -> None:
    loop = asyncio.get_running_loop()
    rows: list[tuple[int, int, int, float]] = []
    watches = []
    for number in range(count + stalled):
        watch = _Watch(number, rows if number < count else None)
        await loop.create_unix_connection(lambda watch=watch: watch, socket)  # type: ignore[misc]
        await watch.begun
        watches.append(watch)
    print("ready", flush=True)
    ended = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(ended), sys.stdin)
    await ended.read()
    np.save(path, np.array(rows, dtype=np.float64).reshape(-1, 4))
    for problem in {watch.problem for watch in watches} - {""}:
        print(problem, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
