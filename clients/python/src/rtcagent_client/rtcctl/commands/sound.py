"""speaker device|volume|mute|unmute|test, user-volume, levels."""

import argparse
import functools
import itertools
import threading

from rtcagent_client.blocking import Client
from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.arguments import Subparsers, UsageError, add_order_options, command, count, order_arguments
from rtcagent_client.rtcctl.commands.orders import show_result
from rtcagent_client.rtcctl.render.levels import show_reading
from rtcagent_client.rtcctl.screen import Screen


def add(subparsers: Subparsers) -> None:
    speaker = subparsers.add_parser("speaker", help="what the others are heard on, and how loud", allow_abbrev=False)
    actions = speaker.add_subparsers(metavar="device|volume|mute|unmute|test", required=True)
    device = command(actions, "device", _device, "hear the others on this speaker, from now on")
    device.add_argument(
        "device", metavar="ID", nargs="?", default="", help="of rtcctl devices; default: the default one"
    )
    add_order_options(device)
    volume = command(actions, "volume", _volume, "how loud all of them are")
    volume.add_argument("percent", metavar="PERCENT", type=count, help="0-400")
    add_order_options(volume)
    mute = command(actions, "mute", functools.partial(_mute, True), "hear nobody; everything is received as before")
    add_order_options(mute)
    unmute = command(actions, "unmute", functools.partial(_mute, False), "hear them again")
    add_order_options(unmute)
    test = command(actions, "test", _test, "play a tone; needs no room")
    test.add_argument("--device", metavar="ID", default="", help="default: the speaker in use")
    test.add_argument("--ms", metavar="MS", type=count, default=2000, help="how long (100-30000, default 2000)")
    test.add_argument("--hz", metavar="HZ", type=count, default=440, help="how high (50-16000, default 440)")
    user = command(subparsers, "user-volume", _user_volume, "how loud another user is heard here, or not at all")
    user.add_argument("room", metavar="ROOM")
    user.add_argument("user", metavar="USER")
    user.add_argument("percent", metavar="PERCENT", type=count, nargs="?", help="0-400")
    muting = user.add_mutually_exclusive_group()
    muting.add_argument("--mute", action="store_true", help="mute for oneself: the others notice nothing")
    muting.add_argument("--unmute", action="store_true")
    add_order_options(user)
    levels = command(subparsers, "levels", _levels, "follow how loud everybody is, until it is interrupted")
    levels.add_argument("--every", metavar="MS", type=count, help="order this interval first: 100 or more; 0 ends it")
    levels.add_argument("--count", metavar="N", type=count, help="end after so many readings")


def _device(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.set_audio_playback_device(args.device, check=False, **order_arguments(args))
    return show_result(result, screen)


def _volume(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.set_playback_volume(args.percent, check=False, **order_arguments(args))
    return show_result(result, screen)


def _mute(muted: bool, client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.set_playback_volume(muted=muted, check=False, **order_arguments(args))
    return show_result(result, screen)


def _test(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    played = client.test_speaker(args.device, duration_ms=args.ms, frequency_hz=args.hz)
    if screen.as_json:
        screen.document(played)
    else:
        screen.line(f"a tone of {args.hz} Hz was played on {played.device_name} ({played.device_id})")
    return exits.REACHED


def _user_volume(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    if args.percent is None and not args.mute and not args.unmute:
        raise UsageError("say how loud (PERCENT), or --mute or --unmute")
    code = exits.REACHED
    if args.percent is not None:
        given = order_arguments(args)
        if args.mute or args.unmute:
            given["request_id"] = None  # two orders, of which the last is the one that is named
        code = show_result(client.set_remote_volume(args.room, args.user, args.percent, check=False, **given), screen)
    if args.mute or args.unmute:
        result = client.set_remote_muted(args.room, args.user, muted=args.mute, check=False, **order_arguments(args))
        code = max(code, show_result(result, screen))
    return code


def _levels(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    if args.every is not None:
        result = client.enable_audio_properties_report(args.every)
        if args.every == 0:
            return show_result(result, screen)
    elif not client.get_desired_state().audio_report:
        screen.note("the report of audio properties is off; rtcctl levels --every 1000 turns it on")
    readings = client.audio_properties()
    if args.timeout is not None:
        timer = threading.Timer(args.timeout, client.close)
        timer.daemon = True
        timer.start()
    for reading in itertools.islice(readings, args.count):
        if screen.as_json:
            screen.document(reading, one_line=True)
        else:
            show_reading(reading, screen)
    return exits.REACHED
