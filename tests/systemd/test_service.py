"""The package under systemd as PID 1: installed without a network, and everything that may befall a service after that.

The tests share one container and run in this order; each leaves the service running and in its room.
"""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.systemd.container import PACKAGES, Container

pytestmark = pytest.mark.timeout(180, func_only=True)  # building the packages and the disk has deadlines of its own

PATIENCE_S = 40  # on a loaded machine; what is waited for takes a second or two
DAEMON, ENGINE = "rtcagentd.service", "rtcagent-engine.service"
CONFIG = "/etc/rtcagent/rtcagent.toml"
JOINED = "in room demo, publishing camera"
KIOSK = 1500


@pytest.fixture(scope="module")
def machine(container: Container, packages: list[Path]) -> Container:
    """The container with the first package, told for ever to publish a test picture in a room of its own server."""
    container.run("dpkg", "-i", f"{PACKAGES}/{packages[0].name}")
    config = container.run("cat", CONFIG)
    container.write(CONFIG, config.replace("#[embedded_server]", "[embedded_server]").replace("#binary =", "binary ="))
    container.run("systemctl", "restart", DAEMON)
    for order in (["camera", "on", "--test-pattern"], ["join", "demo"], ["publish", "demo"]):
        container.run("rtcctl", "--timeout", "30", *order, "--keep", "forever")
    return container


def until(what: str, is_so: Callable[[], Any]) -> Any:
    """Wait for what `is_so` gives, once it is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not (result := is_so()):
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.05)
    return result


def show(machine: Container, unit: str, name: str) -> str:
    return machine.run("systemctl", "show", "--value", f"--property={name}", unit)


def pid(machine: Container, unit: str) -> int:
    return int(show(machine, unit, "MainPID"))


def send(machine: Container, signal: str, to: int) -> None:
    assert to > 1, "it does not run"
    machine.run("kill", f"-{signal}", str(to))


def state(machine: Container) -> Any:
    """What the API says; None while it does not answer."""
    answer = machine.run("rtcctl", "--timeout", "5", "--json", "state", check=False)
    return json.loads(answer) if answer.startswith("{") else None


def until_in_room(machine: Container) -> None:
    until("the agent is in its room, publishing", lambda: JOINED in show(machine, DAEMON, "StatusText"))


def log_of(machine: Container, text: str) -> list[dict[str, Any]]:
    """The journal's entries of both units that contain `text`."""
    machine.run("journalctl", "--sync")
    lines = machine.run("journalctl", "-o", "json", "-u", DAEMON, "-u", ENGINE).splitlines()
    return [entry for entry in map(json.loads, lines) if text in str(entry.get("MESSAGE"))]


def test_it_runs_once_it_is_installed(machine: Container) -> None:
    """With no network at all: two units, two users, and nobody else at their sockets."""
    assert show(machine, DAEMON, "ActiveState") == "active"
    assert machine.run("ps", "-o", "user:20=", "-p", str(pid(machine, DAEMON))) == "rtcagent"
    assert machine.run("ps", "-o", "user:20=", "-p", str(pid(machine, ENGINE))) == "rtcagent-engine"
    assert machine.run("stat", "-c", "%U:%G %a", "/run/rtcagent-engine") == "rtcagent-engine:rtcagent-engine 750"
    assert machine.run("stat", "-c", "%U:%G %a", "/run/rtcagent/control.sock") == "rtcagent:rtcagent 660"
    assert machine.run("stat", "-c", "%U:%G %a", "/var/lib/rtcagent") == "rtcagent:rtcagent 700"
    assert machine.run("systemctl", "is-enabled", DAEMON) == "enabled"
    until_in_room(machine)


def test_ready_means_that_the_first_reconcile_was_made(machine: Container) -> None:
    machine.run("systemctl", "restart", DAEMON)  # returns with READY
    status = state(machine)["reported"]
    assert status["engine"]["state"] == "ENGINE_STATE_RUNNING"
    assert status["rooms"][0]["state"] in ("ROOM_STATE_JOINING", "ROOM_STATE_JOINED")
    until_in_room(machine)


def test_hardening(machine: Container, record_property: Callable[[str, object], None]) -> None:
    for unit, limit in ((DAEMON, 2.0), (ENGINE, 2.5)):
        report = machine.run("systemd-analyze", "security", "--no-pager", unit)
        found = re.search(r"Overall exposure level.*: ([0-9.]+)", report)
        assert found is not None
        record_property(unit, found[1])
        assert float(found[1]) <= limit, report


