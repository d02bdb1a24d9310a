"""The store's process is killed, a hundred times, at any moment: what was acknowledged is there, whole."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rtcagent.v1 import state_pb2 as st
from rtcagentd.control.objects import capture_key, room_key
from rtcagentd.journal.journal import Missing
from rtcagentd.store.desired_copy import DesiredCopy

from tests.parts.processes import KnownProcess
from tests.parts.waiting import until
from tests.unit.store_parts import Parts, opened

ROUNDS = 100
LONGEST_S = 0.08  # from its first acknowledgement to its end
ROOT = Path(__file__).resolve().parents[2]


@contextlib.asynccontextmanager
async def forking() -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.parts.order_writer"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    yield process
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


def written(acks: Path) -> int:
    return acks.stat().st_size if acks.exists() else 0


async def kill_one(writer: asyncio.subprocess.Process, path: Path, acks: Path, delay_s: float) -> None:
    """Let a child write for a while, and kill it."""
    assert writer.stdin is not None
    assert writer.stdout is not None
    size = written(acks)
    writer.stdin.write(f"{path}\n".encode())
    child = KnownProcess(int(await writer.stdout.readline()))
    try:
        await until(lambda: written(acks) > size, timeout_ms=10_000, what="the child writes")
        await asyncio.sleep(delay_s)  # a random moment, not a wait
    finally:
        child.signal(signal.SIGKILL)
        child.close()
    assert os.WTERMSIG(int(await writer.stdout.readline())) == signal.SIGKILL


class Ledger:
    """What the children were promised."""

    def __init__(self) -> None:
        self.begun: dict[int, str] = {}  # by room: the order that was given last
        self.taken: dict[int, str] = {}
        self.requests: dict[str, int] = {}
        self.revision = 0
        self.seq = 0
        self.logs: set[str] = set()

    def read(self, text: str) -> None:
        for line in text.splitlines():
            match line.split(" "):
                case ["open", log_id, _]:
                    self.logs.add(log_id)
                case ["begin", index, stamp]:
                    self.begun[int(index)] = stamp
                case ["taken", revision, index, stamp, request_id]:
                    self.taken[int(index)] = stamp
                    self.requests = {request_id: int(revision)}
                    self.revision = max(self.revision, int(revision))
                case ["seq", seq]:
                    self.seq = max(self.seq, int(seq))


def stamps(parts: Parts) -> dict[int, str]:
    """The order in force of each room; fails where one is half applied."""
    found = {}
    for key, row in parts.state.rows.items():
        if isinstance(row.body, st.DesiredRoom):
            capture = parts.state.get(capture_key(key.text), st.DesiredCapture)
            assert capture is not None
            assert row.body.config.extra_info == capture.config.input.file.path == row.secret
            found[int(key.text[1:])] = row.secret
    return found


async def check(path: Path, promised: Ledger) -> None:
    copy = DesiredCopy(path.with_name(path.name + ".desired")).load()  # before opening writes it anew
    assert copy is not None
    assert copy.revision >= promised.revision
    async with opened(path) as parts:
        assert not parts.database.mended
        assert {parts.journal.log_id} == promised.logs
        assert parts.state.revision >= promised.revision
        assert parts.journal.last_seq >= promised.seq
        held = stamps(parts)
        for index, stamp in promised.taken.items():
            possible = (stamp, promised.begun[index])  # the last order was taken, or was under way
            assert held[index] in possible
            assert copy.rows[room_key(f"r{index}")].secret in possible
        promised.taken |= held  # what is there now stays
        for request_id, revision in promised.requests.items():
            stored = await parts.database.read(
                lambda connection: connection.execute(
                    "SELECT revision FROM requests WHERE request_id = ?",
                    (request_id,),  # noqa: B023
                ).fetchone()
            )
            assert stored == (revision,)
        seq = max(0, parts.journal.last_seq - 200)
        page = await parts.journal.read(seq)
        while page:
            assert not isinstance(page, Missing)
            assert [entry.seq for entry in page] == list(range(seq + 1, seq + 1 + len(page)))
            seq = page[-1].seq
            page = await parts.journal.read(seq)
        assert seq == parts.journal.last_seq


@pytest.mark.timeout(180)
async def test_what_was_acknowledged_outlasts_kill_9(tmp_path: Path) -> None:
    chance = random.Random(9)
    path, acks = tmp_path / "a.db", tmp_path / "a.db.acks"
    promised, at = Ledger(), 0
    async with forking() as writer:
        for _ in range(ROUNDS):
            await kill_one(writer, path, acks, chance.uniform(0, LONGEST_S))
            text = acks.read_bytes()
            promised.read(text[at:].decode())
            at = len(text)
            await check(path, promised)
    assert promised.revision > ROUNDS
    assert len(promised.taken) == 15
