"""Options that several commands share, and the forms of their values."""

import argparse
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

from rtcagent.v1.types_pb2 import Keep, StreamKind

from rtcagent_client import keep as keeps
from rtcagent_client.blocking import Client
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import enum_words

Subparsers = Any  # argparse names no public type for it
Run = Callable[[Client, argparse.Namespace, Screen], int]
OfflineRun = Callable[[argparse.Namespace, Screen], int]

KINDS = enum_words(StreamKind)


class UsageError(Exception):
    """Arguments that do not go together."""


class OrderArguments(TypedDict, total=False):
    wait_ms: int | None
    keep: Keep | None
    request_id: str | None


def command(subparsers: Subparsers, name: str, run: Run, summary: str, **options: Any) -> argparse.ArgumentParser:
    """Add a command that `run` carries out."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + ".", allow_abbrev=False, **options
    )
    parser.set_defaults(run=run)
    return parser


def offline_command(subparsers: Subparsers, name: str, run: OfflineRun, summary: str) -> argparse.ArgumentParser:
    """Add a command that `run` carries out, whether there is an agent or not."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + ".", allow_abbrev=False
    )
    parser.set_defaults(run=run, is_offline=True)
    return parser


def add_order_options(parser: argparse.ArgumentParser, *, keep: bool = True, default_keep: str = "this-boot") -> None:
    group = parser.add_argument_group("order")
    group.add_argument(
        "--wait",
        metavar="MS",
        type=count,
        help="how long the agent waits for the outcome (default 5000, at most 60000)",
    )
    group.add_argument("--request-id", metavar="ID", help="makes repeating this very order harmless")
    if keep:
        group.add_argument(
            "--keep",
            metavar="HOW",
            type=keep_of,
            help="how long it holds: forever, this-boot, until:RFC3339 or until-alone:SECONDS "
            f"(default {default_keep})",
        )


def order_arguments(args: argparse.Namespace) -> OrderArguments:
    given = OrderArguments(wait_ms=args.wait, request_id=args.request_id)
    if "keep" in args:
        given["keep"] = args.keep
    return given


def keep_of(text: str) -> Keep:
    """Read a value of --keep."""
    how, _, value = text.partition(":")
    try:
        if text == "forever":
            return keeps.forever()
        if text == "this-boot":
            return keeps.this_boot()
        if how == "until" and value:
            return keeps.until(datetime.fromisoformat(value))
        if how == "until-alone" and value.isdecimal():
            return keeps.until_alone(int(value))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error
    raise argparse.ArgumentTypeError(
        f"{text!r} is none of forever, this-boot, until:2030-01-31T18:00:00Z, until-alone:60"
    )


def count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def read_secret(path: str) -> str:
    """The first line of a file, or of standard input for "-". UsageError: it cannot be read, or is empty."""
    try:
        with open(0 if path == "-" else Path(path), closefd=path != "-", encoding="utf-8") as file:
            secret = file.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if not secret:
        raise UsageError(f"{path} is empty")
    return secret
