"""A database that is not what was written: set aside, and the orders kept, whatever was done to it."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from rtcagent.v1 import agent_pb2
from rtcagent.v1 import types_pb2 as ty
from rtcagentd.control.objects import room_key
from rtcagentd.journal.watch import Filter, Watchers
from rtcagentd.store.contents import Content, StoredRequest, StoredRow
from rtcagentd.store.desired_copy import CopyDamaged, DesiredCopy

from tests.unit.store_parts import opened, started

PAGE = 4096


def overwrite_header(path: Path) -> None:
    with open(path, "r+b") as file:
        file.write(b"not a database at all, " * 20)


def overwrite_everything_else(path: Path) -> None:
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * (size - 100))


def overwrite_the_desired_state(path: Path) -> None:
    """SQLite itself does not notice: the structure is sound."""
    data = path.read_bytes()
    assert b"room-7" in data
    path.write_bytes(data.replace(b"room-7", b"zoom-7"))


def cut_in_half(path: Path) -> None:
    size = path.stat().st_size // 2 // PAGE * PAGE
    with open(path, "r+b") as file:
        file.truncate(size)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


def set_aside(folder: Path) -> list[Path]:
    return list(folder.glob("a.db.damaged-*"))


DAMAGES = [overwrite_header, overwrite_everything_else, overwrite_the_desired_state, cut_in_half, empty, remove]


async def make(path: Path) -> tuple[str, int]:
    """A store with orders and events; returns its log's id and its revision."""
    async with opened(path) as parts:
        for number in range(10):
            await parts.join(f"room-{number}", request_id=f"r{number}", token=f"token-{number}")
        await parts.state.record(*(started(f"s{number}", 3000) for number in range(100)))
        return parts.journal.log_id, parts.state.revision


