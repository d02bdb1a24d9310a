"""A real rtcagentd process, with its engine, in folders of its own; started, stopped and killed at will."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from rtcagent.v1 import state_pb2 as st

from tests.parts.controller import Controller
from tests.parts.processes import KnownProcess, descendants
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until

PROGRAM = Path(sys.executable).with_name("rtcagentd")
FAULTS = Path(__file__).with_name("faults")
NAME = "agent"  # the agent's name, and so its user_id where an order gives none
START_MS = 25_000
STOP_MS = 8_000
HOLD_GIL_MS = 900


class Daemon:
    """One agent. Its folders, so its state, last over kill() and start()."""

    def __init__(
        self,
        folder: Path,
        *,
        room_server: RoomServer | None = None,
        settings: Mapping[str, Any] | None = None,
        also_listen: Sequence[Mapping[str, Any]] = (),
        environment: Mapping[str, str] | None = None,
        namespace: str = "",
    ) -> None:
        """`settings`: of the configuration file, over those made here. `room_server`: the agent gets its key.

        `also_listen`: listeners beside the unix socket. `namespace`: the network namespace to run in.
        """
        self.folder = folder
        self.media_folder = folder / "media"
        self.log_path = folder / "rtcagentd.log"
        # Not in `folder`: the path of a unix socket has at most 107 characters.
        self.runtime_dir = Path(tempfile.mkdtemp(prefix="rtcagent-"))
        self.socket = self.runtime_dir / "control.sock"
        self.config_path = folder / "rtcagent.toml"
        self._environment = {**os.environ, **(environment or {})}
        self._prefix = ["ip", "netns", "exec", namespace] if namespace else []  # which becomes the daemon: same pid
        self._process: asyncio.subprocess.Process | None = None
        self._log: IO[bytes] | None = None
        self._offspring: dict[int, KnownProcess] = {}
        self._controller: Controller | None = None
        self.media_folder.mkdir(exist_ok=True)
        self.config_path.write_text(_toml(self._settings(room_server, also_listen) | dict(settings or {})))

    def _settings(self, room_server: RoomServer | None, also_listen: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "name": NAME,
            "state_dir": str(self.folder / "state"),
            "runtime_dir": str(self.runtime_dir),
            "log_level": "info",
            "listen": [{"address": f"unix:{self.socket}"}, *also_listen],
            "media": {"folders": [str(self.media_folder)]},
            "desired": {"folder": str(self.folder / "conf.d")},
            "retry": {"first_ms": 100, "max_ms": 1000},
        }
        if room_server is not None:
            secret = self.folder / "api-secret"
            secret.touch(mode=0o600)
            secret.write_text(room_server.secret)
            settings["room_server"] = {
                "url": room_server.url,
                "api_key": room_server.key,
                "api_secret_file": str(secret),
            }
        return settings

    @property
    def pid(self) -> int:
        assert self._process is not None, "the daemon does not run"
        return self._process.pid

    @property
    def address(self) -> str:
        return f"unix:{self.socket}"

    @property
    def control(self) -> Controller:
        """A connection over the unix socket; it outlasts restarts of the daemon."""
        if self._controller is None:
            self._controller = Controller(self.address)
        return self._controller

    async def start(self, *, wait: bool = True) -> None:
        """Run the daemon; returns when it answers and its engine runs."""
        self._log = open(self.log_path, "ab")  # noqa: SIM115, ASYNC230 -- lives as long as the process that writes to it
        self._process = await asyncio.create_subprocess_exec(
            *self._prefix,
            PROGRAM,
            "--config",
            self.config_path,
            stdout=self._log,
            stderr=self._log,
            stdin=asyncio.subprocess.DEVNULL,
            env=self._environment,
        )
        if not wait:
            return

        async def runs() -> bool:
            if self.returncode is not None:
                raise RuntimeError(f"rtcagentd ended with {self.returncode}:\n{self.log()[-4000:]}")
            return self.socket.exists() and (await self.engine()).state == st.ENGINE_STATE_RUNNING

        await until(runs, timeout_ms=START_MS, what="rtcagentd answers and its engine runs")
        self._remember_offspring()

    @property
    def returncode(self) -> int | None:
        return self._process.returncode if self._process is not None else None

    async def engine(self) -> st.EngineStatus:
        return (await self.control.state()).reported.engine

    async def engine_pid(self) -> int:
        pid = (await self.engine()).pid
        assert pid, "the engine does not run"
        return pid

    def pids(self) -> list[int]:
        """The daemon and all that it started, which is its engine and no room server here."""
        return [self.pid, *descendants(self.pid)]

    async def wait(self, timeout_ms: float) -> int | None:
        """The exit status of the daemon, or None if it does not end within the time."""
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_ms / 1000):
                return await self._process.wait()
        return None

    def terminate(self) -> None:
        """SIGTERM, as systemd and Ctrl-C in a terminal would send it."""
        self._remember_offspring()
        assert self._process is not None
        self._process.terminate()

    async def stop(self) -> int:
        """End it in good order."""
        self.terminate()
        status = await self.wait(STOP_MS)
        assert status is not None, f"rtcagentd did not end within {STOP_MS} ms of SIGTERM"
        return status

    async def kill(self) -> None:
        """SIGKILL to the daemon alone; what becomes of its engine is the engine's affair."""
        self._remember_offspring()
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def kill_engine(self, number: signal.Signals = signal.SIGKILL) -> int:
        """A signal to the engine. Returns the pid that it had."""
        self._remember_offspring()
        pid = await self.engine_pid()
        os.kill(pid, number)
        return pid

    def hold_gil(self, engine_pid: int) -> None:
        """Hold the engine's interpreter, for HOLD_GIL_MS unless the daemon's `faults_environment()` says otherwise."""
        os.kill(engine_pid, signal.SIGUSR2)

    def grow(self, engine_pid: int) -> None:
        """Make the engine take more memory. The daemon must run with `faults_environment(grow_mb=...)`."""
        os.kill(engine_pid, signal.SIGUSR1)

    def offspring_left(self) -> list[int]:
        """Processes that the daemon ever started, as far as was seen, and that run still."""
        return [pid for pid, process in self._offspring.items() if not process.ended()]

    async def close(self) -> None:
        """End every process and remove the runtime folder."""
        if self._controller is not None:
            await self._controller.close()
        if self._process is not None and self._process.returncode is None:
            self.terminate()
            if await self.wait(STOP_MS) is None:
                await self.kill()
        for process in self._offspring.values():
            process.signal(signal.SIGKILL)
            process.close()
        if self._log is not None:
            self._log.close()
        shutil.rmtree(self.runtime_dir, ignore_errors=True)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def _remember_offspring(self) -> None:
        if self._process is not None and self._process.returncode is None:
            for pid in descendants(self._process.pid):
                if pid not in self._offspring or self._offspring[pid].ended():
                    with contextlib.suppress(ProcessLookupError):
                        self._offspring[pid] = KnownProcess(pid)


