"""doctor and bundle: what is wrong with the machine, and everything about a fault in one file."""

import argparse
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rtcagent_client.errors import RtcAgentError
from rtcagent_client.rtcctl import connection, doctor, exits
from rtcagent_client.rtcctl.arguments import Subparsers, count, offline_command, read_secret
from rtcagent_client.rtcctl.bundle import archive
from rtcagent_client.rtcctl.bundle.contents import collect
from rtcagent_client.rtcctl.screen import Screen

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def add(subparsers: Subparsers) -> None:
    examined = offline_command(subparsers, "doctor", _doctor, "look at this machine and say what is wrong with it")
    _add_config(examined)
    bundle = offline_command(
        subparsers, "bundle", _bundle, "pack state, events, logs and statistics for support, without secrets"
    )
    bundle.add_argument("out", metavar="FILE", type=Path, help="*.tar.zst or *.tar.gz")
    bundle.add_argument("--events", metavar="N", type=count, default=5000, help="the last N events (default 5000)")
    bundle.add_argument("--since", metavar="TIME", type=_time, help="only what happened since: 2h, 30m, or RFC 3339")
    bundle.add_argument(
        "--log", metavar="FILE", type=Path, action="append", default=[], help="a log file to pack too (its last 8 MB)"
    )
    _add_config(bundle)


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="the daemon's configuration, for the doctor")


def _doctor_arguments(args: argparse.Namespace) -> list[str]:
    arguments = ["--config", args.config] if args.config else []
    return [*arguments, "--address", args.address] if args.address else arguments


def _doctor(args: argparse.Namespace, screen: Screen) -> int:
    try:
        return doctor.run([*_doctor_arguments(args), *(["--json"] if screen.as_json else [])])
    except doctor.DoctorMissing as error:
        screen.error(str(error))
        return exits.ERROR


def _bundle(args: argparse.Namespace, screen: Screen) -> int:
    archive.check(args.out)
    secrets = [os.environ.get("RTCAGENT_TOKEN", "")]
    if args.token_file:
        secrets.append(read_secret(args.token_file))
    known = {
        "known_secrets": secrets,
        "count": args.events,
        "after": args.since,
        "logs": args.log,
        "doctor_arguments": _doctor_arguments(args),
    }
    why = connection.trouble(args)
    if why:
        files = collect(None, why, **known)
    else:
        try:
            with connection.connect(args) as client:
                files = collect(client, "", **known)
        except RtcAgentError as error:
            why = error.message
            files = collect(None, why, **known)
    name = args.out.name
    for form in archive.FORMS:
        name = name.removesuffix(form)
    archive.write(args.out, name, files)
    _report(args.out, files, why, screen)
    return exits.REACHED


def _report(out: Path, files: dict[str, str], why: str, screen: Screen) -> None:
    if why:
        screen.note(f"packed without the agent: {why}")
    if screen.as_json:
        sizes = {name: len(text.encode()) for name, text in files.items()}
        screen.document({"file": str(out), "bytes": out.stat().st_size, "files": sizes})
        return
    screen.line(f"{out}: {out.stat().st_size} bytes")
    screen.table([(name, f"{len(text.encode()):>9}") for name, text in files.items()], indent="  ")
    screen.line("Tokens, keys and passwords were removed; names of rooms, users and devices are in it.")


def _time(text: str) -> datetime:
    if found := re.fullmatch(r"(\d+)([smhd])", text):
        return datetime.now(UTC) - timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is none of 30m, 2h, 2030-01-31T18:00:00Z") from None
    if time.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} lacks its time zone: 2030-01-31T18:00:00Z")
    return time
