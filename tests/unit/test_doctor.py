"""The doctor's findings, on machines that are made wrong in one way each."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from rtcagentd.access.certificates import Authority
from rtcagentd.config import Config
from rtcagentd.doctor import __main__ as doctor
from rtcagentd.doctor import configuration, daemon, media, network, ports, processes, storage, token_endpoint, units
from rtcagentd.doctor.findings import Finding, Level
from rtcagentd.doctor.processes import Account, Process, Processes, current, look

from tests.parts.ports import free_tcp_port
from tests.parts.token_endpoint import token_endpoint as endpoint_that_runs

STRANGER = Account("stranger", 4242, frozenset({4242}))


def nobody_runs(who: Account | None = None) -> Processes:
    who = who or current()
    return Processes(None, None, who, who)


def config(tmp_path: Path, **settings: Any) -> Config:
    return Config(state_dir=tmp_path / "state", runtime_dir=tmp_path / "run", **settings)


def levels(findings: Iterable[Finding]) -> dict[str, Level]:
    return {each.about: each.level for each in findings}


def the(findings: Iterable[Finding], about: str) -> Finding:
    found = [each for each in findings if each.about.startswith(about)]
    assert len(found) == 1, found
    return found[0]


def test_a_missing_and_a_wrong_configuration(tmp_path: Path) -> None:
    path = tmp_path / "rtcagent.toml"
    assert the(configuration.read(path)[1], "configuration").level is Level.PROBLEM
    path.write_text("nonsense = 1\n[retry]\nfirst_ms = 0\n")
    wrong = the(configuration.read(path)[1], "configuration")
    assert wrong.level is Level.PROBLEM
    assert "nonsense" in wrong.text
    assert "retry.first_ms" in wrong.text
    path.write_text('name = "kiosk"\n')
    read, findings = configuration.read(path)
    assert read.name == "kiosk"
    assert the(findings, "configuration").level is Level.OK


def test_files_with_secrets_and_certificates(tmp_path: Path) -> None:
    authority = Authority.create("test")
    cert, key, tokens = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "tokens"
    authority.issue_server(["localhost"]).write(cert, key)
    tokens.write_text("")
    tokens.chmod(0o644)
    listener = {"address": "localhost:1", "tls": {"cert": cert, "key": key}, "token_file": tokens}
    found = levels(configuration.check(config(tmp_path, listen=[listener]), nobody_runs()))
    assert found["listener localhost:1: tokens"] is Level.PROBLEM
    assert "listener localhost:1: key" not in found
    assert found["listener localhost:1: certificate"] is Level.OK
    key.unlink()
    cert.write_text("nonsense")
    found = levels(configuration.check(config(tmp_path, listen=[listener]), nobody_runs()))
    assert found["listener localhost:1: key"] is Level.PROBLEM
    assert found["listener localhost:1: certificate"] is Level.PROBLEM


def test_files_that_the_service_may_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of root, and those where a hardened unit sees nothing."""
    secret, clip = tmp_path / "secret", tmp_path / "clips"
    clip.mkdir(mode=0o755)
    secret.touch(mode=0o600)
    settings = {
        "room_server": {"url": "ws://localhost", "api_key": "key", "api_secret_file": secret},
        "media": {"folders": [clip]},
    }
    monkeypatch.setattr(processes, "_may", lambda who, path, access: who is not STRANGER or path not in (secret, clip))
    monkeypatch.setattr(units, "HIDDEN", (tmp_path / "home",))
    assert list(configuration.check(config(tmp_path, **settings), nobody_runs())) == []
    found = list(configuration.check(config(tmp_path, **settings), nobody_runs(STRANGER)))
    assert f"chown stranger {secret}" in the(found, str(secret)).advice
    assert the(found, "media folder").level is Level.PROBLEM
    monkeypatch.setattr(units, "HIDDEN", (tmp_path,))
    found = list(configuration.check(config(tmp_path, **settings, engine={"launcher": "systemd"}), nobody_runs()))
    assert the(found, str(secret)).level is Level.PROBLEM