@pytest.mark.parametrize("damage", DAMAGES)
async def test_the_orders_outlast_a_damaged_file(damage: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    log_id, revision = await make(path)
    damage(path)
    async with opened(path) as parts:
        assert parts.rooms == [f"room-{number}" for number in range(10)]
        assert parts.state.rows[room_key("room-3")].secret == "token-3"
        assert (parts.state.revision, parts.journal.log_id != log_id) == (revision, True)
        await parts.state.record(started("after"))
        first, *_ = events = await parts.log()
        assert [item.seq for item in events] == list(range(1, len(events) + 1))
        assert first.error_occurred.cause.reason == ty.REASON_STORE_MENDED
        assert "damaged" in first.error_occurred.cause.message
        assert await parts.join("room-4", request_id="r4") == 5  # repeated: the outcome that it had
        assert await parts.join("another") == revision + 1
    assert len(set_aside(tmp_path)) == (damage is not remove)
    async with opened(path) as parts:
        assert parts.rooms == ["another", *(f"room-{number}" for number in range(10))]
        assert not parts.database.mended


async def test_damage_is_noticed_while_running(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await make(path)
    async with opened(path) as parts:
        log_id = parts.journal.log_id
        responses = Watchers(parts.journal).responses(0, log_id, Filter())
        await anext(responses)
        # all was in the file when it was closed, so nothing of it is in SQLite's log or in anybody's memory
        overwrite_everything_else(path)
        gap = agent_pb2.WatchEventsResponse.FromString(await anext(responses))
        await responses.aclose()
        assert gap.HasField("gap")
        assert gap.log_id == parts.journal.log_id != log_id
        assert len(parts.rooms) == 10
        assert await parts.join("another") == 11
        events = await parts.log()
        assert events[0].error_occurred.cause.reason == ty.REASON_STORE_MENDED
        assert parts.state.store.is_writable
    async with opened(path) as parts:
        assert len(parts.rooms) == 11


async def test_a_write_that_meets_damage_goes_to_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    log_id, _ = await make(path)
    async with opened(path) as parts:
        overwrite_everything_else(path)
        await parts.database.write(lambda connection: connection.execute("PRAGMA shrink_memory").fetchall())
        await parts.state.record(*(started(f"t{number}", 3000) for number in range(20)))
        assert await parts.join("another") == 11
        events = await parts.log()
        assert parts.journal.log_id != log_id
    assert [item.seq for item in events] == list(range(1, len(events) + 1))
    assert sum(item.HasField("capture_state_changed") for item in events) == 20


async def test_an_event_whose_text_was_changed_is_sent_to_nobody(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with opened(path) as parts:
        await parts.state.record(*(started(f"source-{number}") for number in range(5)))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE events SET body = substr(body, 1, 9) || x'ffffff' WHERE seq = 3")
    connection.close()
    async with opened(path) as parts:
        responses = Watchers(parts.journal).responses(0, parts.journal.log_id, Filter())
        await anext(responses)
        answer = agent_pb2.WatchEventsResponse.FromString(await anext(responses))
        await responses.aclose()
    assert answer.HasField("gap")


async def test_orders_that_the_file_has_lost_come_from_the_second_copy(tmp_path: Path) -> None:
    """The write-ahead log was removed with the newest orders, or somebody put an old file back."""
    path = tmp_path / "a.db"
    log_id, revision = await make(path)
    shutil.copy(path, tmp_path / "old")
    async with opened(path) as parts:
        await parts.join("newest")
    shutil.copy(tmp_path / "old", path)
    async with opened(path) as parts:
        assert "newest" in parts.rooms
        assert (parts.state.revision, parts.journal.log_id != log_id) == (revision + 1, True)
        assert "lost the orders" in (await parts.log())[0].error_occurred.cause.message


async def test_a_damaged_copy_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    log_id, _ = await make(path)
    copy = path.with_name("a.db.desired")
    copy.write_bytes(copy.read_bytes()[:200])
    async with opened(path) as parts:
        assert len(parts.rooms) == 10
        assert parts.journal.log_id == log_id
    assert DesiredCopy(copy).load() is not None  # written anew


async def test_what_is_damaged_twice_asks_for_nothing(tmp_path: Path) -> None:
    """An old state might open what was closed since."""
    path = tmp_path / "a.db"
    await make(path)
    overwrite_header(path)
    path.with_name("a.db.desired").write_bytes(b"?")
    async with opened(path) as parts:
        assert parts.rooms == []
        assert "nothing is asked for" in (await parts.log())[0].error_occurred.cause.message


def content(*names: str) -> Content:
    made = Content(revision=len(names))
    for number, name in enumerate(names, 1):
        made.rows["room", name] = StoredRow(number, "boot", name.encode(), "secret")
    made.requests["r"] = StoredRequest(b"\0\xff", 1, "[]", 1.5)
    made.meta["conf.d"] = "x"
    return made


def test_a_record_that_was_cut_off_counts_as_never_written(tmp_path: Path) -> None:
    copy = DesiredCopy(tmp_path / "desired")
    copy.write_whole(content("a", "b"))
    copy.append(Content(3, rows={("room", "c"): StoredRow(3, "boot", b"c", "")}), [("room", "a")])
    copy.close()
    whole = copy.path.read_bytes()
    last = whole.rindex(b"\n", 0, len(whole) - 1) + 1
    assert sorted(key for _, key in copy.load().rows) == ["b", "c"]  # type: ignore[union-attr]
    for end in (last + 1, last + 20, len(whole) - 1):
        copy.path.write_bytes(whole[:end])
        assert copy.load() == content("a", "b")
        copy.path.write_bytes(whole[:end] + b"\0" * 100)
        assert copy.load() == content("a", "b")


def test_a_copy_damaged_in_the_middle_is_not_trusted(tmp_path: Path) -> None:
    copy = DesiredCopy(tmp_path / "desired")
    copy.write_whole(content("a", "b"))
    for number in range(3):
        copy.append(Content(3 + number), [])
    copy.close()
    data = bytearray(copy.path.read_bytes())
    for place in (5, 60, data.rindex(b'"revision":4')):
        damaged = data.copy()
        damaged[place] ^= 1
        copy.path.write_bytes(damaged)
        with pytest.raises(CopyDamaged):
            copy.load()


async def test_the_copy_stays_small_and_equal(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with opened(path) as parts:
        for number in range(600):
            await parts.join(f"room-{number % 3}", token=f"token-{number}")
        copy = DesiredCopy(path.with_name("a.db.desired")).load()
        assert copy is not None
        assert copy.revision == 600
        assert sorted(row.secret for row in copy.rows.values()) == ["token-597", "token-598", "token-599"]
    assert path.with_name("a.db.desired").stat().st_size < 200_000
    assert path.with_name("a.db.desired").stat().st_mode & 0o777 == 0o600