class MakeDaemon(Protocol):
    """Starts a daemon with settings or an environment of the test's own."""

    async def __call__(
        self,
        room_server: RoomServer | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        also_listen: Sequence[Mapping[str, Any]] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Daemon: ...


def faults_environment(*, hold_gil_ms: int = HOLD_GIL_MS, **faults: object) -> dict[str, str]:
    """What gives daemon and engine the faults of tests/parts/faults: hold_gil() and those named, as in `poison=4`."""
    path = os.pathsep.join(filter(None, [str(FAULTS), os.environ.get("PYTHONPATH", "")]))
    faults["hold_gil_ms"] = hold_gil_ms
    return {"PYTHONPATH": path} | {f"RTCAGENT_TEST_{name.upper()}": str(value) for name, value in faults.items()}


def _toml(settings: Mapping[str, Any], prefix: str = "") -> str:
    """TOML for plain values, tables and lists of tables. Plain values, and lists of them, are written as in JSON."""
    plain, tables = [], []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            tables.append(f"\n[{prefix}{key}]\n{_toml(value, f'{prefix}{key}.')}")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            tables += [f"\n[[{prefix}{key}]]\n{_toml(each, f'{prefix}{key}.')}" for each in value]
        else:
            plain.append(f"{key} = {json.dumps(value)}\n")
    return "".join(plain + tables)