def test_a_file_is_reached_through_its_folders(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "file"
    file.parent.mkdir(mode=0o755)
    file.touch(mode=0o644)
    assert processes.may_read(STRANGER, Path("/etc/passwd"))
    file.parent.chmod(0o700)
    assert processes.may_read(STRANGER, file) is False
    assert processes.may_read(current(), file)


UNIT_FACTS = {
    "rtcagent-engine.service": "LoadState=loaded\nUser=root\nGroup=root\nSupplementaryGroups=video 4243\n",
    "rtcagentd.service": "LoadState=loaded\nActiveState=activating\nResult=exit-code\nNRestarts=3\nUser=root\nGroup=\n"
    "SupplementaryGroups=\n",
}


def test_what_systemd_says_of_the_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's groups are those of its unit, though none runs; a daemon that fails to start is told of."""
    facts = dict(UNIT_FACTS)

    def run(command: Sequence[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        said = "rtcagentd: listen: no such file\n" if command[0] == "journalctl" else facts.get(command[-1], "")
        return subprocess.CompletedProcess(command, 0, said, "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(units, "BOOTED", tmp_path)
    wanted = config(tmp_path, engine={"launcher": "systemd"})
    found = look(wanted)
    assert 4243 in found.engine_account.gids
    assert found.engine_account.name == "root"
    trouble = the(daemon.check(wanted, found, None), "daemon")
    assert trouble.level is Level.PROBLEM
    assert trouble.text == "rtcagentd fails to start: rtcagentd: listen: no such file"
    facts["rtcagentd.service"] = facts["rtcagentd.service"].replace("activating", "inactive")
    assert the(daemon.check(wanted, found, None), "daemon").level is Level.NOTE


async def test_the_token_endpoint(tmp_path: Path) -> None:
    """A GET tells whether it is there, trusted, and takes our credentials; no token is asked for."""

    async def found(**settings: Any) -> Finding:
        wanted = config(tmp_path, token_endpoint=endpoint.settings(**settings))
        return the(await asyncio.to_thread(lambda: list(token_endpoint.check(wanted, nobody_runs()))), "token endpoint")

    assert list(token_endpoint.check(config(tmp_path), nobody_runs())) == []
    async with endpoint_that_runs(tmp_path, lambda _: pytest.fail("it was asked for a token")) as endpoint:
        answered = await found()
        assert answered.level is Level.OK, answered
        stranger = await found(ca_file=str(endpoint.client_cert))
        assert stranger.level is Level.PROBLEM
        assert "certificate is not trusted" in stranger.text
        endpoint.bearer_file.chmod(0o644)
        assert "chmod 600" in (await found()).text
        endpoint.bearer_file.chmod(0o600)
        assert "bearer_file" in (await found(bearer_file=str(tmp_path / "none"))).text
        await endpoint.stop()
        away = await found()
        assert away.level is Level.PROBLEM
        assert "refused" in away.text
        await endpoint.start(wants_certificate=True)
        refused = await found()
        assert refused.level is Level.PROBLEM
        assert "client_cert" in refused.advice
        shown = {"client_cert": str(endpoint.client_cert), "client_key": str(endpoint.client_key)}
        assert (await found(**shown)).level is Level.OK


@pytest.mark.parametrize(
    ("status", "level"),
    [(405, Level.OK), (401, Level.PROBLEM), (403, Level.NOTE), (302, Level.PROBLEM), (503, Level.NOTE)],
)
def test_what_a_token_endpoint_answers(tmp_path: Path, status: int, level: Level) -> None:
    with FakeRoomServer(status) as fake:
        settings = {"url": fake.url.replace("ws:", "http:") + "/t?secret=x", "insecure": True}
        found = the(token_endpoint.check(config(tmp_path, token_endpoint=settings), nobody_runs()), "token endpoint")
    assert found.level is level
    assert "secret=x" not in found.text


def test_a_socket_path_that_is_too_long(tmp_path: Path) -> None:
    listener = {"address": f"unix:/{'x' * 107}"}
    assert (
        the(configuration.check(config(tmp_path, listen=[listener]), nobody_runs()), "listener").level is Level.PROBLEM
    )


def test_a_state_folder_that_may_not_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = config(tmp_path)
    assert levels(storage.check(wanted, nobody_runs()))["state folder"] is Level.OK, "it will be created"
    wanted.state_dir.mkdir(mode=0o700)
    assert levels(storage.check(wanted, nobody_runs()))["state folder"] is Level.OK
    refused = the(storage.check(wanted, nobody_runs(STRANGER)), "state folder")
    assert refused.level is Level.PROBLEM
    assert "chown -R stranger" in refused.advice
    full = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*full[:3], 0, 0, *full[5:])))
    assert the(storage.check(wanted, nobody_runs()), "disk").level is Level.PROBLEM


def test_ports_that_are_taken(tmp_path: Path) -> None:
    port, free = free_tcp_port(), free_tcp_port()
    listen = [{"address": f"127.0.0.1:{each}", "insecure": True} for each in (port, free)]
    with socket.create_server(("127.0.0.1", port)):
        taken = the(ports.check(config(tmp_path, listen=listen), nobody_runs()), f"TCP port {port}")
        assert taken.level is Level.PROBLEM
        assert f"(pid {os.getpid()})" in taken.text
        ours = Processes(Process(os.getpid(), current()), None, current(), current())
        assert the(ports.check(config(tmp_path, listen=listen), ours), f"TCP port {port}").level is Level.OK
    found = levels(ports.check(config(tmp_path, listen=listen), nobody_runs()))
    assert found == {f"TCP port {each}": Level.OK for each in (port, free)}


def test_cameras_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "DEV", tmp_path)
    assert the(media.check(nobody_runs()), "cameras").level is Level.NOTE
    node = tmp_path / "video0"
    node.touch(mode=0o600)
    assert the(media.check(nobody_runs()), "camera").level is Level.OK
    refused = the(media.check(nobody_runs(STRANGER)), "camera")
    assert refused.level is Level.PROBLEM
    assert "usermod -aG" in refused.advice
    assert "stranger" in refused.advice
    node.chmod(0o660)
    member = Account("stranger", 4242, frozenset({node.stat().st_gid}))
    assert the(media.check(nobody_runs(member)), "camera").level is Level.OK


