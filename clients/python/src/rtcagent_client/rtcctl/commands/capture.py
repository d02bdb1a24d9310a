"""camera on, camera off, snapshot, stats."""

import argparse
import sys
from pathlib import Path

from rtcagent.v1.types_pb2 import PixelFormat, Slate, VideoInput

from rtcagent_client import inputs
from rtcagent_client.blocking import Client
from rtcagent_client.requests.capture import ImageFormatName
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
from rtcagent_client.rtcctl.render.capture import show_stats
from rtcagent_client.rtcctl.screen import Screen, to_dict
from rtcagent_client.words import enum_words

_FORMATS: dict[str, ImageFormatName] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}
_PATTERNS = enum_words(VideoInput.TestPattern.Kind)
_PIXEL_FORMATS = [word for word in enum_words(PixelFormat) if word != "other"]


def add(subparsers: Subparsers) -> None:
    camera = subparsers.add_parser("camera", help="capture a video source, or stop", allow_abbrev=False)
    actions = camera.add_subparsers(metavar="on|off", required=True)
    _add_on(actions)
    off = command(actions, "off", _off, "stop capturing; what is published waits for it to come back")
    off.add_argument("--source", metavar="ID", default="camera", help="default camera")
    add_order_options(off, keep=False)
    snapshot = command(subparsers, "snapshot", _snapshot, "save the current picture of a source or a subscribed stream")
    snapshot.add_argument("file", metavar="FILE", help="ends in .png or .jpg; - for standard output (PNG)")
    snapshot.add_argument("--source", metavar="ID", help="default camera")
    snapshot.add_argument("--room", metavar="ROOM", help="of another user's stream")
    snapshot.add_argument("--user", metavar="USER", help="of another user's stream")
    snapshot.add_argument("--kind", choices=KINDS, help="of another user's stream (default camera)")
    snapshot.add_argument("--name", help="of another user's stream")
    command(subparsers, "stats", _stats, "show counters of frames captured, sent and received")


def _add_on(actions: Subparsers) -> None:
    on = command(actions, "on", _on, "capture a video source, or change how it is captured")
    on.add_argument("--source", metavar="ID", default="camera", help="default camera; another id is another source")
    on.add_argument("--kind", choices=KINDS, help="what it is for those who receive it (default camera)")
    where = on.add_argument_group("input (default: the slot named like the source, else the first camera)")
    one = where.add_mutually_exclusive_group()
    one.add_argument("--device", metavar="ID", help="a camera of `rtcctl devices`")
    one.add_argument("--slot", metavar="NAME", help="a slot of `rtcctl slots`")
    one.add_argument("--rtsp", metavar="URL", help="a network camera")
    one.add_argument("--file", metavar="PATH", help="a media file on the agent's machine")
    one.add_argument(
        "--test-pattern", metavar="KIND", nargs="?", const="bars-and-clock", choices=_PATTERNS,
        help=f"a moving test picture: {', '.join(_PATTERNS)}",
    )  # fmt: skip
    where.add_argument("--loop", action="store_true", help="with --file: begin again at the end")
    where.add_argument("--latency-ms", metavar="MS", type=count, help="with --rtsp: jitter buffer (default 200)")
    where.add_argument("--device-width", metavar="PIXELS", type=count, help="format to open the camera in")
    where.add_argument("--device-height", metavar="PIXELS", type=count)
    where.add_argument("--device-fps", metavar="FPS", type=float)
    where.add_argument("--pixel-format", choices=_PIXEL_FORMATS)
    picture = on.add_argument_group("picture that leaves the source (default: as the input)")
    picture.add_argument("--width", metavar="PIXELS", type=count, default=0)
    picture.add_argument("--height", metavar="PIXELS", type=count, default=0)
    picture.add_argument("--fps", metavar="FPS", type=float, default=0)
    picture.add_argument("--rotate", type=int, choices=[0, 90, 180, 270], default=0, help="degrees clockwise")
    picture.add_argument("--mirror", action="store_true", help="left and right, after rotating")
    instead = on.add_argument_group(
        "slate: what is sent while there are no pictures (default: for cameras, with words)"
    )
    shown = instead.add_mutually_exclusive_group()
    shown.add_argument("--slate", action="store_true", help="for a file or a test picture too")
    shown.add_argument("--no-slate", action="store_true", help="none: viewers keep the last picture")
    instead.add_argument("--slate-title", metavar="TEXT", default="", help="default: the source's id")
    instead.add_argument("--slate-text", metavar="TEXT", default="", help='default "camera not connected"')
    instead.add_argument("--slate-picture", metavar="PATH", default="", help="a PNG or JPEG of the agent's machine")
    add_order_options(on)


