"""`make run LAN=1` between two machines: network namespaces with a cable between them and no way to anywhere else."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.parts.room_server import BINARY

pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent
HERE_ADDRESS, THERE_ADDRESS = "10.77.0.1", "10.77.0.2"
START_S = 40.0
COMMAND_S = 40.0
STOP_S = 5.0


@dataclass(frozen=True)
class Lan:
    """The names of the two namespaces: the agent's machine and another one."""

    here: str
    there: str


@dataclass
class Demo:
    """A running demo and what it has printed."""

    process: asyncio.subprocess.Process
    printed: list[str]

    def command(self) -> str:
        """The command that it prints for the other machine."""
        (line,) = [line.strip() for line in self.printed if "--server-fingerprint" in line]
        return line

    def command_for(self, what: str) -> str:
        """The same with another order than `state`."""
        assert self.command().endswith(" state")
        return self.command().removesuffix("state") + what


@pytest.fixture
def lan() -> Iterator[Lan]:
    names = Lan(here=f"rtcagent-{os.getpid()}-a", there=f"rtcagent-{os.getpid()}-b")
    with contextlib.ExitStack() as namespaces:
        for name in (names.here, names.there):
            ip("netns", "add", name)
            namespaces.callback(ip, "netns", "del", name)
        ip("link", "add", "lan0", "netns", names.here, "type", "veth", "peer", "name", "lan0", "netns", names.there)
        for name, address in ((names.here, HERE_ADDRESS), (names.there, THERE_ADDRESS)):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "lan0")
            ip("-n", name, "link", "set", "lan0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names


@pytest_asyncio.fixture
async def demo(lan: Lan, tmp_path: Path, shown_logs: dict[str, Callable[[], str]]) -> AsyncIterator[Demo]:
    """The demo in the first namespace, with everything printed that it prints at its start."""
    log = tmp_path / "run" / "rtcagentd.log"
    shown_logs["rtcagentd"] = lambda: log.read_text(errors="replace") if log.exists() else ""
    names = ("LAN", "CAMERA", "HOST", "PORT", "SERVER_PORT", "SERVER_TCP_PORT", "SERVER_UDP_PORT")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {"LAN": "1", "RTCAGENT_RUN_DIR": str(tmp_path / "run"), "RTCAGENT_LIVEKIT_SERVER": str(BINARY)}
    process = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", lan.here, sys.executable, "-m", "rtcagentd.demo"),
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed: list[str] = []
    shown_logs["make run"] = lambda: "\n".join(printed)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            while "Ctrl-C stops everything." not in printed:
                line = await process.stdout.readline()
                assert line, f"the demo ended: {printed}"
                printed.append(line.decode().rstrip("\n"))
        yield Demo(process, printed)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.communicate()


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=20).stdout


async def in_namespace(namespace: str, *command: str) -> tuple[int, str, str]:
    """Exit status, output and errors of a command."""
    process = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", namespace, *command),
        cwd=ROOT,
        env={**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(COMMAND_S):
            output, errors = await process.communicate()
    except BaseException:
        process.kill()
        await process.communicate()
        raise
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def shell(namespace: str, command: str) -> str:
    """What a command line prints, as if it had been pasted into a terminal there."""
    status, output, errors = await in_namespace(namespace, "sh", "-c", command)
    assert status == 0, f"{command} ended with {status}:\n{output}{errors}"
    return output


async def test_another_machine_controls_the_agent_and_sees_its_picture(lan: Lan, demo: Demo) -> None:
    assert "demo" in await shell(lan.there, demo.command())

    (room,) = json.loads(await shell(lan.there, demo.command_for("--json rooms")))["rooms"]
    assert any(f"room 'demo': joined as {room['user_id']!r}, publishing camera" in line for line in demo.printed)
    invite = json.loads(await shell(lan.there, demo.command_for("--json invite demo --user visitor")))
    assert HERE_ADDRESS in invite["server_url"]
    look = f"{sys.executable} -m tests.e2e.see_room {invite['server_url']} {invite['token']} {room['user_id']} camera"
    seen = json.loads(await shell(lan.there, look))
    assert seen["width"] >= 320

    await shell(lan.there, demo.command_for("leave demo"))
    assert json.loads(await shell(lan.there, demo.command_for("--json rooms"))).get("rooms", []) == []


async def test_a_stranger_is_refused(lan: Lan, demo: Demo) -> None:
    """Neither another token nor a look-alike server is taken."""
    command = demo.command()
    token = command.split()[0].removeprefix("RTCAGENT_TOKEN=")
    status, _, errors = await in_namespace(lan.there, "sh", "-c", command.replace(token, "0" * len(token)))
    assert status != 0
    assert "token" in errors, errors

    fingerprint = command.split("--server-fingerprint ")[1].split()[0]
    kind, _, digits = fingerprint.partition(":")
    other = f"{kind}:{digits[::-1]}"
    status, _, errors = await in_namespace(lan.there, "sh", "-c", command.replace(fingerprint, other))
    assert status != 0
    assert "fingerprint" in errors, errors


async def test_ctrl_c_leaves_no_process(lan: Lan, demo: Demo) -> None:
    demo.process.send_signal(signal.SIGINT)
    async with asyncio.timeout(STOP_S):
        await demo.process.communicate()
    assert demo.process.returncode == 0
    assert ip("netns", "pids", lan.here) == ""