def test_missing_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        (0, '["1.22", ["v4l2src", "jpegdec"]]', ""),
        (1, "", "x\nImportError: libgstreamer.so"),
        (0, '["1.22", []]', ""),
    ]

    def run(command: list[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        return subprocess.CompletedProcess(command, *answers[0])

    monkeypatch.setattr(subprocess, "run", run)
    for expected in ("v4l2src, jpegdec", "ImportError: libgstreamer.so"):
        found = the(media.check(nobody_runs()), "GStreamer")
        assert found.level is Level.PROBLEM
        assert expected in found.text
        assert "apt-get install" in found.advice
        answers.pop(0)
    assert the(media.check(nobody_runs()), "GStreamer").level is Level.OK


class FakeRoomServer:
    """Answers every request alike, with a clock of its own."""

    def __init__(self, status: int, ahead: timedelta = timedelta()) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.send_response_only(status)
                self.send_header("Date", f"{datetime.now(UTC) + ahead:%a, %d %b %Y %H:%M:%S} GMT")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"ws://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FakeRoomServer":
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.mark.parametrize(
    ("status", "ahead_s", "server", "clock"),
    [
        (200, 0, Level.OK, Level.OK),
        (401, 0, Level.PROBLEM, Level.OK),
        (404, 0, Level.NOTE, Level.OK),
        (200, 3600, Level.OK, Level.PROBLEM),
        (200, -3600, Level.OK, Level.PROBLEM),
        (200, 15, Level.OK, Level.NOTE),
    ],
)
def test_the_room_server_and_its_clock(tmp_path: Path, status: int, ahead_s: int, server: Level, clock: Level) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x" * 40)
    with FakeRoomServer(status, timedelta(seconds=ahead_s)) as fake:
        settings = {"url": fake.url, "api_key": "key", "api_secret_file": secret}
        found = list(network.check(config(tmp_path, room_server=settings), nobody_runs()))
    assert the(found, "room server").level is server
    assert found[-1].about == "clock"
    assert found[-1].level is clock
    assert "x" * 40 not in str(found)


def test_a_room_server_that_is_not_there(tmp_path: Path) -> None:
    settings = {"url": f"ws://127.0.0.1:{free_tcp_port()}"}
    found = the(network.check(config(tmp_path, room_server=settings), nobody_runs()), "room server")
    assert found.level is Level.PROBLEM
    assert "refused" in found.text


def test_one_part_that_fails_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Iterable[Finding]:
        raise RuntimeError("odd")

    path = tmp_path / "a.toml"
    path.write_text(f'state_dir = "{tmp_path}/state"\nruntime_dir = "{tmp_path}/run"\n')
    monkeypatch.setitem(doctor._PARTS, "ports", broken)
    monkeypatch.setitem(doctor._PARTS, "media", lambda config, processes: iter(()))
    found = list(doctor.examine(path, None))
    assert the(found, "ports").text == "this could not be looked at: RuntimeError: odd"
    assert the(found, "daemon").level is Level.NOTE
    assert look(config(tmp_path)).daemon is None