def test_the_daemon_manages_its_engine_and_nothing_else(machine: Container) -> None:
    for command in (["restart", "dbus.service"], ["stop", "rtcagentd.service"], ["daemon-reload"], ["reboot"]):
        with pytest.raises(RuntimeError, match=r"[Aa]uthentication|[Aa]ccess denied|Permission"):
            machine.run("runuser", "-u", "rtcagent", "--", "systemctl", "--no-ask-password", *command)
    machine.run("runuser", "-u", "rtcagent", "--", "systemctl", "--no-ask-password", "start", ENGINE)
    until_in_room(machine)


def test_the_engine_writes_recordings_that_the_daemon_fetches_and_deletes(machine: Container) -> None:
    """Two users, one folder: nobody else comes in."""
    folder = "/var/lib/rtcagent-engine/recordings"
    assert machine.run("stat", "-c", "%U:%G %a", folder) == "rtcagent-engine:rtcagent-engine 770"
    machine.run("rtcctl", "record", "start", "shift", "--wait", "20000")
    until("it is in a file", lambda: "shift-0001.mkv" in machine.run("ls", f"{folder}/shift"))
    machine.run("rtcctl", "record", "stop", "shift", "--wait", "20000")
    machine.run("rtcctl", "record", "get", "shift", "--to", "/tmp")
    assert machine.run("stat", "-c", "%U %s", f"{folder}/shift/shift-0001.mkv") == (
        f"rtcagent-engine {machine.run('stat', '-c', '%s', '/tmp/shift-0001.mkv')}"
    )
    assert machine.run("rtcctl", "record", "delete", "shift") == "deleted: shift-0001.mkv"
    assert machine.run("ls", folder) == ""


def test_status_and_journal_tell_what_is_waited_for(machine: Container) -> None:
    """The status in words; the journal with priority, place in the code, and what the record is about."""
    camera = ["--source", "front", "--rtsp", "rtsp://127.0.0.1:9/front"]
    machine.run("rtcctl", "camera", "on", *camera, "--wait", "0", check=False)
    text = until("the status tells of the camera", lambda: _if("front", show(machine, DAEMON, "StatusText")))
    assert JOINED in text
    assert "capture front: " in text
    (entry, *_) = until("the failure is told", lambda: log_of(machine, "capture front: "))
    machine.run("rtcctl", "camera", "off", "--source", "front")
    until("the status has forgotten the camera", lambda: "front" not in show(machine, DAEMON, "StatusText"))
    assert entry["PRIORITY"] == "6"
    assert entry["CODE_FILE"].endswith("control/steps.py")
    assert entry["CODE_FUNC"]
    assert entry["SYSLOG_IDENTIFIER"] == "rtcagentd"
    assert entry["RTCAGENT_SOURCE"] == "front"
    assert log_of(machine, "attached by generation")[0]["SYSLOG_IDENTIFIER"] == "rtcagent-engine"


def _if(part: str, text: str) -> str:
    return text if part in text else ""


@pytest.mark.parametrize("victim", [DAEMON, ENGINE])
def test_killed_and_back(machine: Container, victim: str, record_property: Callable[[str, object], None]) -> None:
    before = pid(machine, victim)
    killed_at = time.monotonic()
    send(machine, "KILL", before)
    until(f"{victim} runs again", lambda: pid(machine, victim) not in (0, before))
    until("it is in its room again", lambda: _publishes(machine))
    record_property("seconds", round(time.monotonic() - killed_at, 1))
    assert len(machine.run("pgrep", "-f", "rtcagentd.engine.main").split()) == 1


def _publishes(machine: Container) -> bool:
    now = state(machine)
    rooms = now["reported"].get("rooms", []) if now else []
    sent = [item.get("state") for room in rooms if room["room_id"] == "demo" for item in room.get("publications", [])]
    return sent == ["PUBLICATION_STATE_PUBLISHED"] and now["reported"]["engine"]["state"] == "ENGINE_STATE_RUNNING"


def test_a_stopped_engine_is_replaced(machine: Container) -> None:
    before = pid(machine, ENGINE)
    send(machine, "STOP", before)
    until("another engine runs", lambda: pid(machine, ENGINE) not in (0, before))
    until("it is in its room again", lambda: _publishes(machine))


