"""How an engine process comes to be and ends. This one starts it as a child of the daemon; systemd.py through a unit.

The only code that knows how an engine is started or killed; engine_process.py decides when.
"""

import asyncio
import contextlib
import logging
import os
import select
import signal
import sys
from pathlib import Path
from typing import Protocol

from rtcagentd.config import Config

log = logging.getLogger(__name__)

LEFTOVER_S = 2.0  # for the kernel to end a killed process


class LaunchedEngine(Protocol):
    """One engine process, from its start until it is gone."""

    @property
    def pid(self) -> int: ...

    @property
    def ended(self) -> str:
        """How it ended, in words; empty while it runs, or while that is not known yet."""
        ...

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs, or where that is not known."""
        ...

    async def wait(self) -> str:
        """Return how it ended, once it has. Any number of callers may wait, and give up waiting."""
        ...

    async def kill(self) -> None:
        """SIGKILL. Does not wait for the end. Nothing happens when it is gone already."""
        ...

    def close(self) -> None:
        """Nobody waits for it any more."""
        ...


class Launcher(Protocol):
    """Starts engines, one at a time. `socket_path` is where the daemon finds the one that runs."""

    @property
    def socket_path(self) -> Path: ...

    async def end_leftover(self) -> None:
        """End the engine of a daemon that was killed: two engines must never hold the devices, or be in the rooms, at
        once.
        """
        ...

    async def start(self) -> LaunchedEngine:
        """Start a new engine. OSError when that is not possible."""
        ...


def engine_arguments(config: Config) -> list[str]:
    """The arguments of rtcagent-engine that follow from the configuration."""
    arguments = ["--kind", config.engine.kind, "--log-level", config.log_level]
    for folder in config.media.folders:
        arguments += ["--media-folder", str(folder)]
    arguments += ["--recording-folder", str(config.recording_folder)]
    arguments += ["--recording-min-free-mb", str(config.recording.min_free_mb)]
    if config.display.wayland:
        arguments += ["--wayland-display", config.display.wayland]
    if config.display.x11:
        arguments += ["--x11-display", config.display.x11]
    return arguments


class ChildLauncher:
    """The engine is a child of the daemon, with its user and its environment."""

    def __init__(self, config: Config, version: str) -> None:
        self._config = config
        self._version = version
        self.socket_path = config.runtime_dir / "engine.sock"
        self._pid_path = config.runtime_dir / "engine.pid"

    async def end_leftover(self) -> None:
        await asyncio.to_thread(_end_leftover, self._pid_path)

    async def start(self) -> "EngineChild":
        self.socket_path.unlink(missing_ok=True)
        command = [sys.executable, "-m", "rtcagentd.engine.main", "--socket", str(self.socket_path)]
        command += ["--build-version", self._version, *engine_arguments(self._config)]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
        )
        self._pid_path.write_text(f"{process.pid} {_start_time(process.pid)}\n")
        return EngineChild(process, self._pid_path)


class EngineChild:
    """An engine that is a child of this process."""

    def __init__(self, process: asyncio.subprocess.Process, pid_path: Path) -> None:
        self._process = process
        self._pid_path = pid_path
        self.pid = process.pid

    @property
    def ended(self) -> str:
        status = self._process.returncode
        return "" if status is None else how_it_ended(status)

    @property
    def status(self) -> int | None:
        return self._process.returncode

    async def wait(self) -> str:
        return how_it_ended(await self._process.wait())

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def close(self) -> None:
        self._pid_path.unlink(missing_ok=True)


def how_it_ended(status: int) -> str:
    """An exit status, negative for a signal, in words."""
    if status < 0:
        return f"the engine process was ended by {signal.Signals(-status).name}"
    return f"the engine process ended by itself with status {status}"


def _start_time(pid: int) -> str:
    """When a process was started, in the kernel's ticks: with the pid it names one process for good."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _end_leftover(pid_path: Path) -> None:
    try:
        pid_text, started = pid_path.read_text().split()
    except (OSError, ValueError):
        return
    pid = int(pid_text)
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if _start_time(pid) == started:
            log.warning("ending the engine process %d of an earlier daemon", pid)
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [], LEFTOVER_S)
    finally:
        os.close(handle)
        pid_path.unlink(missing_ok=True)
