"""What Linux knows of processes: their children, processor time and memory. And ending them, by pid."""

import asyncio
import contextlib
import os
import select
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class KnownProcess:
    """One process, held by a pidfd: what is signalled is never another process that got the same pid later."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd = os.pidfd_open(pid)

    def ended(self) -> bool:
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        return bool(poller.poll(0))

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._fd, number)

    async def wait(self, timeout_ms: float) -> bool:
        """Whether it ended within the time."""
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            if not gone.done():
                gone.set_result(None)

        loop.add_reader(self._fd, tell)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await gone
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._fd)
        return True

    def close(self) -> None:
        os.close(self._fd)


def descendants(pid: int) -> list[int]:
    """The children of a process, theirs, and so on; without itself."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *descendants(int(child))]
    return found


def command(pid: int) -> list[str]:
    """The arguments of a process; empty when it is gone."""
    with contextlib.suppress(OSError):
        return [part.decode(errors="replace") for part in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]]
    return []


def cpu_s(pids: Iterable[int]) -> float:
    """User and system time of the processes so far, without their children's."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_S


def thread_cpu_s(pids: Iterable[int]) -> dict[str, float]:
    """User and system time of the processes' threads, added up by thread name."""
    times: dict[str, float] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(OSError):
                    name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
                    fields = rest.split()
                    times[name] = times.get(name, 0.0) + (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    return times


def pss_bytes(pids: Iterable[int]) -> int:
    """Proportional set size: memory, with what is shared divided among those who share it."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


@dataclass(frozen=True)
class Usage:
    """What one process holds. Memory is what is its own: other processes come and go with what is shared."""

    memory_bytes: int
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> "Usage":
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        own = sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
        return cls(own * 1024, len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")))

    def is_within(self, other: "Usage", spare: int = 0) -> bool:
        """Whether it has at most `spare` descriptors and threads more than `other`."""
        return self.descriptors <= other.descriptors + spare and self.threads <= other.threads + spare

    def highest(self, other: "Usage") -> "Usage":
        return Usage(
            max(self.memory_bytes, other.memory_bytes),
            max(self.descriptors, other.descriptors),
            max(self.threads, other.threads),
        )

    def __str__(self) -> str:
        return f"{self.memory_bytes / 1e6:.1f} MB, {self.descriptors} descriptors, {self.threads} threads"
