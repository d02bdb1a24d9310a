"""Runs one command: connects, carries it out, and turns whatever happens into one line and an exit code."""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence

import grpc

from rtcagent_client.errors import RtcAgentError, UntrustedServer
from rtcagent_client.rtcctl import connection, exits, interrupts
from rtcagent_client.rtcctl.arguments import UsageError
from rtcagent_client.rtcctl.parser import parse
from rtcagent_client.rtcctl.screen import Screen


def main(argv: Sequence[str] | None = None) -> int:
    """Run rtcctl with these arguments, else with those of the process. Returns the exit code."""
    try:
        args = parse(None if argv is None else list(argv))
    except SystemExit as end:
        return int(end.code or 0)
    screen = Screen(as_json=args.json)
    try:
        with interrupts.repeated():
            return _run(args, screen)
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has enough; keep the interpreter from failing again when it flushes
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.REACHED
    except (UsageError, ValueError) as error:
        screen.error(str(error))
        return exits.USAGE
    except RtcAgentError as error:
        code = error.code.name
        text = error.message if screen.as_json else _explain(error)
        screen.error(text, code=code, reason=error.reason, metadata=error.metadata, fields=error.fields)
        return exits.UNREACHABLE if _is_unreachable(error) else exits.ERROR
    except OSError as error:
        screen.error(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return exits.USAGE


def _run(args: argparse.Namespace, screen: Screen) -> int:
    if getattr(args, "is_offline", False):
        return int(args.run(args, screen))
    if why := connection.trouble(args):
        screen.error(why, code=grpc.StatusCode.UNAVAILABLE.name)
        return exits.UNREACHABLE
    with connection.connect(args) as client:
        return int(args.run(client, args, screen))


def _is_unreachable(error: RtcAgentError) -> bool:
    return not error.reason and error.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def _explain(error: RtcAgentError) -> str:
    text = error.message
    # what the message does not say already
    text += "".join(f"; {field}: {wrong}" for field, wrong in error.fields.items() if wrong not in text)
    if error.reason and error.reason not in text:
        text = f"{text} ({error.reason})"
    if isinstance(error, UntrustedServer):
        return f"{text} (--ca-file or --server-fingerprint)"
    if error.code is grpc.StatusCode.UNAUTHENTICATED:
        return f"{text} (--token-file, or --cert-file and --key-file)"
    if error.code is grpc.StatusCode.UNAVAILABLE and not error.reason:
        return f"{text}; does it want TLS? (--server-fingerprint or --ca-file)"
    return text
