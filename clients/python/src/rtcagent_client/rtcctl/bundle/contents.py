"""Collects what goes into a bundle. A part that cannot be had is told of in missing.txt, and the others are packed."""

import io
import json
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from rtcagent.v1.event_pb2 import Event

from rtcagent_client.blocking import Client
from rtcagent_client.errors import RtcAgentError
from rtcagent_client.rtcctl.bundle.redact import redactor
from rtcagent_client.rtcctl.commands.why import MEASURE_S, chains_of
from rtcagent_client.rtcctl.doctor import DoctorMissing, examine
from rtcagent_client.rtcctl.render.events import event_line
from rtcagent_client.rtcctl.render.state import show_state
from rtcagent_client.rtcctl.screen import Screen, to_dict
from rtcagent_client.rtcctl.why.chain import Reader
from rtcagent_client.rtcctl.why.history import replay, since
from rtcagent_client.rtcctl.why.show import show_chain

LOG_BYTES = 8 << 20  # of each log file, its end
LOG_LINES = 20_000
COMMAND_S = 30
UNITS = ("rtcagentd", "rtcagent-engine")
SESSION_ENGINE = "rtcagent-session-engine"  # a user's unit; only where the engine runs in a desktop session

README = """\
What rtcctl bundle packed about one rtcagent. Tokens, keys, passwords and the credentials in addresses were removed;
names of rooms, users and devices, and addresses, are in it.

agent.json     what the agent is          state.json, state.txt   asked for beside what is so
desired.json   what was asked for         events.jsonl, .txt      what happened
stats.json     frames, a second apart     why.txt                 the first broken link of everything that is asked for
doctor.txt     the machine                log-*.txt               the end of the logs
versions.json  of the programs            missing.txt             what could not be packed, and why
"""


@dataclass
class Contents:
    """The files of a bundle, by name."""

    redact: Callable[[str], str]
    files: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def put(self, name: str, text: str) -> None:
        self.files[name] = self.redact(text)

    def lack(self, what: str, why: object) -> None:
        self.missing.append(f"{what}: {why}")


def collect(
    client: Client | None,
    why_no_client: str,
    *,
    known_secrets: list[str],
    count: int,
    after: datetime | None,
    logs: list[Path],
    doctor_arguments: list[str],
) -> dict[str, str]:
    """Every file of the bundle. `after`: only events since then; `logs`: files beside the journal of the units."""
    contents = Contents(redactor(known_secrets))
    contents.put("README.txt", README)
    _versions(contents)
    if client is None:
        contents.lack("everything of the agent itself", why_no_client)
    else:
        for name, part in (("agent", _agent), ("stats", _stats), ("events", _events), ("why", _why)):
            try:
                part(contents, client, count, after)
            except RtcAgentError as error:
                contents.lack(name, error.message)
    _doctor(contents, doctor_arguments)
    _logs(contents, logs, after)
    contents.put("missing.txt", "".join(f"{line}\n" for line in contents.missing) or "nothing\n")
    return contents.files


def _versions(contents: Contents) -> None:
    release = {}
    try:
        release = platform.freedesktop_os_release()
    except OSError as error:
        contents.lack("the name of the operating system", error)
    document = {
        "packed_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rtcctl": metadata.version("rtcagent-client"),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "system": release.get("PRETTY_NAME", ""),
        "grpc": metadata.version("grpcio"),
        "protobuf": metadata.version("protobuf"),
    }
    contents.put("versions.json", _json(document))


def _agent(contents: Contents, client: Client, count: int, after: datetime | None) -> None:
    agent, state = client.get_agent(), client.get_state()
    contents.put("agent.json", _json(to_dict(agent)))
    contents.put("state.json", _json(to_dict(state)))
    contents.put("desired.json", _json(to_dict(state.desired)))
    screen = Screen(as_json=False, out=io.StringIO())
    show_state(state, agent, screen)
    contents.put("state.txt", _written(screen))


def _stats(contents: Contents, client: Client, count: int, after: datetime | None) -> None:
    first = to_dict(client.get_capture_stats())
    time.sleep(MEASURE_S)
    contents.put("stats.json", _json({"first": first, "a_second_later": to_dict(client.get_capture_stats())}))


def _events(contents: Contents, client: Client, count: int, after: datetime | None) -> None:
    screen = Screen(as_json=False, out=io.StringIO())
    lines = []
    for event in replay(client, client.get_state().position, count):
        if after is None or _time(event) >= after:
            lines.append(json.dumps(to_dict(event), ensure_ascii=False))
            screen.line(f"{_time(event):%Y-%m-%d} {event_line(event, screen)}")
    contents.put("events.jsonl", "".join(f"{line}\n" for line in lines))
    contents.put("events.txt", _written(screen))


def _why(contents: Contents, client: Client, count: int, after: datetime | None) -> None:
    first = client.get_capture_stats()
    time.sleep(MEASURE_S)
    later, state = client.get_capture_stats(), client.get_state()
    screen = Screen(as_json=False, out=io.StringIO())
    for chain in chains_of(Reader(state, first, later), None, None):
        show_chain(chain, since(client, state.position, chain, chain.broken) if chain.broken else None, screen)
        screen.line()
    contents.put("why.txt", _written(screen))


def _doctor(contents: Contents, arguments: list[str]) -> None:
    try:
        contents.put("doctor.txt", examine(arguments, timeout_s=COMMAND_S * 4).stdout)
    except (DoctorMissing, OSError, subprocess.TimeoutExpired) as error:
        contents.lack("doctor.txt", error)


def _logs(contents: Contents, logs: list[Path], after: datetime | None) -> None:
    for path in logs:
        try:
            with open(path, "rb") as file:
                file.seek(max(0, file.seek(0, io.SEEK_END) - LOG_BYTES))
                contents.put(f"log-{path.name}.txt", file.read().decode(errors="replace"))
        except OSError as error:
            contents.lack(f"log {path}", error.strerror)
    if shutil.which("journalctl") is None:
        contents.lack("the units' logs", "there is no journalctl")
        return
    command = ["journalctl", "--no-pager", "--output=short-iso-precise", f"--lines={LOG_LINES}"]
    command += [f"--since=@{int(after.timestamp())}"] if after is not None else []
    matches = {unit: f"--unit={unit}" for unit in UNITS}
    matches[SESSION_ENGINE] = "_SYSTEMD_USER_UNIT=rtcagent-engine.service"
    for unit, match in matches.items():
        try:
            said = subprocess.run([*command, match], capture_output=True, text=True, timeout=COMMAND_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            contents.lack(f"the log of {unit}", error)
            continue
        if said.returncode == 0 and len(said.stdout.splitlines()) > 1:
            contents.put(f"log-{unit}.txt", said.stdout)
        elif unit != SESSION_ENGINE:
            contents.lack(f"the log of {unit}", said.stderr.strip() or said.stdout.strip() or "it is empty")


def _time(event: Event) -> datetime:
    return datetime.fromtimestamp(event.at.ToNanoseconds() / 1e9, UTC)


def _json(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _written(screen: Screen) -> str:
    assert isinstance(screen.out, io.StringIO)
    return screen.out.getvalue()
