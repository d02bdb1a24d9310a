"""Runs the embedded livekit-server: starts it, waits until it answers, starts it again when it dies, and stops it."""

import asyncio
import errno
import json
import logging
import os
import random
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import jwt

from rtcagentd.config import EmbeddedServer, RetrySettings
from rtcagentd.supervise import die_with_parent
from rtcagentd.supervise.room_server_files import Keys, load_keys, server_configuration, write_private

log = logging.getLogger(__name__)

START_TIMEOUT_S = 45.0
STOP_TIMEOUT_S = 3.0
TERM_AGAIN_AFTER_S = 0.4
# a server of ours that has just been killed with its daemon needs a moment to give its ports back
PORT_PATIENCE_S = 2.0
# one that ran as long as this had started well: the back-off begins anew
STABLE_AFTER_S = 30.0
_LEVELS = {"debug": logging.DEBUG, "info": logging.DEBUG, "warn": logging.WARNING, "error": logging.ERROR}


class RoomServerError(Exception):
    """The embedded room server cannot run; the text says why and what to do."""


def _ignore(running: bool, reason: str) -> None:
    del running, reason


class RoomServer:
    """One livekit-server process, replaced whenever it dies. Used on the event loop of the daemon's main thread only.

    Main thread, because the kernel ties the server's life to the thread that started it. `on_change(running, reason)`
    is called on the loop when the server died, with the reason, and when it answers again; not by start() and stop().
    """

    def __init__(
        self,
        settings: EmbeddedServer,
        state_dir: Path,
        runtime_dir: Path,
        retry: RetrySettings | None = None,
        on_change: Callable[[bool, str], None] = _ignore,
    ) -> None:
        self._settings = settings
        self._keys_path = state_dir / "room-server-keys"
        self._config_path = runtime_dir / "room-server.yaml"
        self._retry = retry or RetrySettings()
        self._on_change = on_change
        self._keys: Keys | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._output: asyncio.Task[None] | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._last_lines: deque[str] = deque(maxlen=5)

    @property
    def url(self) -> str:
        """Where this machine's own engine reaches the server."""
        return f"ws://127.0.0.1:{self._settings.port}"

    @property
    def advertised_url(self) -> str:
        """Where others reach the server: for invites."""
        if self._settings.expose == "loopback":
            return self.url
        address = self._settings.advertise_ip
        return f"ws://{f'[{address}]' if ':' in address else address}:{self._settings.port}"

    @property
    def keys(self) -> Keys:
        """The server's key and secret; known after start()."""
        if self._keys is None:
            raise RuntimeError("the room server was not started yet")
        return self._keys

    @property
    def api_key(self) -> str:
        return self.keys.api_key

    @property
    def api_secret(self) -> str:
        return self.keys.api_secret

    @property
    def pid(self) -> int | None:
        """The process that runs now, if one does."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def __aenter__(self) -> "RoomServer":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Return when the server answers. RoomServerError when it cannot run; then no process is left."""
        try:
            self._keys = load_keys(self._keys_path)
        except (OSError, ValueError) as error:
            raise RoomServerError(f"cannot use the room server's keys: {error}") from error
        try:
            await self._launch()
        except BaseException:
            await self._kill()
            raise
        self._supervisor = asyncio.create_task(self._supervise(), name="room server")

    async def stop(self) -> None:
        """End the server: SIGTERM twice, SIGKILL after 3 s. Any number of times."""
        if self._supervisor:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
        await self._kill()
        self._config_path.unlink(missing_ok=True)

    async def _launch(self) -> None:
        binary = self._settings.binary
        if not os.access(binary, os.X_OK):
            raise RoomServerError(
                f"embedded_server.binary: {binary} is no program; build it with `make build`, or name another"
            )
        await self._wait_for_ports()
        level = "info" if log.isEnabledFor(logging.DEBUG) else "warn"
        write_private(self._config_path, server_configuration(self._settings, self.keys, level))
        self._last_lines.clear()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid())),
            *(str(binary), "--config", str(self._config_path)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # a Ctrl-C in the terminal is for the daemon, which stops its server when it no longer needs it
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TZ", "GOMAXPROCS")},
        )
        self._output = asyncio.create_task(self._read_output(self._process), name="room server output")
        await self._wait_until_ready(self._process)
        log.info("room server runs: %s, pid %d", self.advertised_url, self._process.pid)

    async def _wait_for_ports(self) -> None:
        deadline = time.monotonic() + PORT_PATIENCE_S
        while True:
            try:
                return self._check_ports()
            except RoomServerError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.1)

    def _check_ports(self) -> None:
        settings = self._settings
        wanted = [
            ("port", settings.port, socket.SOCK_STREAM),
            ("rtc_udp_port", settings.rtc_udp_port, socket.SOCK_DGRAM),
        ]
        if settings.expose == "lan":
            wanted.append(("rtc_tcp_port", settings.rtc_tcp_port, socket.SOCK_STREAM))
        for name, port, kind in wanted:
            with socket.socket(socket.AF_INET, kind) as probe:
                if kind == socket.SOCK_STREAM:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1" if settings.expose == "loopback" else "", port))
                except OSError as error:
                    cause = (
                        "is in use by another program"
                        if error.errno == errno.EADDRINUSE
                        else os.strerror(error.errno or 0)
                    )
                    protocol = "TCP" if kind == socket.SOCK_STREAM else "UDP"
                    raise RoomServerError(
                        f"{protocol} port {port} of the embedded room server: {cause};"
                        f" end that program, or set embedded_server.{name} to a free port"
                    ) from error

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not await self._answers():
            if process.returncode is not None:
                if self._output:
                    await self._output
                raise RoomServerError(
                    f"livekit-server ended at its start ({_ending(process.returncode)}): {self._said()}"
                )
            if time.monotonic() > deadline:
                raise RoomServerError(f"livekit-server did not answer within {START_TIMEOUT_S:.0f} s: {self._said()}")
            await asyncio.sleep(0.03)

    async def _answers(self) -> bool:
        """Whether a server with our keys answers: anyone may hold the port, nobody else takes a token of ours."""
        now = int(time.time())
        claims = {"iss": self.api_key, "nbf": now - 60, "exp": now + 60, "video": {"roomList": True}}
        token = jwt.encode(claims, self.api_secret, algorithm="HS256")
        request = (
            "POST /twirp/livekit.RoomService/ListRooms HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/json\r\nAuthorization: Bearer {token}\r\n"
            "Content-Length: 2\r\nConnection: close\r\n\r\n{}"
        )
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._settings.port)
                writer.write(request.encode())
                status = await reader.readline()
        except (OSError, TimeoutError):
            return False
        finally:
            if writer:
                writer.close()
        return status.split()[1:2] == [b"200"]

    async def _read_output(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than the reader's buffer: dropped, what follows is read
                continue
            if not line:
                return
            level, text = _parse(line.decode(errors="replace").rstrip())
            self._last_lines.append(text)
            log.log(level, "livekit-server: %s", text)

    async def _supervise(self) -> None:
        failures = 0
        while True:
            assert self._process is not None
            started_at = time.monotonic()
            status = await self._process.wait()
            if self._output:
                await self._output
            reason = f"livekit-server died ({_ending(status)}): {self._said()}"
            if time.monotonic() - started_at > STABLE_AFTER_S:
                failures = 0
            self._report(False, reason)
            while True:
                delay_ms = min(self._retry.first_ms * 2 ** min(failures, 20), self._retry.max_ms)
                failures += 1
                await asyncio.sleep(delay_ms / 1000 * random.uniform(0.8, 1.2))
                try:
                    await self._launch()
                except (RoomServerError, OSError) as error:
                    await self._kill()
                    self._report(False, str(error))
                else:
                    self._report(True, "livekit-server runs again")
                    break

    def _report(self, running: bool, reason: str) -> None:
        log.log(logging.INFO if running else logging.ERROR, "%s", reason)
        try:
            self._on_change(running, reason)
        except Exception:
            log.exception("the room server's listener failed")

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process and process.returncode is None:
            # after the first SIGTERM it waits for the users in its rooms, or does nothing when it just started
            for patience_s in (TERM_AGAIN_AFTER_S, STOP_TIMEOUT_S - TERM_AGAIN_AFTER_S):
                process.terminate()
                if await _ended(process, patience_s):
                    break
            else:
                log.warning("livekit-server did not stop within %.0f s and is killed", STOP_TIMEOUT_S)
                process.kill()
                await process.wait()
        output, self._output = self._output, None
        if output:
            await output

    def _said(self) -> str:
        return " / ".join(self._last_lines) or "it said nothing"


def _parse(line: str) -> tuple[int, str]:
    """The level and text of a line of livekit-server, which writes JSON, and plain text when it cannot start."""
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        return logging.WARNING, line
    hidden = ("level", "ts", "msg", "caller", "logger", "stacktrace")
    details = " ".join(f"{name}={value}" for name, value in entry.items() if name not in hidden)
    return _LEVELS.get(str(entry.get("level")), logging.INFO), f"{entry.get('msg', '')} {details}".strip()


async def _ended(process: asyncio.subprocess.Process, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await process.wait()
    except TimeoutError:
        return False
    return True


def _ending(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
