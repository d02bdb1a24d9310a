"""displays, canvas set, canvas remove, canvas list, layout on, layout off, layout default."""

import argparse
import re

from rtcagent.v1.canvases_pb2 import ListCanvasesResponse
from rtcagent.v1.types_pb2 import FitMode

from rtcagent_client.blocking import Client
from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.arguments import KINDS, Subparsers, UsageError, add_order_options, command, order_arguments
from rtcagent_client.rtcctl.commands.orders import show_result
from rtcagent_client.rtcctl.render.canvases import show_canvases, show_displays
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import enum_words

_GEOMETRY = re.compile(r"(\d+)x(\d+)([+-]\d+)([+-]\d+)")


def add(subparsers: Subparsers) -> None:
    command(subparsers, "displays", _displays, "list the machine's displays, and what each can do")
    canvas = subparsers.add_parser("canvas", help="show video on the machine's display", allow_abbrev=False)
    actions = canvas.add_subparsers(metavar="set|remove|list", required=True)
    _add_set(actions)
    remove = command(actions, "remove", _remove, "take a canvas away")
    remove.add_argument("canvas", metavar="CANVAS")
    add_order_options(remove, keep=False)
    command(actions, "list", _list, "list the canvases that are ordered, and how each is")
    layout = subparsers.add_parser("layout", help="show everyone in a grid, or not", allow_abbrev=False)
    modes = layout.add_subparsers(metavar="on|off|default", required=True)
    for mode, is_on, summary in (
        ("on", True, "show everyone in a grid on displays without a canvas"),
        ("off", False, "leave the display to another program"),
        ("default", None, "end such an order: as the agent's configuration says"),
    ):
        switch = command(modes, mode, _layout, summary)
        switch.add_argument("--display", metavar="DISPLAY", default="", help="default: every one without its own order")
        switch.set_defaults(is_on=is_on)
        add_order_options(switch, default_keep="forever")


def _add_set(actions: Subparsers) -> None:
    setting = command(actions, "set", _set, "show a source or another user's stream, or change where and how")
    setting.add_argument("canvas", metavar="CANVAS", help="1-64 characters of A-Z a-z 0-9 _ . -")
    what = setting.add_argument_group("what (default: the source camera)")
    what.add_argument("--source", metavar="ID", help="a source of the agent's own")
    what.add_argument("--room", metavar="ROOM", help="of another user's stream")
    what.add_argument("--user", metavar="USER", help="of another user's stream")
    what.add_argument("--kind", choices=KINDS, help="of another user's stream (default camera)")
    what.add_argument("--name", help="of another user's stream (default: the first of its kind)")
    where = setting.add_argument_group("where (default: the whole first display)")
    where.add_argument("--display", metavar="DISPLAY", default="", help="of `rtcctl displays`")
    where.add_argument("--geometry", metavar="WxH+X+Y", type=geometry_of, help="in the display's pixels")
    where.add_argument("--z", type=int, default=0, help="a higher one lies above (default 0)")
    where.add_argument("--fit", choices=enum_words(FitMode), help="fit: whole, with bars (default); fill: cut off")
    where.add_argument("--mirror", action="store_true", help="left and right, here alone")
    where.add_argument("--background", metavar="RRGGBB", type=_colour, default=0, help="of the bars (default black)")
    add_order_options(setting)


def geometry_of(text: str) -> tuple[int, int, int, int]:
    """Read "640x360+0-20": x, y, width, height."""
    found = _GEOMETRY.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT+X+Y")
    width, height, x, y = map(int, found.groups())
    return x, y, width, height


def _colour(text: str) -> int:
    if not re.fullmatch(r"#?[0-9A-Fa-f]{6}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not RRGGBB")
    return int(text.removeprefix("#"), 16)


def _displays(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    answer = client.list_displays()
    if screen.as_json:
        screen.document(answer)
    else:
        show_displays(answer, screen)
    return exits.REACHED


def _list(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    canvases = client.list_canvases()
    if screen.as_json:
        screen.document(ListCanvasesResponse(canvases=canvases))
    else:
        show_canvases(canvases, screen)
    return exits.REACHED


def _set(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    if (args.room is None) != (args.user is None):
        raise UsageError("--room and --user go together")
    if args.room is None and (args.kind or args.name):
        raise UsageError("--kind and --name go with --room and --user")
    if args.room is not None and args.source is not None:
        raise UsageError("give either --source, or --room and --user")
    if args.room is None:
        result = client.set_local_video_canvas(
            args.source or "camera",
            canvas_id=args.canvas,
            display=args.display,
            geometry=args.geometry,
            fit=args.fit,
            mirror=args.mirror,
            background_rgb=args.background,
            z=args.z,
            check=False,
            **order_arguments(args),
        )
    else:
        result = client.set_remote_video_canvas(
            args.room,
            args.user,
            kind=args.kind or "camera",
            name=args.name or "",
            canvas_id=args.canvas,
            display=args.display,
            geometry=args.geometry,
            fit=args.fit,
            mirror=args.mirror,
            background_rgb=args.background,
            z=args.z,
            check=False,
            **order_arguments(args),
        )
    return show_result(result, screen)


def _remove(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.remove_canvas(args.canvas, wait_ms=args.wait, request_id=args.request_id, check=False)
    return show_result(result, screen)


def _layout(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.set_default_layout(args.is_on, display=args.display, check=False, **order_arguments(args))
    return show_result(result, screen)