def test_a_hung_daemon_is_replaced_by_the_watchdog(machine: Container) -> None:
    machine.write(f"/run/systemd/system/{DAEMON}.d/quick.conf", "[Service]\nWatchdogSec=3\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", DAEMON)
    until_in_room(machine)
    before, engine_before = pid(machine, DAEMON), pid(machine, ENGINE)
    time.sleep(4)  # it is fed meanwhile: this one does wait for time to pass
    assert pid(machine, DAEMON) == before
    send(machine, "STOP", before)
    until("another daemon runs", lambda: pid(machine, DAEMON) not in (0, before))
    until("the old engine is gone", lambda: pid(machine, ENGINE) not in (0, engine_before))
    assert "Watchdog timeout" in machine.run("journalctl", "-u", DAEMON, "--no-pager")
    until_in_room(machine)
    machine.run("rm", "-r", f"/run/systemd/system/{DAEMON}.d")
    machine.run("systemctl", "daemon-reload")


def test_reload(machine: Container) -> None:
    """SIGHUP applies what can change live, tells what has to wait, and a broken file changes nothing."""
    before = pid(machine, DAEMON)
    good = machine.run("cat", CONFIG)
    changed = good.replace('#log_level = "info"', 'log_level = "debug"')
    changed = changed.replace("#[journal]", "[journal]\nmax_events = 5000").replace("#port = 7880", "port = 7980")
    machine.write(CONFIG, changed)
    machine.run("systemctl", "reload", DAEMON)
    (told,) = until("the reload is told", lambda: log_of(machine, "configuration reloaded"))
    assert "log_level" in told["MESSAGE"]
    assert "journal.max_events" in told["MESSAGE"]
    (waits,) = log_of(machine, "hold from the next start")
    assert waits["MESSAGE"].endswith(": embedded_server.port")
    assert waits["PRIORITY"] == "4"
    machine.write(CONFIG, "this is no TOML")
    machine.run("systemctl", "reload", DAEMON)
    (refused,) = until("the refusal is told", lambda: log_of(machine, "the old one holds on"))
    assert "is not TOML" in refused["MESSAGE"]
    machine.write(CONFIG, good)
    machine.run("systemctl", "reload", DAEMON)
    until("the second reload is told", lambda: len(log_of(machine, "configuration reloaded")) == 2)
    assert pid(machine, DAEMON) == before
    assert show(machine, DAEMON, "ActiveState") == "active"
    until_in_room(machine)


def test_stops_in_time_and_leaves_nothing(machine: Container, record_property: Callable[[str, object], None]) -> None:
    began = time.monotonic()
    machine.run("systemctl", "stop", DAEMON)
    record_property("seconds", round(time.monotonic() - began, 1))
    assert time.monotonic() - began < 10
    assert show(machine, DAEMON, "Result") == "success"
    assert show(machine, ENGINE, "ActiveState") == "inactive"
    assert machine.run("pgrep", "-u", "rtcagent,rtcagent-engine", check=False) == ""
    machine.run("systemctl", "start", DAEMON)
    until_in_room(machine)


def test_joins_at_boot(machine: Container, record_property: Callable[[str, object], None]) -> None:
    """After everything was killed at once, by what was ordered for ever."""
    began = time.monotonic()
    machine.cut_power()
    until("the agent is in its room", lambda: _publishes(machine))
    record_property("seconds", round(time.monotonic() - began, 1))
    assert state(machine)["desired"]["rooms"][0]["order"]["keep"] == {"kind": "KIND_FOREVER"}


def test_the_engine_in_a_desktop_session(machine: Container) -> None:
    """The machine's daemon with an engine in a user's session: a hang, a logout, a login, and who may come in."""
    _open_session(machine)
    config = machine.run("cat", CONFIG)
    unit = f"rtcagent-session-engine@{KIOSK}.service"
    machine.write(CONFIG, config.replace('#unit = "rtcagent-engine.service"', f'unit = "{unit}"'))
    machine.run("systemctl", "restart", DAEMON)
    until_in_room(machine)
    assert machine.run("ps", "-o", "user:20=", "-p", _engine_pid(machine)) == "kiosk"
    assert machine.run("stat", "-c", "%U:%G %a", "/run/rtcagent-engine") == "kiosk:rtcagent-engine 750"
    assert pid(machine, ENGINE) == 0

    before = _engine_pid(machine)
    send(machine, "STOP", int(before))
    until("another engine runs", lambda: _engine_pid(machine) not in ("", before))
    until("it is in its room again", lambda: _publishes(machine))

    in_session(machine, "stop", "compositor.service")  # as at a logout, or its crash
    until("the engine is gone", lambda: not _engine_pid(machine))
    assert state(machine)["reported"]["engine"]["state"] != "ENGINE_STATE_RUNNING"
    in_session(machine, "start", "compositor.service")
    until("it is in its room again", lambda: _publishes(machine))

    machine.write(CONFIG, config)
    machine.run("systemctl", "restart", DAEMON)
    until_in_room(machine)
    assert machine.run("ps", "-o", "user:20=", "-p", _engine_pid(machine)) == "rtcagent-engine"


def test_an_agent_of_a_desktop_session(machine: Container) -> None:
    """The user's own unit: daemon and engine are the user's, with folders of the user's."""
    _open_session(machine)
    machine.run(
        *as_kiosk(
            "install",
            "-D",
            "/usr/share/rtcagent/rtcagent.toml",
            "/home/kiosk/.config/rtcagent/rtcagent.toml",
        )
    )
    in_session(machine, "start", DAEMON)
    shown = machine.run(*as_kiosk("rtcctl", "--json", "agent"))
    assert shown.startswith("{")
    assert "active" in in_session(machine, "is-active", DAEMON)
    assert len(machine.run("pgrep", "-u", "kiosk", "-f", "rtcagentd").split()) == 2
    in_session(machine, "stop", DAEMON)
    assert machine.run("pgrep", "-u", "kiosk", "-f", "rtcagentd", check=False) == ""


def _open_session(machine: Container) -> None:
    """A user with a session that has a compositor, or what stands for one."""
    if not machine.run("getent", "passwd", "kiosk", check=False):
        machine.run("useradd", "--create-home", "--uid", str(KIOSK), "kiosk")
        machine.run("loginctl", "enable-linger", "kiosk")
        machine.write(
            "/etc/systemd/user/compositor.service",
            "[Unit]\nBindsTo=graphical-session.target\nBefore=graphical-session.target\n"
            "[Service]\nExecStart=sleep infinity\n",
        )
    until("the user's systemd runs", lambda: show(machine, f"user@{KIOSK}.service", "ActiveState") == "active")
    in_session(machine, "daemon-reload")
    in_session(machine, "start", "compositor.service")


def as_kiosk(*command: str) -> list[str]:
    return ["runuser", "-u", "kiosk", "--", "env", "HOME=/home/kiosk", f"XDG_RUNTIME_DIR=/run/user/{KIOSK}", *command]


def in_session(machine: Container, *command: str) -> str:
    return machine.run(*as_kiosk("systemctl", "--user", *command))


def _engine_pid(machine: Container) -> str:
    return machine.run("pgrep", "-f", "rtcagentd.engine.main", check=False)


def test_upgrade(machine: Container, packages: list[Path], record_property: Callable[[str, object], None]) -> None:
    """The old version runs on from its own files until the new one is set up; state and orders stay."""
    old_release = machine.run("readlink", "-f", "/usr/lib/rtcagent/current")
    log_id = state(machine)["position"]["log_id"]
    machine.run("rtcctl", "drain", "--timeout", "10")
    before = pid(machine, DAEMON)
    machine.run("dpkg", "--unpack", f"{PACKAGES}/{packages[1].name}")
    machine.run("test", "-e", f"{old_release}/bin/rtcagentd")
    send(machine, "KILL", pid(machine, ENGINE))  # at the worst moment
    until("the old version starts another engine", lambda: _publishes(machine))
    assert pid(machine, DAEMON) == before
    began = time.monotonic()
    machine.run("dpkg", "--configure", "rtcagent")
    until("the new version is in its room", lambda: pid(machine, DAEMON) != before and _publishes(machine))
    record_property("seconds", round(time.monotonic() - began, 1))
    assert packages[1].name.split("_")[1] in machine.run("readlink", "/usr/lib/rtcagent/current")
    assert machine.run("ls", "/usr/lib/rtcagent/running").split() == [
        Path(machine.run("readlink", "/usr/lib/rtcagent/current")).name
    ]
    assert state(machine)["position"]["log_id"] == log_id


def test_removal_and_purge(machine: Container) -> None:
    machine.run("dpkg", "--remove", "rtcagent")
    assert machine.run("pgrep", "-f", "rtcagent", check=False) == ""
    assert machine.run("ls", "/usr/lib/rtcagent", check=False) == ""
    machine.run("test", "-e", "/var/lib/rtcagent/rtcagent.db")
    machine.run("test", "-e", CONFIG)
    machine.run("dpkg", "--purge", "rtcagent")
    left = machine.run("find", "/etc", "/usr", "/var/lib", "/var/cache", "/lib/systemd", "-iname", "*rtcagent*")
    assert [line for line in left.splitlines() if not line.startswith("/var/lib/dpkg/")] == []
    for kind in ("passwd", "group"):
        assert "rtcagent" not in machine.run("getent", kind)
