"""The embedded room server: its keys, its ports, its death and its end, with the real livekit-server."""

import asyncio
import contextlib
import functools
import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from livekit import api, rtc
from rtcagentd.config import EmbeddedServer, RetrySettings
from rtcagentd.supervise.room_server import RoomServer, RoomServerError

from tests.parts.ports import free_ports
from tests.parts.processes import KnownProcess, command, descendants
from tests.parts.room_server import BINARY
from tests.parts.waiting import Changes, until

RETRY = RetrySettings(first_ms=50, max_ms=200)


def settings(**changes: object) -> EmbeddedServer:
    port, tcp_port, udp_port = free_ports(socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM)
    chosen = {"binary": BINARY, "port": port, "rtc_tcp_port": tcp_port, "rtc_udp_port": udp_port}
    return EmbeddedServer.model_validate({**chosen, **changes})


def listening(pid: int) -> set[tuple[str, str, int]]:
    """(protocol, address, port) of the sockets on which a process may be called."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(entry).removeprefix("socket:[").removesuffix("]"))
    found = set()
    for table, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and fields[3] == state:
                address, _, port = fields[1].partition(":")
                found.add((table, address, int(port, 16)))
    return found


def environment(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[RoomServer]:
    async with RoomServer(settings(), tmp_path / "state", tmp_path / "run", RETRY) as running:
        yield running


async def join(server: RoomServer, user_id: str) -> rtc.Room:
    token = api.AccessToken(server.api_key, server.api_secret).with_identity(user_id)
    token = token.with_grants(api.VideoGrants(room_join=True, room="lobby"))
    room = rtc.Room()
    await asyncio.wait_for(room.connect(server.url, token.to_jwt()), 10)
    return room


async def test_users_join_with_its_keys(server: RoomServer) -> None:
    room = await join(server, "guest")
    try:
        assert room.isconnected()
    finally:
        await room.disconnect()


async def test_keys_are_private_and_kept(server: RoomServer, tmp_path: Path) -> None:
    """The secret is in files of mode 0600 alone, and is the same at the next start."""
    key, secret = server.api_key, server.api_secret
    assert len(secret) >= 32
    for path in (tmp_path / "state" / "room-server-keys", tmp_path / "run" / "room-server.yaml"):
        assert secret in path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert server.pid is not None
    assert not any(secret in argument for argument in command(server.pid))
    assert secret not in environment(server.pid)
    assert secret not in repr(server.keys)
    await server.stop()
    await server.start()
    assert (server.api_key, server.api_secret) == (key, secret)


async def test_loopback_means_loopback(server: RoomServer) -> None:
    """No socket of the server can be reached from outside, those for media included."""
    assert server.pid is not None
    sockets = listening(server.pid)
    assert {kind for kind, _, _ in sockets} == {"tcp", "udp"}
    assert {address for _, address, _ in sockets} == {"0100007F"}
    assert server.advertised_url == server.url


async def test_lan_listens_everywhere_and_advertises_its_address(tmp_path: Path) -> None:
    chosen = settings(expose="lan", advertise_ip="127.0.0.1")
    async with RoomServer(chosen, tmp_path, tmp_path, RETRY) as server:
        assert server.pid is not None
        ports = {port for _, address, port in listening(server.pid) if address.strip("0") == ""}
        assert {chosen.port, chosen.rtc_tcp_port} <= ports
        assert server.advertised_url == f"ws://127.0.0.1:{chosen.port}"


@pytest.mark.parametrize(
    ("setting", "kind"),
    [("port", socket.SOCK_STREAM), ("rtc_udp_port", socket.SOCK_DGRAM)],
    ids=["port", "rtc_udp_port"],
)
async def test_a_port_in_use_is_named(setting: str, kind: socket.SocketKind, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        port = other.getsockname()[1]
        server = RoomServer(settings(**{setting: port}), tmp_path, tmp_path, RETRY)
        with pytest.raises(RoomServerError, match=rf"{port} .*in use.*embedded_server\.{setting} "):
            await server.start()
    assert server.pid is None
    await server.start()  # the port is free again: the same object can be started
    await server.stop()


async def test_what_is_no_server_is_told(tmp_path: Path) -> None:
    before = set(descendants(os.getpid()))
    missing = RoomServer(settings(binary=tmp_path / "nothing"), tmp_path, tmp_path, RETRY)
    with pytest.raises(RoomServerError, match="nothing is no program"):
        await missing.start()
    failing = RoomServer(settings(binary="/bin/false"), tmp_path, tmp_path, RETRY)
    with pytest.raises(RoomServerError, match="exit status 1"):
        await failing.start()
    assert set(descendants(os.getpid())) <= before


async def test_it_is_started_again_when_it_dies(tmp_path: Path) -> None:
    """Killed twice: each time its death is told with the reason, and it answers again with the same keys."""
    told: list[tuple[bool, str]] = []
    changes = Changes()

    def told_since(before: int) -> bool:
        return len(told) == before + 2

    def on_change(running: bool, reason: str) -> None:
        told.append((running, reason))
        changes.tell()

    async with RoomServer(settings(), tmp_path, tmp_path, RETRY, on_change) as server:
        for _ in range(2):
            assert server.pid is not None
            before = len(told)
            os.kill(server.pid, signal.SIGKILL)
            await changes.until(functools.partial(told_since, before), timeout_ms=10_000, what="dead and back")
        assert [running for running, _ in told] == [False, True] * 2
        assert "SIGKILL" in told[0][1]
        room = await join(server, "guest")
        await room.disconnect()


async def test_a_server_that_does_not_listen_to_sigterm_is_killed(server: RoomServer) -> None:
    assert server.pid is not None
    process = KnownProcess(server.pid)
    process.signal(signal.SIGSTOP)
    async with asyncio.timeout(4):
        await server.stop()
    assert process.ended()
    process.close()
    await server.stop()


async def test_it_stops_at_once_with_users_in_its_rooms(server: RoomServer) -> None:
    room = await join(server, "guest")
    async with asyncio.timeout(2):
        await server.stop()
    await room.disconnect()


DAEMON = """
import asyncio, sys
from pathlib import Path
from rtcagentd.config import EmbeddedServer
from rtcagentd.supervise.room_server import RoomServer

async def main():
    settings = EmbeddedServer.model_validate_json(sys.argv[1])
    async with RoomServer(settings, Path(sys.argv[2]), Path(sys.argv[2])) as server:
        print(server.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_nothing_is_left_of_a_killed_daemon(tmp_path: Path) -> None:
    """kill -9 of the daemon takes its server with it, and the next daemon starts on the same ports at once."""
    chosen = settings()
    for _ in range(2):
        daemon = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", DAEMON, chosen.model_dump_json(), str(tmp_path)), stdout=asyncio.subprocess.PIPE
        )
        assert daemon.stdout is not None
        server = KnownProcess(int(await asyncio.wait_for(daemon.stdout.readline(), 20)))
        daemon.kill()
        await daemon.wait()
        await until(server.ended, timeout_ms=2_000, what="the room server died with its daemon")
        server.close()
