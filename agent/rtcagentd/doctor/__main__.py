"""rtcagentd-doctor: looks at this machine and says what is wrong, and what to do. Needs no running daemon."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rtcagentd import __version__
from rtcagentd.config import Config
from rtcagentd.doctor import configuration, daemon, media, network, ports, storage, token_endpoint
from rtcagentd.doctor.findings import Finding, Level, problem
from rtcagentd.doctor.processes import Processes, look

DEFAULT_CONFIG = Path("/etc/rtcagent/rtcagent.toml")
_MARKS = {Level.OK: "ok", Level.NOTE: "NOTE", Level.PROBLEM: "PROBLEM"}


def examine(config_path: Path, address: str | None) -> Iterator[Finding]:
    """Every finding, in the order in which they matter to each other."""
    config, found = configuration.read(config_path)
    yield from found
    processes = look(config)
    yield from _guarded("configuration", lambda: configuration.check(config, processes))
    for name, part in _PARTS.items():
        yield from _guarded(name, lambda part=part: part(config, processes))  # type: ignore[misc]
    yield from _guarded("daemon", lambda: daemon.check(config, processes, address))


_PARTS: dict[str, Callable[[Config, Processes], Iterator[Finding]]] = {
    "state folder": storage.check,
    "ports": ports.check,
    "media": lambda config, processes: media.check(processes),
    "network": network.check,
    "token endpoint": token_endpoint.check,
}


def _guarded(name: str, part: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """One part that cannot do its work leaves the others theirs."""
    try:
        yield from part()
    except Exception as error:
        yield problem(name, f"this could not be looked at: {type(error).__name__}: {error}", "run this as root")


def main() -> None:
    """The console script. Exit code 1 when there is a problem."""
    parser = argparse.ArgumentParser(
        prog="rtcagentd-doctor", description="Looks at this machine and says what is wrong, and what to do."
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help=f"default {DEFAULT_CONFIG}")
    parser.add_argument("--address", help="where the daemon listens (default: as the configuration says)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--version", action="version", version=f"rtcagentd-doctor {__version__}")
    arguments = parser.parse_args()
    try:
        status = _run(arguments.config, arguments.address, as_json=arguments.json)
    except BrokenPipeError:  # whoever read our output has enough; keep the interpreter from failing when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


def _run(config: Path, address: str | None, *, as_json: bool) -> int:
    findings = []
    for finding in examine(config, address):
        findings.append(finding)
        if not as_json:
            _show(finding)
    problems = sum(each.level is Level.PROBLEM for each in findings)
    if as_json:
        print(json.dumps({"findings": [_document(each) for each in findings], "problems": problems}, indent=2))
    else:
        notes = sum(each.level is Level.NOTE for each in findings)
        print(f"\n{problems} problem{'' if problems == 1 else 's'}, {notes} note{'' if notes == 1 else 's'}")
    return 1 if problems else 0


def _show(finding: Finding) -> None:
    print(f"{_MARKS[finding.level]:<8} {finding.about}: {finding.text}", flush=True)
    if finding.advice:
        print(f"{'':<8}   -> {finding.advice}", flush=True)


def _document(finding: Finding) -> dict[str, str]:
    return {"about": finding.about, "level": finding.level.value, "text": finding.text, "advice": finding.advice}


if __name__ == "__main__":
    main()
