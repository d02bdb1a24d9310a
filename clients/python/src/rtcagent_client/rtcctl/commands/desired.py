"""get, apply, diff: the desired state as a file."""

import argparse
import difflib
import re
from pathlib import Path

from rtcagent.v1.agent_pb2 import ApplyStateResponse, ObjectChange
from rtcagent.v1.state_pb2 import DesiredState, OrderInfo
from rtcagent.v1.types_pb2 import Outcome

from rtcagent_client import documents
from rtcagent_client.blocking import Client
from rtcagent_client.documents import Document, DocumentError
from rtcagent_client.errors import Aborted, RtcAgentError, describe_cause
from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.arguments import (
    Subparsers,
    UsageError,
    add_order_options,
    command,
    count,
    keep_of,
    order_arguments,
)
from rtcagent_client.rtcctl.commands.orders import COLOURS
from rtcagent_client.rtcctl.render import phrases
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import describe_object, enum_word

_TRIES = 5  # to see one and the same revision twice


def add(subparsers: Subparsers) -> None:
    get = command(
        subparsers, "get", _get, "print the desired state as a file for `rtcctl apply` and /etc/rtcagent/conf.d"
    )
    get.add_argument("-o", "--output", choices=["yaml", "json"], default="yaml", help="default yaml")
    get.add_argument(
        "--orders", action="store_true", help="also the revisions, and who asked for what and for how long"
    )
    _add_only(get)
    apply = command(
        subparsers, "apply", _apply, "replace the lists of the desired state that a file has, all in one step"
    )
    _add_file(apply)
    apply.add_argument("--dry-run", action="store_true", help="check everything and say what would be changed")
    apply.add_argument(
        "--if-revision", metavar="N", type=count, default=0, help="only when the desired state is at this revision"
    )
    add_order_options(apply, default_keep="forever")
    diff = command(subparsers, "diff", _diff, f"show what apply would change; exits with {exits.DIFFERENT} if anything")
    _add_file(diff)
    diff.add_argument("--keep", metavar="HOW", type=keep_of, help="as of apply (default forever)")


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f",
        "--file",
        metavar="FILE",
        required=True,
        help="YAML or JSON as `rtcctl get` prints it; - for standard input",
    )
    _add_only(parser)