def slate_of(args: argparse.Namespace) -> Slate | None:
    """The slate that the options ask for; None: the agent's default. UsageError: options that do not go together."""
    details = (args.slate_title, args.slate_text, args.slate_picture)
    if args.no_slate:
        if any(details):
            raise UsageError("--no-slate goes with no other option about the slate")
        return Slate(mode=Slate.MODE_OFF)
    if not args.slate and not any(details):
        return None
    mode = Slate.MODE_SHOWN if args.slate else Slate.MODE_UNSPECIFIED
    return Slate(mode=mode, title=args.slate_title, text=args.slate_text, picture=args.slate_picture)


def input_of(args: argparse.Namespace) -> VideoInput | None:
    """The input that the options name; None: the agent's default. UsageError: options that do not go together."""
    format_options = (args.device_width, args.device_height, args.device_fps, args.pixel_format)
    has_format = any(option is not None for option in format_options)
    if args.loop and args.file is None:
        raise UsageError("--loop goes with --file")
    if args.latency_ms is not None and args.rtsp is None:
        raise UsageError("--latency-ms goes with --rtsp")
    if args.device is not None or args.slot is not None or has_format:
        if args.rtsp is not None or args.file is not None or args.test_pattern is not None:
            raise UsageError("--device-width, --device-height, --device-fps and --pixel-format go with a camera")
        return inputs.camera(
            args.device or "",
            slot=args.slot or "",
            width=args.device_width or 0,
            height=args.device_height or 0,
            max_fps=args.device_fps or 0,
            pixel_format=args.pixel_format,
        )
    if args.rtsp is not None:
        return inputs.rtsp(args.rtsp, latency_ms=args.latency_ms or 0)
    if args.file is not None:
        return inputs.file(args.file, loop=args.loop)
    if args.test_pattern is not None:
        return inputs.test_pattern(args.test_pattern)
    return None


def _on(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.start_video_capture(
        args.source,
        input=input_of(args),
        width=args.width,
        height=args.height,
        max_fps=args.fps,
        rotation=args.rotate,
        mirror=args.mirror,
        kind=args.kind,
        slate=slate_of(args),
        check=False,
        **order_arguments(args),
    )
    return show_result(result, screen)


def _off(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.stop_video_capture(args.source, wait_ms=args.wait, request_id=args.request_id, check=False)
    return show_result(result, screen)


def _snapshot(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    to_stdout = args.file == "-"
    image_format: ImageFormatName | None = "png" if to_stdout else _FORMATS.get(Path(args.file).suffix.lower())
    if image_format is None:
        raise UsageError(f"{args.file}: the file must end in .png or .jpg")
    if to_stdout and (screen.as_json or sys.stdout.isatty()):
        raise UsageError("a picture on standard output needs somebody to read it: redirect it, and leave --json away")
    if (args.room is None) != (args.user is None):
        raise UsageError("--room and --user go together")
    if args.room is None and (args.kind or args.name):
        raise UsageError("--kind and --name go with --room and --user")
    if args.room is not None:
        if args.source is not None:
            raise UsageError("give either --source, or --room and --user")
        picture = client.take_remote_snapshot(
            args.room, args.user, kind=args.kind or "camera", name=args.name or "", format=image_format
        )
    else:
        picture = client.take_snapshot(args.source or "camera", format=image_format)
    if to_stdout:
        sys.stdout.buffer.write(picture.image)
        sys.stdout.buffer.flush()
        return exits.REACHED
    Path(args.file).write_bytes(picture.image)
    if screen.as_json:
        content = to_dict(picture)
        content.pop("image", None)
        screen.document({"file": args.file, "bytes": len(picture.image), **content})
    else:
        screen.line(f"{args.file}: {picture.width}x{picture.height}, {len(picture.image)} bytes")
    return exits.REACHED


def _stats(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    stats = client.get_capture_stats()
    if screen.as_json:
        screen.document(stats)
    else:
        show_stats(stats, screen)
    return exits.REACHED
