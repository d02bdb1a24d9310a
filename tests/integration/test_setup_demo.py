"""`make run` as its user meets it: what it prints, what it orders and what it leaves, with every part real."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.parts.listener import Listener
from tests.parts.ports import free_ports
from tests.parts.processes import KnownProcess, descendants
from tests.parts.room_server import BINARY

RTCCTL = Path(sys.executable).with_name("rtcctl")
READY_S = 10.0  # the second run is to be ready within this; the first here, where all is built, is no slower
STOP_S = 5.0


class Demo:
    """One `python -m rtcagentd.demo`, with ports and a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed: list[str] = []
        ports = free_ports(socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM)
        names = ("PORT", "SERVER_PORT", "SERVER_TCP_PORT", "SERVER_UDP_PORT")
        self.variables = {name: str(port) for name, port in zip(names, ports, strict=True)}
        self.address = f"127.0.0.1:{ports[0]}"
        self.process: asyncio.subprocess.Process
        self._offspring: list[KnownProcess] = []

    async def launch(self, **changes: str) -> None:
        """Run it; returns at once."""
        self.printed.clear()
        settings = {"LAN": "", "CAMERA": "0", "RTCAGENT_RUN_DIR": str(self.folder)}
        settings["RTCAGENT_LIVEKIT_SERVER"] = str(BINARY)
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rtcagentd.demo"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **settings, **self.variables, **changes},
        )

    async def start(self, **changes: str) -> float:
        """Run it until it has said all; returns the seconds that took."""
        started = time.monotonic()
        await self.launch(**changes)
        async with asyncio.timeout(READY_S):
            await self.read_until("Ctrl-C stops everything")
        self._offspring = [KnownProcess(pid) for pid in descendants(self.process.pid)]
        return time.monotonic() - started

    async def read_until(self, text: str) -> None:
        assert self.process.stdout is not None
        while not (self.printed and text in self.printed[-1]):
            line = await self.process.stdout.readline()
            assert line, f"the demo ended:\n{self.text}"
            self.printed.append(line.decode().rstrip())

    async def rest(self) -> int:
        """Read on until it ends; its exit status."""
        assert self.process.stdout is not None
        async with asyncio.timeout(STOP_S + 5):
            self.printed += (await self.process.stdout.read()).decode().splitlines()
            return await self.process.wait()

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return await self.rest()

    async def left_within(self, timeout_s: float) -> list[int]:
        """The processes of the demo that still live after this time."""
        async with asyncio.timeout(timeout_s + 1):
            ended = await asyncio.gather(*(each.wait(timeout_s * 1000) for each in self._offspring))
        return [each.pid for each, has_ended in zip(self._offspring, ended, strict=True) if not has_ended]

    @property
    def text(self) -> str:
        return "\n".join(self.printed)

    async def rtcctl(self, *arguments: str) -> str:
        control = await asyncio.create_subprocess_exec(
            *(str(RTCCTL), "--address", self.address, *arguments), stdout=asyncio.subprocess.PIPE
        )
        output, _ = await asyncio.wait_for(control.communicate(), 15)
        assert control.returncode == 0
        return output.decode()

    async def close(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        assert await self.left_within(8) == []


@pytest_asyncio.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Demo]:
    """A running demo with the test picture, that has said all it says at its start."""
    running = Demo(tmp_path / "run")
    await running.start()
    yield running
    await running.close()


async def test_its_picture_is_seen_with_the_invite_that_it_names(demo: Demo, listener: Listener) -> None:
    (command,) = re.findall(r"Watch the room: +\S+rtcctl (.*) --user NAME", demo.text)
    assert command == f"--address {demo.address} invite demo"
    invite = json.loads(await demo.rtcctl("--json", "invite", "demo", "--user", "visitor"))
    await listener.join(invite["server_url"], invite["token"])
    (room,) = json.loads(await demo.rtcctl("--json", "rooms"))["rooms"]
    await listener.frames(room["user_id"], "camera", count=10, timeout_ms=10_000)
    assert "test picture" in demo.text
    assert "REAL CAMERA" not in demo.text


async def test_ctrl_c_ends_everything(demo: Demo) -> None:
    started = time.monotonic()
    assert await demo.stop() == 0
    assert await demo.left_within(0.1) == []
    assert time.monotonic() - started < STOP_S


async def test_what_was_ordered_survives_the_next_run(demo: Demo) -> None:
    """The demo's own orders are for an empty store: a room that was left stays left."""
    await demo.rtcctl("leave", "demo")
    assert await demo.stop() == 0
    assert await demo.start() < READY_S
    rooms = json.loads(await demo.rtcctl("--json", "rooms"))
    assert not rooms.get("rooms")
    assert "camera: test picture, capturing" in demo.text
    assert await demo.stop() == 0


async def test_a_stuck_daemon_is_ended_by_force(demo: Demo) -> None:
    (daemon,) = await child_daemon(demo)
    os.kill(daemon, signal.SIGSTOP)
    started = time.monotonic()
    assert await demo.stop() == 0
    assert await demo.left_within(0.1) == []
    assert time.monotonic() - started < STOP_S


async def test_a_dead_daemon_ends_it_with_an_error(demo: Demo) -> None:
    (daemon,) = await child_daemon(demo)
    os.kill(daemon, signal.SIGKILL)
    assert await demo.rest() == 1
    assert "rtcagentd ended with exit status -9" in demo.text
    assert await demo.left_within(0.1) == []


async def test_nothing_is_left_when_it_is_killed_itself(demo: Demo) -> None:
    """The kernel takes the daemon and its room server; the engine misses its daemon and closes itself."""
    demo.process.kill()
    await demo.process.wait()
    assert await demo.left_within(8) == []


async def child_daemon(demo: Demo) -> list[int]:
    children = await asyncio.to_thread(Path(f"/proc/{demo.process.pid}/task/{demo.process.pid}/children").read_text)
    return [int(pid) for pid in children.split()]


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "run")
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(demo.variables["SERVER_PORT"])))
        other.listen()
        await demo.launch()
        assert await demo.rest() == 1
    assert f"TCP port {demo.variables['SERVER_PORT']}" in demo.text
    assert "in use" in demo.text


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("PORT", "http", "PORT=http is not a port"),
        ("LAN", "yes", "LAN=yes is neither"),
        ("RTCAGENT_LIVEKIT_SERVER", "/nowhere", "make build"),
    ],
)
async def test_wrong_variables_are_told(variable: str, value: str, complaint: str, tmp_path: Path) -> None:
    demo = Demo(tmp_path / "run")
    await demo.launch(**{variable: value})
    assert await demo.rest() == 1
    assert complaint in demo.text
    assert "Traceback" not in demo.text


async def test_secrets_are_private(tmp_path: Path) -> None:
    """With LAN=1 a token and a key are made once, for their owner's eyes; later runs print the same command."""
    demo = Demo(tmp_path / "run")
    await demo.start(LAN="1", HOST="127.0.0.1")
    command = next(line for line in demo.printed if "--server-fingerprint" in line)
    assert await demo.stop() == 0
    for name in ("controller-token", "tokens", "server-key.pem", "rtcagent.toml"):
        assert (demo.folder / name).stat().st_mode & 0o777 == 0o600
    assert demo.folder.stat().st_mode & 0o777 == 0o700
    await demo.start(LAN="1", HOST="127.0.0.1")
    assert command in demo.printed
    assert await demo.stop() == 0
    assert await demo.left_within(1) == []