def _add_only(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(documents.PARTS)
    parser.add_argument("--only", metavar="LISTS", type=_parts_of, help=f"only these, with commas: {names}")


def _parts_of(text: str) -> list[str]:
    parts = text.split(",")
    for part in parts:
        if part not in documents.PARTS:
            raise argparse.ArgumentTypeError(f"{part!r} is none of {', '.join(documents.PARTS)}")
    return parts


def _read(args: argparse.Namespace) -> Document:
    """The file, with the lists that are to be replaced and no others."""
    name = "standard input" if args.file == "-" else args.file
    try:
        with open(0 if args.file == "-" else Path(args.file), closefd=args.file != "-", encoding="utf-8") as file:
            document = documents.read(file.read(), name)
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is no text: {error}") from error
    if not document.parts:
        raise UsageError(f"{name} has none of the lists {', '.join(documents.PARTS)}")
    for part in args.only or ():
        if part not in document.parts:
            raise UsageError(f"{name} has no {part}")
    for part in set(document.parts) - set(args.only or document.parts):
        document.parts.remove(part)
        document.desired.ClearField(part)  # type: ignore[arg-type]  # one of the lists
    return document


def _get(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    desired = client.get_desired_state()
    write = documents.to_json if args.output == "json" or screen.as_json else documents.to_yaml
    screen.out.write(write(desired, args.only or documents.PARTS, with_orders=args.orders))
    return exits.REACHED


def _apply(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    try:
        document = _read(args)
    except DocumentError as error:
        return _show_problems(error.problems, screen)
    try:
        response = client.apply_state(
            document.desired,
            document.parts,  # type: ignore[arg-type]  # checked
            if_revision=args.if_revision,
            dry_run=args.dry_run,
            check=False,
            **order_arguments(args),
        )
    except RtcAgentError as error:
        return _refused(error, document, screen)
    if screen.as_json:
        screen.document(response)
    else:
        _show_applied(response, screen, dry_run=args.dry_run)
    return exits.of_result(response.result)


def _diff(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    try:
        document = _read(args)
    except DocumentError as error:
        return _show_problems(error.problems, screen)
    try:
        before, response = _rehearse(client, args, document)
    except RtcAgentError as error:
        return _refused(error, document, screen)
    lines = list(
        difflib.unified_diff(
            documents.to_yaml(before).splitlines(),
            documents.to_yaml(response.desired).splitlines(),
            f"the agent, revision {before.revision}",
            document.name,
            lineterm="",
        )
    )
    unseen = [describe_unseen(change, before, response.desired) for change in response.changes]
    lines += [f"# {text}" for text in unseen if text]
    if screen.as_json:
        changes = [{"object": describe_object(change.object), "kind": _word(change)} for change in response.changes]
        screen.document({"changes": changes, "diff": "\n".join(lines)})
    else:
        for line in lines:
            colour = {"+": "green", "-": "red", "@": "dim"}.get(line[:1])
            screen.line(screen.paint(line, colour) if colour else line)
    return exits.DIFFERENT if response.changes else exits.REACHED


def _rehearse(client: Client, args: argparse.Namespace, document: Document) -> tuple[DesiredState, ApplyStateResponse]:
    """The state, and what the file would make of just that state."""
    for left in reversed(range(_TRIES)):
        before = client.get_desired_state()
        try:
            return before, client.apply_state(
                document.desired,
                document.parts,  # type: ignore[arg-type]  # checked
                if_revision=before.revision,
                dry_run=True,
                keep=args.keep,
            )
        except Aborted:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


def describe_unseen(change: ObjectChange, before: DesiredState, after: DesiredState) -> str:
    """A change of what is not in the file: how long the object holds, or its secret."""
    if change.kind != ObjectChange.KIND_CHANGED:
        return ""
    old, new = _find(before, change), _find(after, change)
    if documents.to_tree(old) != documents.to_tree(new):
        return ""
    (old_order,), (new_order,) = _orders(old), _orders(new)
    what = describe_object(change.object)
    if old_order.keep != new_order.keep:
        return f"{what}: holds {phrases.keep(new_order.keep)}, not {phrases.keep(old_order.keep)}"
    return f"{what}: another token or password"


def _find(state: DesiredState, change: ObjectChange) -> DesiredState:
    """The one object, alone in its list."""
    ref, found = change.object, DesiredState()
    match ref.WhichOneof("object"):
        case "room_id":
            found.rooms.extend(each for each in state.rooms if each.config.room_id == ref.room_id)
        case "source_id":
            found.captures.extend(each for each in state.captures if each.source_id == ref.source_id)
        case "stream":
            key = (ref.stream.room_id, ref.stream.source_id)
            found.streams.extend(each for each in state.streams if (each.room_id, each.source_id) == key)
        case "remote_stream":
            one = ref.remote_stream
            found.subscriptions.extend(
                each
                for each in state.subscriptions
                if (each.room_id, each.user_id, each.kind, each.name) == (one.room_id, one.user_id, one.kind, one.name)
            )
        case "slot":
            found.slots.extend(each for each in state.slots if each.slot.name == ref.slot)
    return found


def _orders(state: DesiredState) -> list[OrderInfo]:
    lists = (state.rooms, state.captures, state.streams, state.subscriptions, state.slots)
    return [each.order for one in lists for each in one]


def _show_applied(response: ApplyStateResponse, screen: Screen, *, dry_run: bool) -> None:
    kinds = {change.object.SerializeToString(deterministic=True): change for change in response.changes}
    if dry_run:
        for change in response.changes:
            screen.line(f"{describe_object(change.object)}: would be {_word(change)}")
        if not response.changes:
            screen.line(f"nothing would be changed (revision {response.result.revision})")
        return
    for outcome in response.result.outcomes:
        done = kinds.get(outcome.object.SerializeToString(deterministic=True))
        word = screen.paint(enum_word(Outcome.Kind, outcome.kind), COLOURS.get(outcome.kind, "bold"))
        cause = f": {describe_cause(outcome.cause)}" if outcome.HasField("cause") else ""
        screen.line(f"{describe_object(outcome.object)}: {_word(done) if done else 'unchanged'}: {word}{cause}")
    if not response.result.outcomes:
        screen.line(f"there is nothing to do (revision {response.result.revision})")


def _word(change: ObjectChange) -> str:
    return enum_word(ObjectChange.Kind, change.kind).lower()


def _refused(error: RtcAgentError, document: Document, screen: Screen) -> int:
    """Say where in the file each mistake is; other errors are told as those of every command."""
    fields = {field.removeprefix("desired."): text for field, text in error.fields.items()}
    if screen.as_json or not any(field in document.lines or "[" in field for field in fields):
        raise error
    for field, text in fields.items():
        screen.note(f"{document.where(field)}: {text}")
    if more := re.search(r"; (and \d+ more)$", error.message):  # an answer has room for so many
        screen.note(more[1])
    return exits.ERROR


def _show_problems(problems: list[str], screen: Screen) -> int:
    if screen.as_json:
        screen.error("; ".join(problems))
    else:
        for problem in problems:
            screen.note(problem)
    return exits.USAGE
