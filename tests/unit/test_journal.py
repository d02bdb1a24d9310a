"""The event log: numbers without holes, replay in order, gaps told, one encoding for all."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rtcagent.v1 import agent_pb2
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent_client import fold
from rtcagentd.control.events import event
from rtcagentd.control.state import State
from rtcagentd.journal import journal as journal_module
from rtcagentd.journal.journal import Journal, Missing
from rtcagentd.journal.retention import Retention
from rtcagentd.journal.watch import Filter, Watchers
from rtcagentd.store.database import Database


@contextlib.asynccontextmanager
async def opened(
    path: Path, max_events: int = 100_000, max_bytes: int = 1 << 30
) -> AsyncIterator[tuple[State, Journal]]:
    async with Database(path) as database:
        journal = Journal(database, Retention(max_events, 3600.0, max_bytes))
        await journal.open()
        state = State(database, journal)
        await state.load()
        yield state, journal


def joined(user_id: str, room_id: str = "demo") -> ev.Event:
    return event(ev.UserJoined(room_id=room_id, user=st.User(user_id=user_id)))


async def collect(watchers: Watchers, after: int | None, count: int, wanted: Filter | None = None) -> list[ev.Event]:
    events: list[ev.Event] = []
    async with contextlib.aclosing(watchers.responses(after, "", wanted or Filter())) as responses:
        async for response in responses:
            events += agent_pb2.WatchEventsResponse.FromString(response).events
            if len(events) >= count:
                return events
    return events


async def test_events_are_numbered_without_holes_and_survive(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as (state, journal):
        await asyncio.gather(*(state.record(joined(f"u{n}"), joined(f"v{n}")) for n in range(100)))
        log_id = journal.log_id
    async with opened(tmp_path / "a.db") as (state, journal):
        assert journal.log_id == log_id
        assert journal.last_seq == 200
        await state.record(joined("late"))
        events = await collect(Watchers(journal), 0, 201)
    assert [item.seq for item in events] == list(range(1, 202))
    assert events[0].room_id == "demo"
    assert events[-1].user_joined.user.user_id == "late"


async def test_a_watcher_far_behind_reads_from_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "TAIL_EVENTS", 10)
    async with opened(tmp_path / "a.db") as (state, journal):
        await state.record(*(joined(f"u{n}") for n in range(1000)))
        events = await collect(Watchers(journal), 3, 997)
    assert [item.seq for item in events] == list(range(4, 1001))


async def test_live_starts_after_the_newest_event(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as (state, journal):
        await state.record(joined("before"))
        watching = asyncio.create_task(collect(Watchers(journal), None, 1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await state.record(joined("after"))
        events = await watching
    assert [item.user_joined.user.user_id for item in events] == ["after"]


async def test_filters_by_type_and_room_keep_what_is_about_no_room(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as (state, journal):
        await state.record(joined("a", "one"), joined("b", "two"), event(ev.AgentStopping()))
        watchers = Watchers(journal)
        in_two = await collect(watchers, 0, 2, Filter(room_ids=frozenset({"two"})))
        stops = await collect(watchers, 0, 1, Filter(types=frozenset({"agent_stopping"})))
    assert [item.seq for item in in_two] == [2, 3]
    assert [item.seq for item in stops] == [3]


async def test_past_the_retention_a_gap_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "TAIL_EVENTS", 10)
    monkeypatch.setattr(journal_module, "PRUNE_EVERY", 50)
    async with opened(tmp_path / "a.db", max_events=100) as (state, journal):
        for _ in range(10):
            await state.record(*(joined(f"u{n}") for n in range(50)))
        await state.record(joined("last"))  # after it the pruning of those before has been committed
        missing = await journal.read(5)
        assert isinstance(missing, Missing)
        assert missing.first_seq == 6
        responses = Watchers(journal).responses(5, journal.log_id, Filter())
        first = agent_pb2.WatchEventsResponse.FromString(await anext(responses))
        gap = agent_pb2.WatchEventsResponse.FromString(await anext(responses))
        following = agent_pb2.WatchEventsResponse.FromString(await anext(responses))
        await responses.aclose()
    assert first.log_id
    assert (gap.gap.first_missing_seq, gap.gap.next_seq) == (6, missing.next_seq)
    assert following.events[0].seq == missing.next_seq


async def test_a_position_of_another_log_is_a_gap(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as (state, journal):
        await state.record(joined("a"))
        responses = Watchers(journal).responses(1, "another", Filter())
        gap = agent_pb2.WatchEventsResponse.FromString(await anext(responses))
        await responses.aclose()
    assert gap.HasField("gap")
    assert (gap.log_id, gap.seq) == (journal.log_id, 1)


async def test_a_stalled_watcher_holds_no_events(tmp_path: Path) -> None:
    """Its generator rests at its last response; what follows is in the log, not in a queue of its own."""
    async with opened(tmp_path / "a.db") as (state, journal):
        responses = Watchers(journal).responses(0, "", Filter())
        await anext(responses)
        for _ in range(20):
            await state.record(*(joined(f"u{n}") for n in range(100)))
        rest: list[int] = []
        while len(rest) < 2000:
            rest += [item.seq for item in agent_pb2.WatchEventsResponse.FromString(await anext(responses)).events]
        await responses.aclose()
    assert rest == list(range(1, 2001))


async def test_what_one_write_raises_undoes_only_its_own(tmp_path: Path) -> None:
    async with Database(tmp_path / "a.db") as database:

        def put(key: str, *, fails: bool) -> None:
            def work(connection: sqlite3.Connection) -> None:
                connection.execute("INSERT INTO meta (key, value) VALUES (?, '')", (key,))
                if fails:
                    raise ValueError(key)

            futures.append(database.write(work))

        futures: list[asyncio.Future[None]] = []
        for number in range(50):
            put(f"k{number}", fails=number % 3 == 0)
        results = await asyncio.gather(*futures, return_exceptions=True)
        kept = await database.read(
            lambda connection: connection.execute("SELECT count(*) FROM meta WHERE value = ''").fetchone()[0]
        )
    assert sum(isinstance(result, ValueError) for result in results) == 17
    assert kept == 33


async def test_the_file_is_bounded_and_shrinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "PRUNE_EVERY", 100)
    path = tmp_path / "a.db"
    filling = "x" * 2000

    async def write(state: State, count: int) -> None:
        for _ in range(count // 50):
            user = st.User(user_id="u", extra_info=filling)
            await state.record(*(event(ev.UserJoined(room_id="demo", user=user)) for _ in range(50)))

    async with opened(path) as (state, journal):
        await write(state, 2000)
        before = await journal.oldest_seq()
    assert before == 1
    assert path.stat().st_size > 4_000_000
    async with opened(path, max_bytes=1_000_000) as (state, journal):
        await write(state, 1000)
        await state.record(joined("last"))  # after it the pruning of those before has been committed
        oldest = await journal.oldest_seq()
        assert oldest > 2000
        assert journal.last_seq - oldest > 300  # what has room stays
        page = await journal.read(oldest - 1)
        assert not isinstance(page, Missing)
        assert page[0].seq == oldest
    assert path.stat().st_size < 1_500_000


async def test_a_state_and_the_events_after_it_have_no_gap_between(tmp_path: Path) -> None:
    """GetState at S with the events after S is GetState at T, whenever S is taken while events come."""
    async with opened(tmp_path / "a.db") as (state, journal):
        room = st.RoomStatus(room_id="demo", state=st.ROOM_STATE_JOINED)
        await state.record(event(ev.RoomStateChanged(room=room)))
        snapshots: list[tuple[int, st.ReportedState]] = []

        async def happen() -> None:
            for number in range(200):
                await state.record(joined(f"u{number % 40}"))
                if number % 3 == 0:
                    await state.record(event(ev.UserLeft(room_id="demo", user_id=f"u{number % 17}")))

        async def look() -> None:
            while len(snapshots) < 50:
                copied = st.ReportedState()
                copied.CopyFrom(state.reported)
                snapshots.append((journal.last_seq, copied))
                version = state.version
                await asyncio.wait_for(state.wait_for_change(version), 10)

        await asyncio.gather(happen(), happen(), look())
        events = await collect(Watchers(journal), 0, journal.last_seq)
        for seq, reported in snapshots:
            for item in events[seq:]:
                fold.apply(reported, item)
            assert reported == state.reported


async def test_a_replay_does_not_fill_the_memory(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as (state, journal):
        for _ in range(40):
            await state.record(*(joined("u" * 1000) for _ in range(250)))
        watchers = Watchers(journal)
        assert len(await collect(watchers, 0, journal.last_seq)) == 10_000
        assert len(watchers._encoded) <= 64
