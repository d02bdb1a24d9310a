"""Schemas of other versions: an older one is copied, then migrated; a newer one is refused, with what mends it."""

import asyncio
import re
import shlex
import sqlite3
import sys
from pathlib import Path

import pytest
from rtcagentd.store.faults import StoreError
from rtcagentd.store.going_back import use_copy
from rtcagentd.store.migrations import SchemaTooNew, copies
from rtcagentd.store.schema import SCHEMA, Schema

from tests.unit.store_parts import opened, started

PROGRAM = Path(sys.executable).with_name("rtcagentd")


def newer(version: int, *, fails: bool = False) -> Schema:
    """A schema that does not exist yet: one table more with each version."""

    def step(number: int):  # type: ignore[no-untyped-def]
        def take(connection: sqlite3.Connection) -> None:
            connection.execute(f"CREATE TABLE new_{number} (x)")
            connection.execute("UPDATE desired SET boot_id = boot_id || ?", (f"+{number}",))
            if fails and number == version:
                raise sqlite3.OperationalError("the step does not work")

        return take

    steps = tuple(step(number) for number in range(SCHEMA.version + 1, version + 1))
    tables = SCHEMA.tables + "".join(f"CREATE TABLE new_{number} (x);" for number in range(2, version + 1))
    return Schema(tables, (*SCHEMA.steps, *steps))


def kept(folder: Path) -> Path:
    """The newer version's database."""
    return sorted(folder.glob("a.db.newer-*"))[0]


async def rtcagentd(*arguments: str) -> tuple[int | None, str, str]:
    """Run the daemon's program to its end: its status, and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        PROGRAM, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


def tables(path: Path) -> dict[str, str]:
    connection = sqlite3.connect(path)
    found = dict(connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))
    connection.close()
    return found


async def test_a_migrated_database_is_as_a_new_one(tmp_path: Path) -> None:
    schema = newer(SCHEMA.version + 3)
    async with opened(tmp_path / "new.db", schema=schema):
        pass
    async with opened(tmp_path / "old.db") as parts:
        await parts.join("demo")
        await parts.state.record(started("camera"))
        log_id = parts.journal.log_id
    async with opened(tmp_path / "old.db", schema=schema) as parts:
        assert parts.rooms == ["demo"]
        assert (parts.journal.log_id, len(await parts.log())) == (log_id, 2)
        assert next(iter(parts.state.rows.values())).boot_id.endswith("+4")
    assert tables(tmp_path / "old.db") == tables(tmp_path / "new.db")


async def test_before_it_a_copy_is_put_aside_and_two_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    for more in range(4):
        async with opened(path, schema=newer(SCHEMA.version + more)) as parts:
            await parts.join(f"room-{more}")
    assert sorted(copies(path)) == [SCHEMA.version + 1, SCHEMA.version + 2]
    async with opened(copies(path)[SCHEMA.version + 2], schema=newer(SCHEMA.version + 2)) as parts:
        assert parts.rooms == ["room-0", "room-1", "room-2"]


async def test_a_step_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with opened(path) as parts:
        await parts.join("demo")
    before = tables(path)
    with pytest.raises(StoreError, match="does not work"):
        async with opened(path, schema=newer(SCHEMA.version + 2, fails=True)):
            pass
    assert tables(path) == before
    async with opened(path) as parts:
        assert parts.rooms == ["demo"]


async def test_an_older_version_goes_back_to_its_copy_with_the_newest_orders(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with opened(path) as parts:
        await parts.join("first")
        log_id = parts.journal.log_id
    async with opened(path, schema=newer(SCHEMA.version + 1)) as parts:
        await parts.join("second", token="secret")
    with pytest.raises(SchemaTooNew):
        async with opened(path):
            pass
    assert "schema-1" in use_copy(path)
    async with opened(path) as parts:
        assert parts.rooms == ["first", "second"]
        assert parts.journal.log_id != log_id
    async with opened(kept(tmp_path), schema=newer(SCHEMA.version + 1)) as parts:
        assert parts.rooms == ["first", "second"]  # nothing of the newer version's was thrown away


async def test_the_daemon_refuses_and_names_the_command_that_mends_it(tmp_path: Path) -> None:
    config = tmp_path / "the config.toml"
    config.write_text(f'state_dir = "{tmp_path}/state"\nruntime_dir = "{tmp_path}/run"\n')
    path = tmp_path / "state" / "rtcagent.db"
    async with opened(path) as parts:
        await parts.join("demo")
    async with opened(path, schema=newer(SCHEMA.version + 1)):
        pass
    status, _, errors = await rtcagentd("--config", str(config))
    assert status == 1
    assert "schema 2, which a newer rtcagentd wrote" in errors
    command = re.search(r"`(rtcagentd .* --use-copy)`", errors)
    assert command is not None
    status, out, errors = await rtcagentd(*shlex.split(command[1])[1:])
    assert (status, "schema-1" in out) == (0, True), errors
    async with opened(path) as parts:
        assert parts.rooms == ["demo"]
    status, _, errors = await rtcagentd(*shlex.split(command[1])[1:])
    assert status == 1
    assert "no copy is needed" in errors


async def test_without_any_copy_the_daemon_says_so(tmp_path: Path) -> None:
    config = tmp_path / "rtcagent.toml"
    config.write_text(f'state_dir = "{tmp_path}"\nruntime_dir = "{tmp_path}/run"\n')
    async with opened(tmp_path / "rtcagent.db", schema=newer(SCHEMA.version + 1)):
        pass
    (tmp_path / "rtcagent.db.desired").unlink()
    status, _, errors = await rtcagentd("--config", str(config))
    assert status == 1
    assert "no copy is there" in errors
