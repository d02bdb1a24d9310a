"""Following events: nothing lost and nothing twice, whatever happens to the connection, and gaps told."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from rtcagent.v1.agent_pb2 import Gap, WatchEventsResponse
from rtcagent.v1.event_pb2 import Event
from rtcagent.v1.state_pb2 import Position
from rtcagent_client import AsyncClient, Client, EventGap, InvalidArgument, RtcAgentError
from rtcagent_client.events import Cursor

from tests.unit.fake_agent import LOG_ID, Failure, FakeAgent

START = Position(log_id=LOG_ID, seq=0)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    with FakeAgent(f"unix:{tmp_path}/control.sock") as fake:
        yield fake


def events(*seqs: int) -> list[Event]:
    return [Event(seq=seq) for seq in seqs]


def given(cursor: Cursor) -> list[int | str]:
    items: list[int | str] = []
    while (item := cursor.give()) is not None:
        items.append(f"gap {item.first_missing_seq}-{item.next_seq}" if isinstance(item, Gap) else item.seq)
    return items


def test_cursor_drops_what_comes_twice() -> None:
    cursor = Cursor(Position(log_id="a", seq=3), (), ())
    cursor.take(WatchEventsResponse(log_id="a", events=events(2, 3, 4), seq=4))
    cursor.take(WatchEventsResponse(events=events(4, 5), seq=5))
    assert given(cursor) == [4, 5]
    assert cursor.request().after == Position(log_id="a", seq=5)


def test_cursor_tells_a_hole_that_the_agent_left() -> None:
    cursor = Cursor(Position(log_id="a", seq=3), (), ())
    cursor.take(WatchEventsResponse(log_id="a", events=events(4, 7), seq=7))
    assert given(cursor) == [4, "gap 5-7", 7]


def test_cursor_with_a_filter_goes_on_after_what_did_not_match() -> None:
    cursor = Cursor(Position(log_id="a", seq=3), ("user_left",), ())
    cursor.take(WatchEventsResponse(log_id="a", events=events(9), seq=20))
    assert cursor.give() is not None
    assert cursor.position == Position(log_id="a", seq=9)
    assert given(cursor) == []
    assert cursor.position == Position(log_id="a", seq=20)
    assert cursor.request().after == Position(log_id="a", seq=20)


def test_cursor_begins_anew_with_a_foreign_log() -> None:
    cursor = Cursor(Position(log_id="a", seq=300), (), ())
    cursor.take(WatchEventsResponse(log_id="b", gap=Gap(message="another log"), seq=0))
    cursor.take(WatchEventsResponse(events=events(1, 2), seq=2))
    assert given(cursor) == ["gap 0-0", 1, 2]
    assert cursor.position == Position(log_id="b", seq=2)


def test_cursor_tells_a_log_that_changed_under_it() -> None:
    cursor = Cursor(Position(log_id="a", seq=300), (), ())
    cursor.take(WatchEventsResponse(log_id="b", events=events(5, 6), seq=6))
    assert given(cursor) == ["gap 0-0", 5, 6]


def test_blocking_resumes_without_hole_or_duplicate(agent: FakeAgent) -> None:
    agent.put_events(40)
    agent.cut_after.extend([4, 1, 0, 7, 3])
    lost: list[RtcAgentError] = []
    with Client.connect(agent.address) as client, client.events(START, on_lost=lost.append) as stream:
        seqs = []
        for event in stream:
            seqs.append(event.seq)
            assert client.position == stream.position == Position(log_id=LOG_ID, seq=event.seq)
            if event.seq == 40:
                break
    assert seqs == list(range(1, 41))
    assert len(lost) == 5


async def test_async_resumes_without_hole_or_duplicate(agent: FakeAgent) -> None:
    agent.put_events(40)
    agent.cut_after.extend([4, 1, 0, 7, 3])
    lost: list[RtcAgentError] = []
    async with (
        AsyncClient.connect(agent.address) as client,
        client.events(START, on_lost=lost.append) as stream,
    ):
        seqs = []
        async for event in stream:
            seqs.append(event.seq)
            if event.seq == 40:
                break
        assert client.position == Position(log_id=LOG_ID, seq=40)
    assert seqs == list(range(1, 41))
    assert len(lost) == 5


async def test_a_restarted_agent_is_followed_on(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/control.sock"
    async with AsyncClient.connect(address) as client:
        with FakeAgent(address) as first:
            first.put_events(3)
            stream = client.events(START)
            seqs = [(await anext(stream)).seq for _ in range(3)]
        with FakeAgent(address) as second:
            second.put_events(6)
            seqs += [(await anext(stream)).seq for _ in range(3)]
    assert seqs == [1, 2, 3, 4, 5, 6]


async def test_live_begins_where_it_was_opened(agent: FakeAgent) -> None:
    """Events of an order given after the stream was opened are seen, even if its first connection is lost."""
    agent.put_events(5)
    agent.cut_after.append(0)
    async with AsyncClient.connect(agent.address) as client, client.events() as stream:
        agent.put_events(2)
        assert [(await anext(stream)).seq for _ in range(2)] == [6, 7]
    with Client.connect(agent.address) as blocking, blocking.events() as blocking_stream:
        agent.put_events(1)
        assert next(blocking_stream).seq == 8


async def test_a_cancelled_iteration_loses_nothing(agent: FakeAgent) -> None:
    async with AsyncClient.connect(agent.address) as client, client.events(START) as stream:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(stream), 0.05)
        agent.put_events(2)
        assert [(await anext(stream)).seq for _ in range(2)] == [1, 2]


async def test_filters_are_the_agents(agent: FakeAgent) -> None:
    agent.put_events(12)
    async with AsyncClient.connect(agent.address) as client:
        stream = client.events(START, types=["first_frame_sent"], room_ids=["lab"])
        assert [(await anext(stream)).seq for _ in range(2)] == [6, 12]


async def test_a_gap_is_raised_or_given(agent: FakeAgent) -> None:
    agent.put_events(9)
    agent.first_seq = 6
    with Client.connect(agent.address) as client:
        stream = client.events(START)
        with pytest.raises(EventGap, match="events 1 to 5 are lost: past the retention") as caught:
            next(stream)
        assert caught.value.position == Position(log_id=LOG_ID, seq=5)
        assert next(stream).seq == 6
    async with AsyncClient.connect(agent.address) as aclient:
        given = aclient.events(START, on_gap="yield")
        gap = await anext(given)
        assert isinstance(gap, Gap)
        assert gap.next_seq == 6
        event = await anext(given)
        assert isinstance(event, Event)
        assert event.seq == 6


async def test_a_refused_position_is_an_error(agent: FakeAgent) -> None:
    refusal = Failure(grpc.StatusCode.INVALID_ARGUMENT, "seq 99 is not yet reached", reason="POSITION_INVALID")
    agent.answers["WatchEvents"].extend([[refusal], [refusal]])  # type: ignore[list-item]
    with Client.connect(agent.address) as client, pytest.raises(InvalidArgument, match="not yet reached"):
        next(client.events(Position(log_id=LOG_ID, seq=99)))
    async with AsyncClient.connect(agent.address) as aclient:
        with pytest.raises(InvalidArgument):
            await anext(aclient.events(Position(log_id=LOG_ID, seq=99)))


async def test_closing_ends_the_iteration(agent: FakeAgent) -> None:
    agent.put_events(1)
    with Client.connect(agent.address) as client:
        stream = client.events(START)
        assert next(stream).seq == 1
        seqs: list[int] = []
        reader = threading.Thread(target=lambda: seqs.extend(event.seq for event in stream))
        reader.start()
        stream.close()
        reader.join(5)
        assert not reader.is_alive()
        assert seqs == []
    async with AsyncClient.connect(agent.address) as aclient:
        astream = aclient.events(START)
        assert (await anext(astream)).seq == 1
        waiting = asyncio.ensure_future(anext(astream, None))
        await asyncio.sleep(0)
        await astream.aclose()
        assert await asyncio.wait_for(waiting, 5) is None
