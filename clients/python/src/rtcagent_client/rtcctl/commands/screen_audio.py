"""screen audio on, screen audio off, screen audio list."""

import argparse

from rtcagent.v1.types_pb2 import AudioProfile

from rtcagent_client.blocking import Client
from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.arguments import Subparsers, add_order_options, command, count, order_arguments
from rtcagent_client.rtcctl.commands.orders import show_result
from rtcagent_client.rtcctl.render.screens import show_sounds
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import enum_words


def add(actions: Subparsers) -> None:
    """To those of `rtcctl screen`."""
    audio = actions.add_parser("audio", help="share what the machine plays, or stop", allow_abbrev=False)
    actions = audio.add_subparsers(metavar="on|off|list", required=True)
    on = command(actions, "on", _on, "capture what the machine plays, or one program; `rtcctl publish` sends it")
    _add_source(on)
    only = on.add_argument_group("one program alone (of `rtcctl screen audio list`; all that is given must fit)")
    only.add_argument("--application", metavar="NAME", default="", help="by its name")
    only.add_argument("--binary", metavar="NAME", default="", help="by the file name of its program")
    only.add_argument("--pid", metavar="PID", type=count, default=0, help="by its process")
    sound = on.add_argument_group("sound")
    sound.add_argument("--volume", metavar="PERCENT", type=count, help="0-400 (default 100)")
    sound.add_argument(
        "--profile", choices=enum_words(AudioProfile), help="how good it is when it is sent (default music)"
    )
    add_order_options(on)
    off = command(actions, "off", _off, "stop capturing it; what is published waits for it to come back")
    _add_source(off)
    add_order_options(off, keep=False)
    command(actions, "list", _list, "list the programs that play sound now")


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", metavar="ID", default="screen_audio", help="default screen_audio")


def _on(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.start_screen_audio_capture(
        args.source,
        application=args.application,
        binary=args.binary,
        process_id=args.pid,
        volume=args.volume,
        profile=args.profile,
        check=False,
        **order_arguments(args),
    )
    return show_result(result, screen)


def _off(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.stop_screen_audio_capture(args.source, wait_ms=args.wait, request_id=args.request_id, check=False)
    return show_result(result, screen)


def _list(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    found = client.list_screen_audio_sources()
    if screen.as_json:
        screen.document(found)
    else:
        show_sounds(found, screen)
    return exits.REACHED
