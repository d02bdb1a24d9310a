"""A disk that takes nothing more, or not soon: nothing is lost silently, nobody waits, and all goes on by itself."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from rtcagent.v1 import agent_pb2
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import fold
from rtcagentd.control.events import event
from rtcagentd.control.objects import room_key
from rtcagentd.journal.watch import Filter, Watchers
from rtcagentd.store import database as database_module
from rtcagentd.store.faults import StoreError

from tests.parts.waiting import until
from tests.unit.store_parts import Parts, empty_disk, fill_disk, opened, started

LARGE = 20_000  # an event that needs pages which a full disk has not


@pytest.fixture(autouse=True)
def retry_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "RETRY_S", 0.02)


async def fill(parts: Parts) -> None:
    """Full, and noticed."""
    await parts.database.write(fill_disk)
    await parts.state.record(started("noticed", LARGE))
    assert not parts.state.store.is_writable


async def make_room(parts: Parts) -> None:
    # the writer thread has the connection; between two tries of its own nothing else uses it
    parts.database._writer._connection.execute("PRAGMA max_page_count = 1000000000").fetchall()  # type: ignore[union-attr]
    await until(lambda: parts.state.store.is_writable, timeout_ms=5000, what="the disk is written again")


async def test_what_happens_is_reported_at_once_and_logged_in_order_later(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as parts:
        await parts.state.record(started("before"))
        await fill(parts)
        for number in range(50):
            await asyncio.wait_for(parts.state.record(started(f"s{number}", LARGE)), 1)
        assert fold.find_capture(parts.state.reported, "s49") is not None
        assert parts.state.unwritten_count > 50
        assert [item.capture_state_changed.capture.source_id for item in await parts.log()] == ["before"]
        reported = parts.state.reported.SerializeToString(deterministic=True)
        log_id = parts.journal.log_id
        await make_room(parts)
        events = await parts.log()
        assert parts.state.unwritten_count == 0
        assert parts.state.reported.SerializeToString(deterministic=True) == reported
        assert parts.journal.log_id == log_id
    assert [item.seq for item in events] == list(range(1, len(events) + 1))
    captures = [
        item.capture_state_changed.capture.source_id for item in events if item.HasField("capture_state_changed")
    ]
    assert captures == ["before", "noticed", *(f"s{number}" for number in range(50))]
    causes = [item.error_occurred.cause.reason for item in events if item.HasField("error_occurred")]
    assert causes == [ty.REASON_STORE_FAILED]


async def test_an_order_that_cannot_be_stored_has_no_effect(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as parts:
        await parts.join("demo")
        await fill(parts)
        with pytest.raises(StoreError, match="full"):
            await parts.join("other", request_id="r1")
        assert (parts.rooms, parts.state.revision) == (["demo"], 1)
        await make_room(parts)
        assert await parts.join("other", request_id="r1") == 2
    async with opened(tmp_path / "a.db") as parts:
        assert parts.rooms == ["demo", "other"]


async def test_an_order_whose_time_is_over_ends_all_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as parts:
        await parts.join("demo")
        await parts.join("other")
        await fill(parts)
        await asyncio.wait_for(parts.ledger.end([room_key("demo")], ty.Cause(reason=ty.REASON_KEEP_ENDED)), 1)
        assert parts.rooms == ["other"]
        await make_room(parts)
        assert parts.rooms == ["other"]
        assert await parts.join("demo") == 4
        assert parts.rooms == ["demo", "other"]
    async with opened(tmp_path / "a.db") as parts:
        assert parts.rooms == ["demo", "other"]
        ends = [item.order_ended.revision for item in await parts.log() if item.HasField("order_ended")]
    assert ends == [3]


async def test_an_order_given_meanwhile_is_not_ended(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as parts:
        await parts.join("demo")
        given = asyncio.ensure_future(parts.join("demo", token="another"))
        await asyncio.sleep(0)  # it is on its way to the disk when the other's time is found to be over
        await parts.ledger.end([room_key("demo")], ty.Cause(reason=ty.REASON_KEEP_ENDED))
        assert await given == 2
        assert parts.rooms == ["demo"]


async def test_when_too_much_waits_a_new_log_begins_and_watchers_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "MAX_WAITING_BYTES", 10 * LARGE)
    async with opened(tmp_path / "a.db") as parts:
        await parts.join("demo")
        first_log = parts.journal.log_id
        responses = Watchers(parts.journal).responses(1, first_log, Filter())
        await anext(responses)
        await fill(parts)
        for number in range(40):
            await parts.state.record(started(f"s{number}", LARGE))
        # the log that begins anew may have freed enough already for the disk to take what came last
        await until(lambda: parts.state.unwritten_count < 12, timeout_ms=5000, what="what is too much was dropped")
        assert fold.find_capture(parts.state.reported, "s0") is not None  # lost to the log, not to the state
        await make_room(parts)
        assert parts.journal.log_id != first_log
        gap = agent_pb2.WatchEventsResponse.FromString(await anext(responses))
        following = agent_pb2.WatchEventsResponse.FromString(await anext(responses))
        await responses.aclose()
        events = await parts.log()
        assert parts.rooms == ["demo"]
    assert gap.HasField("gap")
    assert gap.log_id == parts.journal.log_id
    assert following.events[0].seq == 1
    assert [item.seq for item in events] == list(range(1, len(events) + 1))
    assert any(item.error_occurred.cause.reason == ty.REASON_STORE_MENDED for item in events)


async def test_a_disk_that_hangs_delays_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "HOLD_AFTER_S", 0.1)
    released = threading.Event()
    async with opened(tmp_path / "a.db") as parts:

        def hang(connection: sqlite3.Connection) -> None:
            released.wait(10)

        parts.database.write(hang)
        await asyncio.wait_for(parts.state.record(started("camera")), 5)
        assert fold.find_capture(parts.state.reported, "camera") is not None
        assert "takes longer" in parts.state.store.problem
        assert parts.journal.last_seq == 0
        released.set()
        await until(lambda: parts.state.store.is_writable, timeout_ms=5000, what="the disk answers")
        sources = [item.capture_state_changed.capture.source_id for item in await parts.log()]
    assert sources == ["camera", ""]  # and then that the disk hung


async def test_a_state_that_cannot_be_opened_is_served_from_its_second_copy(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with opened(path) as parts:
        await parts.join("demo", token="secret")
        await parts.state.record(event(ev.AgentStopping()))
        log_id = parts.journal.log_id
    blocker = path.with_name("a.db-wal")  # SQLite cannot open the database while its log is a folder
    blocker.mkdir()
    (blocker / "x").touch()
    async with opened(path) as parts:
        assert parts.rooms == ["demo"]
        await asyncio.wait_for(parts.state.record(started("camera")), 5)
        with pytest.raises(StoreError):
            await parts.join("other")
        assert parts.state.rows[room_key("demo")].secret == "secret"
        assert parts.journal.log_id != log_id
        (blocker / "x").unlink()
        blocker.rmdir()
        await until(lambda: parts.state.store.is_writable, timeout_ms=5000, what="the file is opened")
        assert parts.journal.log_id == log_id
        types = [item.WhichOneof("payload") for item in await parts.log()]
        assert types[:3] == ["desired_state_changed", "agent_stopping", "capture_state_changed"]
        assert await parts.join("other") == 2


async def test_without_database_and_copy_the_daemon_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.db").mkdir()
    with pytest.raises(StoreError, match=r"a\.db"):
        async with opened(tmp_path / "a.db"):
            pass


def test_the_fault_is_the_one_of_a_full_disk(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.db")
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    fill_disk(connection)
    with pytest.raises(sqlite3.OperationalError) as full:
        connection.execute("INSERT INTO t VALUES (?)", ("x" * LARGE,))
    assert full.value.sqlite_errorcode == sqlite3.SQLITE_FULL
    empty_disk(connection)
    connection.close()
