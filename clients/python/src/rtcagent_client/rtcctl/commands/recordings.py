"""record start, record stop, record list, record get, record delete."""

import argparse

from rtcagent.v1.recordings_pb2 import RecordingFile
from rtcagent.v1.types_pb2 import RecordingContainer

from rtcagent_client import inputs
from rtcagent_client.blocking import Client
from rtcagent_client.downloads import DownloadError
from rtcagent_client.errors import NotFound
from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.arguments import (
    KINDS,
    Subparsers,
    UsageError,
    add_order_options,
    command,
    count,
    order_arguments,
)
from rtcagent_client.rtcctl.commands.orders import show_result
from rtcagent_client.rtcctl.render.recordings import show_recordings
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import enum_value, enum_words


def add(subparsers: Subparsers) -> None:
    record = subparsers.add_parser("record", help="record streams into files", allow_abbrev=False)
    actions = record.add_subparsers(metavar="start|stop|list|get|delete", required=True)
    _add_start(actions)
    stop = command(actions, "stop", _stop, "end a recording; its files stay")
    stop.add_argument("recording", metavar="RECORDING")
    add_order_options(stop, keep=False)
    listing = command(actions, "list", _list, "list recordings and their files")
    listing.add_argument("recordings", metavar="RECORDING", nargs="*", help="default: all")
    get = command(actions, "get", _get, "fetch a recording's files; what broke off is gone on with, and checked")
    get.add_argument("recording", metavar="RECORDING")
    get.add_argument("--file", metavar="NAME", help="one of them (default: all that are not being written)")
    get.add_argument("--to", metavar="FOLDER", default=".", help="default: this one")
    delete = command(actions, "delete", _delete, "delete a recording's files, or one of them")
    delete.add_argument("recording", metavar="RECORDING")
    delete.add_argument("--file", metavar="NAME", default="", help="default: all")


def _add_start(actions: Subparsers) -> None:
    start = command(actions, "start", _start, "record streams, or change what is recorded")
    start.add_argument("recording", metavar="RECORDING", nargs="?", default="", help="default: made of the time")
    what = start.add_argument_group("what (each as often as needed; default: the source camera)")
    what.add_argument("--source", metavar="ID", action="append", default=[], help="a source of the agent's own")
    what.add_argument("--room", metavar="ROOM", action="append", default=[], help="everyone in a room")
    what.add_argument(
        "--stream",
        metavar="ROOM/USER/KIND[/NAME]",
        action="append",
        default=[],
        help=f"another user's stream; KIND: {', '.join(KINDS)}",
    )
    how = start.add_argument_group("how")
    how.add_argument("--container", choices=enum_words(RecordingContainer), help="default mkv")
    how.add_argument("--max-mb", metavar="MB", type=count, default=0, help="end at this size")
    how.add_argument("--max-seconds", metavar="S", type=count, default=0, help="end at this length")
    add_order_options(start)


def _start(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    streams = [inputs.recorded_source(source) for source in args.source]
    for text in args.stream:
        parts = text.split("/", 3)
        if len(parts) < 3 or parts[2] not in KINDS:
            raise UsageError(f"--stream {text}: it is ROOM/USER/KIND or ROOM/USER/KIND/NAME")
        streams.append(inputs.recorded_stream(*parts))
    streams += [inputs.recorded_room(room) for room in args.room]
    answer = client.start_recording(
        streams or ["camera"],
        recording_id=args.recording,
        container=enum_value(RecordingContainer, args.container),
        max_bytes=args.max_mb * 1_000_000,
        max_duration_ms=args.max_seconds * 1000,
        check=False,
        **order_arguments(args),
    )
    if not screen.as_json and not args.recording:
        screen.line(f"recording {answer.recording_id}")
    return show_result(answer.result, screen)


def _stop(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.stop_recording(args.recording, wait_ms=args.wait, request_id=args.request_id, check=False)
    return show_result(result, screen)


def _list(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    answer = client.list_recordings(args.recordings)
    if screen.as_json:
        screen.document(answer)
    else:
        show_recordings(answer, screen)
    return exits.REACHED


def _get(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    names = [args.file] if args.file else [file.file for file in _complete(client, args.recording)]
    for name in names:
        try:
            path = client.save_recording(args.recording, f"{args.to}/{name}", file=name)
        except (DownloadError, OSError) as error:
            raise UsageError(str(error)) from error
        screen.line(str(path))
    return exits.REACHED


def _complete(client: Client, recording: str) -> list[RecordingFile]:
    found = [each for each in client.list_recordings([recording]).recordings if each.files]
    if not found:
        raise NotFound(f"there are no files of a recording {recording!r}")
    return [file for file in found[0].files if file.file != found[0].status.file]


def _delete(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    answer = client.delete_recording(args.recording, file=args.file)
    if screen.as_json:
        screen.document(answer)
    else:
        screen.line(f"deleted: {', '.join(answer.files)}")
    return exits.REACHED
