"""How long a second participant sees nothing after an engine or the daemon died, hung or was replaced.

A fault is one line of `faults()`. The time runs from the fault to the first picture of the stream that is subscribed
anew; beside it GetState is asked all along.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
from rtcagent.v1 import agent_pb2 as ag

from tests.bench.publishers import HEIGHT, STREAM, WIDTH
from tests.bench.report import Measurement, median
from tests.parts.controller import bars
from tests.parts.daemon import Daemon, faults_environment
from tests.parts.listener import Listener
from tests.parts.room_server import RoomServer

ROUNDS = 5
LIMIT_MS = 60_000.0
SETTLED = 120  # frames between faults: nothing has just begun, so that nothing is suspected of the next one
FOREVER_MS = 120_000
GROWN_MB = 1_600  # over the default of engine.max_rss_mb
ROOM = "room"


@dataclass
class Fault:
    """`strike` makes it. Aims in seconds."""

    label: str
    aim_s: float
    strike: Callable[[Daemon], Awaitable[object]]
    rounds: int = ROUNDS
    error_window_aim_s: float = 0.0
    times: list[float] = field(default_factory=list)
    error_windows: list[float] = field(default_factory=list)
    slowest_answers: list[float] = field(default_factory=list)


def faults() -> list[Fault]:
    async def hold(daemon: Daemon) -> None:
        daemon.hold_gil(await daemon.engine_pid())

    async def grow(daemon: Daemon) -> None:
        daemon.grow(await daemon.engine_pid())

    async def restart(daemon: Daemon) -> None:
        await daemon.kill()
        await daemon.start(wait=False)

    return [
        Fault("engine killed (SIGKILL)", 3.0, lambda daemon: daemon.kill_engine()),
        Fault("engine crashed (SIGSEGV)", 3.0, lambda daemon: daemon.kill_engine(signal.SIGSEGV)),
        Fault("engine stopped (SIGSTOP)", 3.0, lambda daemon: daemon.kill_engine(signal.SIGSTOP)),
        Fault("interpreter of the engine held for ever", 6.0, hold),
        Fault("engine grown over its limit, from the growth on", 6.0, grow, rounds=1),  # no second one for 5 minutes
        Fault("ResetEngine", 3.0, lambda daemon: daemon.control.agent.ResetEngine(ag.ResetEngineRequest(), timeout=30)),
        Fault("daemon killed, started again at once", 5.0, restart, error_window_aim_s=2.0),
    ]


async def measure(folder: Path) -> Measurement:
    cases = faults()
    async with RoomServer(folder) as server:
        daemon = Daemon(
            folder, room_server=server, environment=faults_environment(hold_gil_ms=FOREVER_MS, grow_mb=GROWN_MB)
        )
        listener = Listener()
        try:
            await daemon.start()
            await listener.join(server.url, server.token(ROOM, "listener"))
            await daemon.control.join(ROOM, user_id="agent")
            await daemon.control.start_capture(bars(WIDTH, HEIGHT))
            for case in cases:
                for _ in range(case.rounds):
                    await _one(daemon, listener, case)
        finally:
            await listener.close()
            await daemon.close()
    result = Measurement("Media again at a second participant after a fault of engine or daemon")
    for case in cases:
        worst = max(case.times)
        result.add(
            f"{case.label}: median; worst of {case.rounds}",
            f"{median(case.times):.2f} s; {worst:.2f} s",
            f"within {case.aim_s:g} s",
            worst <= case.aim_s,
        )
        window = max(case.error_windows)
        result.add(
            f"{case.label}: time without an answer of the API; slowest answer",
            f"{window * 1000:.0f} ms; {max(case.slowest_answers) * 1000:.0f} ms",
            f"{case.error_window_aim_s:g} s" if not case.error_window_aim_s else f"under {case.error_window_aim_s:g} s",
            window <= case.error_window_aim_s,
        )
        result.raw[case.label] = {"seconds": case.times, "error_windows_s": case.error_windows}
    return result


async def _one(daemon: Daemon, listener: Listener, case: Fault) -> None:
    await listener.frames("agent", STREAM, count=SETTLED, timeout_ms=LIMIT_MS)
    answers: list[float] = []  # when each came
    waits: list[float] = []
    asking = asyncio.ensure_future(_ask(daemon, answers, waits))
    struck_at = time.monotonic()
    striking = asyncio.ensure_future(case.strike(daemon))
    again = await listener.event("track_subscribed", "agent", STREAM, after=struck_at, timeout_ms=LIMIT_MS)
    await listener.frames("agent", STREAM, count=2, timeout_ms=LIMIT_MS)
    await striking
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    case.times.append(min(at for at in listener.video("agent", STREAM).arrivals if at > again.at) - struck_at)
    case.error_windows.append(_error_window(answers))
    case.slowest_answers.append(max(waits))


async def _ask(daemon: Daemon, answers: list[float], waits: list[float]) -> None:
    """Ask for the state for ever. An error is written down as a moment with a minus before it."""
    while True:
        begin = time.monotonic()
        with contextlib.suppress(grpc.aio.AioRpcError):
            await daemon.control.agent.GetState(ag.GetStateRequest(), timeout=5)
            answers.append(time.monotonic())
            waits.append(answers[-1] - begin)
            await asyncio.sleep(0.01)
            continue
        answers.append(-begin)
        await asyncio.sleep(0.01)


def _error_window(answers: list[float]) -> float:
    """From the first error to the answer after the last one; 0 without errors."""
    errors = [-at for at in answers if at < 0]
    if not errors:
        return 0.0
    return min((at for at in answers if at > errors[-1]), default=errors[-1]) - errors[0]
