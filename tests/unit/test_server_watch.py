"""When a lost room is given up and a waiting one joined, as a small server says yes, no or nothing."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagentd.control import clock, server_probe
from rtcagentd.control.events import cause
from rtcagentd.control.objects import room_key, stream_key
from rtcagentd.control.presence import Presence
from rtcagentd.control.progress import ProgressTable
from rtcagentd.control.repairs import Remedy, Repairs
from rtcagentd.control.server_probe import Answer, look
from rtcagentd.control.server_watch import GIVE_UP_S, RESTORE_S, ServerWatch, _Lost

from tests.parts.ports import free_tcp_port
from tests.parts.waiting import until

KEY = room_key("lobby")
UNREACHABLE = cause(ty.REASON_SERVER_UNREACHABLE, "away")


@contextlib.asynccontextmanager
async def answering(port: int, answer: bytes | None = b"HTTP/1.1 200 OK\r\n\r\n") -> AsyncIterator[str]:
    """A server that answers so; None: takes connections and says nothing."""
    said: set[asyncio.StreamWriter] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.add(writer)
        if answer is not None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", port)
    try:
        yield f"ws://127.0.0.1:{port}"
    finally:
        server.close()
        for writer in said:
            writer.transport.abort()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", Answer.SERVES),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", Answer.SERVES),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", Answer.SILENT),
        (b"SSH-2.0-OpenSSH\r\n\r\n", Answer.SILENT),
        (b"", Answer.SILENT),
    ],
)
async def test_what_a_server_says_is_seen(answer: bytes, seen: Answer) -> None:
    async with answering(free_tcp_port(), answer) as url:
        assert (await look(url)).answer is seen


async def test_nobody_there_is_a_refusal_and_no_such_name_is_silence() -> None:
    assert (await look(f"ws://127.0.0.1:{free_tcp_port()}")).answer is Answer.REFUSED
    assert (await look("ws://no-such-host.invalid:1")).answer is Answer.SILENT


async def test_a_server_that_hangs_is_silent_and_is_asked_again_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_probe, "ANSWER_S", 0.3)
    port = free_tcp_port()
    with socket.create_server(("127.0.0.1", port)):
        async with contextlib.aclosing(server_probe.sightings(f"ws://127.0.0.1:{port}")) as seen:
            assert (await anext(seen)).answer is Answer.SILENT


class Waiting:
    """A room that could not be joined."""

    def __init__(self) -> None:
        self.progress = ProgressTable(first_retry_s=0.05, max_retry_s=100.0)
        self.woken = asyncio.Event()
        self.watch = ServerWatch(self.progress, 0.0, self.woken.set)

    def fail(self, url: str, times: int = 1) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(times):
            self.progress.failed(KEY, b"asked", UNREACHABLE, False, loop.time())
        self.watch.gate(KEY, url)

    def wait_s(self) -> float:
        return self.progress.of(KEY).retry_at - asyncio.get_running_loop().time()


@pytest.fixture
async def waiting() -> AsyncIterator[Waiting]:
    waiting = Waiting()
    yield waiting
    await waiting.watch.close()


async def test_a_room_is_joined_when_its_server_answers_and_not_before(waiting: Waiting) -> None:
    port = free_tcp_port()
    waiting.fail(f"ws://127.0.0.1:{port}", times=12)
    await asyncio.sleep(0)
    assert waiting.wait_s() > 100
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.6):
            await waiting.woken.wait()
    async with answering(port):
        async with asyncio.timeout(10):
            await waiting.woken.wait()
        assert waiting.wait_s() <= 0


async def test_a_server_that_answers_and_fails_is_not_hammered(waiting: Waiting) -> None:
    async with answering(free_tcp_port()) as url:
        waiting.fail(url, times=12)
        async with asyncio.timeout(10):
            await waiting.woken.wait()
        assert waiting.wait_s() > 50


async def test_an_order_does_not_wait_for_the_server(waiting: Waiting) -> None:
    waiting.fail(f"ws://127.0.0.1:{free_tcp_port()}")
    waiting.progress.retry_now(KEY)
    assert waiting.progress.of(KEY).retry_at == 0
    assert not waiting.progress.of(KEY).awaits_server


async def test_a_lost_room_whose_server_is_gone_is_given_up_at_once(waiting: Waiting) -> None:
    waiting.progress.succeeded(KEY, b"asked")
    waiting.watch.lost(KEY, f"ws://127.0.0.1:{free_tcp_port()}")
    await until(lambda: waiting.progress.of(KEY).drop is not None, timeout_ms=5000, what="the room is given up")
    dropped = waiting.progress.of(KEY).drop
    assert dropped is not None
    assert dropped.reason == ty.REASON_SERVER_UNREACHABLE


async def test_a_room_that_came_back_is_kept(waiting: Waiting) -> None:
    waiting.progress.succeeded(KEY, b"asked")
    port = free_tcp_port()
    async with answering(port) as url:
        waiting.watch.lost(KEY, url)
        waiting.watch.restored(KEY)
        await asyncio.sleep(0)
    assert waiting.progress.of(KEY).drop is None


def test_a_server_that_answers_gets_time_to_restore_the_media() -> None:
    lost = _Lost("ws://server")
    serves = server_probe.Sighting(Answer.SERVES)
    assert lost.verdict(serves, 101.0, 100.0) is None
    assert lost.verdict(serves, 101.0 + RESTORE_S - 0.1, 100.0) is None
    verdict = lost.verdict(serves, 101.0 + RESTORE_S, 100.0)
    assert verdict is not None
    assert verdict.reason == ty.REASON_NETWORK_LOST


def test_a_silent_server_is_waited_for_as_long_as_it_knows_the_agent() -> None:
    lost = _Lost("ws://server")
    assert lost.verdict(server_probe.SILENT, 100.0 + GIVE_UP_S - 0.1, 100.0) is None
    assert lost.verdict(server_probe.SILENT, 100.0 + GIVE_UP_S, 100.0) is not None


def test_one_refusal_is_not_enough() -> None:
    lost = _Lost("ws://server")
    refused = server_probe.Sighting(Answer.REFUSED)
    assert lost.verdict(refused, 100.1, 100.0) is None
    assert lost.verdict(server_probe.SILENT, 100.2, 100.0) is None
    assert lost.verdict(refused, 100.3, 100.0) is None
    assert lost.verdict(refused, 100.4, 100.0) is not None


@pytest.mark.parametrize(("ahead_s", "reason"), [(0, "TOKEN_REJECTED"), (-7200, "CLOCK_WRONG"), (90, "CLOCK_WRONG")])
async def test_a_wrong_clock_is_told_from_a_bad_token(ahead_s: float, reason: str) -> None:
    date = format_datetime(datetime.now(UTC) - timedelta(seconds=ahead_s), usegmt=True)
    failure = en.Failure(cause=cause(ty.REASON_TOKEN_REJECTED, "token is expired (exp)"), permanent=True)
    async with answering(free_tcp_port(), f"HTTP/1.1 200 OK\r\nDate: {date}\r\n\r\n".encode()) as url:
        explained = await clock.explain(failure, url)
    assert ty.Reason.Name(explained.cause.reason) == f"REASON_{reason}"
    assert explained.permanent == (reason == "TOKEN_REJECTED")


async def test_a_token_of_a_wrong_key_is_no_matter_of_the_clock() -> None:
    failure = en.Failure(cause=cause(ty.REASON_TOKEN_REJECTED, "error in cryptographic primitive"), permanent=True)
    assert await clock.explain(failure, "ws://127.0.0.1:1") == failure


def test_who_left_meanwhile_is_told_of() -> None:
    presence = Presence()
    room = st.RoomStatus(room_id="lobby", users=[st.User(user_id="ann"), st.User(user_id="bob")])
    presence.lost(room)
    presence.lost(st.RoomStatus(room_id="lobby"))  # a failed try, of which nobody is known
    told = presence.joined("lobby", ["bob", "cid"])
    assert [each.user_left.user_id for each in told] == ["ann"]
    assert presence.joined("lobby", []) == []


def test_a_stream_that_stalls_again_is_repaired_by_more() -> None:
    repairs = Repairs()
    key = stream_key("lobby", "camera")
    assert [repairs.stalled(key, 100.0 + 8 * number) for number in range(5)] == [
        Remedy.REPUBLISH,
        Remedy.REJOIN,
        Remedy.REPLACE,
        Remedy.REJOIN,
        Remedy.REJOIN,  # the other streams are not made to pay again
    ]
    assert repairs.stalled(key, 500.0) is Remedy.REPUBLISH
