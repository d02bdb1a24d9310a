"""The command line: all commands, and the options that every one of them takes."""

import argparse
from typing import Any, NoReturn

from rtcagent_client.address import ADDRESS_VARIABLE, SYSTEM_SOCKET
from rtcagent_client.rtcctl import completion, exits
from rtcagent_client.rtcctl.commands import (
    agent,
    canvases,
    capture,
    desired,
    devices,
    drain,
    messages,
    mic,
    recordings,
    rooms,
    screens,
    sound,
    statistics,
    support,
    video,
    watch,
    why,
)

GLOBAL_DEFAULTS: dict[str, Any] = {
    "address": None,
    "token_file": None,
    "ca_file": None,
    "cert_file": None,
    "key_file": None,
    "server_fingerprint": None,
    "timeout": None,
    "json": False,
}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line; the whole usage is shown by --help."""

    def error(self, message: str) -> NoReturn:
        self.exit(exits.USAGE, f"rtcctl: {message} (see {self.prog} --help)\n")


def build() -> argparse.ArgumentParser:
    """The parser of rtcctl."""
    parser = _Parser(
        prog="rtcctl",
        description="Controls an rtcagent: its rooms, sources, streams and devices.",
        epilog=exits.HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (
        *(
            agent,
            desired,
            rooms,
            messages,
            statistics,
            capture,
            video,
            mic,
            sound,
            screens,
            devices,
            canvases,
            recordings,
        ),
        *(watch, why, drain, support, completion),
    ):
        module.add(subparsers)
    add_global_options(parser)
    return parser


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line; ends the process with 2 (usage) or 0 (--help)."""
    return build().parse_args(argv, argparse.Namespace(**GLOBAL_DEFAULTS))


def add_global_options(parser: argparse.ArgumentParser) -> None:
    """Add them here and to every command, so that they may stand before and after its name."""
    group = parser.add_argument_group("agent and output")

    def option(flag: str, metavar: str | None = None, **options: Any) -> None:
        if metavar is not None:
            options["metavar"] = metavar
        # without a default of its own a command's option does not undo what stood before the command
        group.add_argument(flag, default=argparse.SUPPRESS, **options)

    option(
        "--address",
        "ADDRESS",
        help=f"unix:/path/control.sock or host:port (default ${ADDRESS_VARIABLE}, else this session's or machine's "
        f"agent: unix:{SYSTEM_SOCKET})",
    )
    option(
        "--token-file", "FILE", help="the token that the agent wants, or - for standard input (default $RTCAGENT_TOKEN)"
    )
    option("--ca-file", "FILE", help="speak TLS and trust this certificate authority (PEM)")
    option("--server-fingerprint", "sha256:HEX", help="speak TLS and trust just the certificate with this fingerprint")
    option("--cert-file", "FILE", help="client certificate (PEM)")
    option("--key-file", "FILE", help="its key (PEM)")
    option("--timeout", "S", type=_seconds, help="give up after so many seconds; watch: end after them")
    option("--json", action="store_true", help="print JSON instead of text")
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                add_global_options(child)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds
