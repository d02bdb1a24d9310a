"""Time of a call, one after the other from one client while publishing: GetState and an order beside a bare echo."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio
from rtcagent.v1 import types_pb2 as ty

from tests.bench.publishers import AgentPublishing
from tests.bench.report import Measurement, median, percentile
from tests.parts.controller import Controller
from tests.parts.room_server import RoomServer

ROUNDS = 8
CALLS = 250  # per round and kind
ROOM = "room"
ROOT = Path(__file__).resolve().parents[2]

Call = Callable[[int], Awaitable[Any]]


async def measure(folder: Path) -> Measurement:
    times: dict[str, list[float]] = {}
    rates: dict[str, list[float]] = {}
    async with RoomServer(folder) as server, AgentPublishing(server, ROOM, folder / "agent") as agent:
        control = agent.daemon.control
        size = (await control.state()).ByteSize()
        async with _echo(agent.daemon.runtime_dir / "echo.sock", size) as echo:
            calls: dict[str, Call] = {"echo": lambda _: echo(b""), "state": lambda _: control.state()}
            calls["order"] = _order(control)
            for turn in range(ROUNDS + 1):
                for name, call in calls.items():
                    taken = await _times(call, CALLS)
                    if turn:  # the first round warms up
                        times.setdefault(name, []).extend(taken)
                        rates.setdefault(name, []).append(CALLS / sum(taken))
    return _report(times, rates, size)


def _order(control: Controller) -> Call:
    """An order that changes something each time: the stream is muted, unmuted, and so on."""

    async def call(index: int) -> Any:
        return await control.mute(ROOM, index % 2 == 0, order=ty.OrderOptions(wait_ms=0))

    return call


async def _times(call: Call, count: int) -> list[float]:
    taken = []
    for index in range(count):
        begin = time.perf_counter()
        await call(index)
        taken.append(time.perf_counter() - begin)
    return taken


@contextlib.asynccontextmanager
async def _echo(socket: Path, size: int) -> AsyncIterator[Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.echo_server",
        str(socket),
        str(size),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            yield channel.unary_unary("/bench.Echo/Echo")
    finally:
        process.terminate()
        await process.wait()


def _report(times: dict[str, list[float]], rates: dict[str, list[float]], size: int) -> Measurement:
    p50 = {name: percentile(taken, 0.5) * 1000 for name, taken in times.items()}
    p99 = {name: percentile(taken, 0.99) * 1000 for name, taken in times.items()}
    result = Measurement("One call after the other from one client, while publishing")
    labels = {
        "echo": f"bare grpc.aio echo with an answer of {size} bytes",
        "state": "GetState",
        "order": "MuteStream, stored and synced, wait_ms = 0",
    }
    for name, label in labels.items():
        aimed = name != "echo"
        result.add(
            f"{label}: p50, p99, calls/s",
            f"{p50[name]:.2f} ms, {p99[name]:.2f} ms, {median(rates[name]):.0f}",
            "p99 under 15 ms" if aimed else "",
            p99[name] < 15 if aimed else None,
        )
    ratio = p50["state"] / p50["echo"]
    result.add("p50 of GetState to the echo's", f"{ratio:.2f}", "at most 2", ratio <= 2)
    result.raw = {"p50_ms": p50, "p99_ms": p99, "calls_per_s": rates}
    return result
