"""screens, screen on, screen update, screen off."""

import argparse
import re
from pathlib import Path

from rtcagent.v1.types_pb2 import ContentHint

from rtcagent_client.blocking import Client
from rtcagent_client.inputs import Region
from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.arguments import (
    Subparsers,
    UsageError,
    add_order_options,
    command,
    count,
    order_arguments,
)
from rtcagent_client.rtcctl.commands import screen_audio
from rtcagent_client.rtcctl.commands.orders import show_result
from rtcagent_client.rtcctl.render.screens import file_name, show_sources
from rtcagent_client.rtcctl.screen import Screen, to_dict
from rtcagent_client.words import enum_words

_REGION = re.compile(r"(\d+)x(\d+)(?:\+(\d+)\+(\d+))?", re.ASCII)


def add(subparsers: Subparsers) -> None:
    screens = command(subparsers, "screens", _screens, "list the displays and windows that can be shared")
    screens.add_argument("--thumbnails", metavar="FOLDER", help="save pictures of them there, as PNG")
    screens.add_argument("--width", metavar="PIXELS", type=count, default=320, help="of the pictures (default 320)")
    screen = subparsers.add_parser("screen", help="share a display or a window, or stop", allow_abbrev=False)
    actions = screen.add_subparsers(metavar="on|update|off|audio", required=True)
    screen_audio.add(actions)
    on = command(actions, "on", _on, "capture a display, a window or a part of it; `rtcctl publish` sends it")
    _add_source(on)
    one = on.add_mutually_exclusive_group()
    one.add_argument("--display", metavar="ID", default="", help="of `rtcctl screens` (default: the primary one)")
    one.add_argument("--window", metavar="ID", default="", help="of `rtcctl screens`")
    on.add_argument("--region", metavar="WxH+X+Y", type=region_of, help="a part of the display or window")
    on.add_argument("--no-cursor", action="store_true", help="leave the pointer out")
    on.add_argument("--fps", metavar="FPS", type=float, default=0, help="at most (default 15; for motion 30)")
    on.add_argument("--hint", choices=enum_words(ContentHint), help="what it shows: text stays sharp, motion smooth")
    add_order_options(on)
    update = command(actions, "update", _update, "change a shared screen while it goes on")
    _add_source(update)
    which = update.add_mutually_exclusive_group()
    which.add_argument("--region", metavar="WxH+X+Y", type=region_of)
    which.add_argument("--whole", action="store_true", help="no region any more")
    pointer = update.add_mutually_exclusive_group()
    pointer.add_argument("--cursor", action="store_true", help="show the pointer")
    pointer.add_argument("--no-cursor", action="store_true", help="leave the pointer out")
    update.add_argument("--fps", metavar="FPS", type=float)
    add_order_options(update)
    off = command(actions, "off", _off, "stop capturing it; what is published waits for it to come back")
    _add_source(off)
    add_order_options(off, keep=False)


def region_of(text: str) -> Region:
    """Read "640x360+100+50"."""
    found = _REGION.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no region like 640x360+100+50")
    width, height, x, y = (int(part or 0) for part in found.groups())
    return x, y, width, height


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", metavar="ID", default="screen", help="default screen; another id is another source")


def _screens(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    found = client.list_screen_sources(thumbnail_width=args.width if args.thumbnails is not None else 0)
    if args.thumbnails is not None:
        folder = Path(args.thumbnails)
        folder.mkdir(parents=True, exist_ok=True)
        for source in found.sources:
            if source.thumbnail:
                (folder / file_name(source)).write_bytes(source.thumbnail)
    if screen.as_json:
        content = to_dict(found)
        for source in content.get("sources", []):
            source.pop("thumbnail", None)
        screen.document(content)
    else:
        show_sources(found, screen)
    return exits.REACHED


def _on(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.start_screen_capture(
        args.source,
        display_id=args.display,
        window_id=args.window,
        region=args.region,
        hide_cursor=args.no_cursor,
        max_fps=args.fps,
        content_hint=args.hint,
        check=False,
        **order_arguments(args),
    )
    return show_result(result, screen)


def _update(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    region = (0, 0, 0, 0) if args.whole else args.region
    hide_cursor = True if args.no_cursor else False if args.cursor else None
    if region is None and hide_cursor is None and args.fps is None:
        raise UsageError("nothing is to be changed: give --region, --whole, --cursor, --no-cursor or --fps")
    result = client.update_screen_capture(
        args.source, region=region, hide_cursor=hide_cursor, max_fps=args.fps, check=False, **order_arguments(args)
    )
    return show_result(result, screen)


def _off(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.stop_screen_capture(args.source, wait_ms=args.wait, request_id=args.request_id, check=False)
    return show_result(result, screen)
