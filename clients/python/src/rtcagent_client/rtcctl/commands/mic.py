"""mic on, mic off, mic volume, mic test, audio-profile."""

import argparse

from rtcagent.v1.types_pb2 import AudioInput, AudioProfile

from rtcagent_client import inputs
from rtcagent_client.blocking import Client
from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.arguments import (
    Subparsers,
    UsageError,
    add_order_options,
    command,
    count,
    order_arguments,
)
from rtcagent_client.rtcctl.commands.orders import show_result
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import enum_words

_PROFILES = enum_words(AudioProfile)
_KINDS = ["microphone", "screen-audio", "other-audio"]
_AS_BEFORE = "as it was"


def add(subparsers: Subparsers) -> None:
    mic = subparsers.add_parser("mic", help="capture a source of sound, change its volume, or stop", allow_abbrev=False)
    actions = mic.add_subparsers(metavar="on|off|volume|test", required=True)
    _add_on(actions)
    off = command(actions, "off", _off, "stop capturing sound; what is published waits for it to come back")
    _add_source(off)
    add_order_options(off, keep=False)
    volume = command(actions, "volume", _volume, "change how loud it is captured")
    volume.add_argument("percent", metavar="PERCENT", type=count, help="0-400; 100: as it is")
    _add_source(volume)
    add_order_options(volume, default_keep=_AS_BEFORE)
    test = command(actions, "test", _test, "show how loud a microphone is, whether it is captured or not")
    one = test.add_mutually_exclusive_group()
    one.add_argument("--device", metavar="ID", default="", help="default: the default microphone")
    one.add_argument("--slot", metavar="NAME", default="", help="of `rtcctl slots`")
    test.add_argument("--ms", metavar="MS", type=count, default=3000, help="how long (200-10000, default 3000)")
    profile = command(
        subparsers, "audio-profile", _profile, "change how good the sound is that is sent; publishes it anew"
    )
    profile.add_argument("profile", metavar="PROFILE", choices=_PROFILES, help=", ".join(_PROFILES))
    _add_source(profile)
    add_order_options(profile, default_keep=_AS_BEFORE)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", metavar="ID", default="microphone", help="default microphone")


def _add_on(actions: Subparsers) -> None:
    on = command(actions, "on", _on, "capture a source of sound, or change how it is captured")
    _add_source(on)
    on.add_argument("--kind", choices=_KINDS, help="what it is for those who receive it (default microphone)")
    where = on.add_argument_group("input (default: the slot named like the source, else the default microphone)")
    one = where.add_mutually_exclusive_group()
    one.add_argument("--device", metavar="ID", help="a microphone, by the sound server's name of it")
    one.add_argument("--slot", metavar="NAME", help="a slot of `rtcctl slots`")
    one.add_argument("--file", metavar="PATH", help="the sound of a media file on the agent's machine")
    one.add_argument("--test-tone", metavar="HZ", nargs="?", const=440.0, type=float, help="a sine (default 440 Hz)")
    where.add_argument("--loop", action="store_true", help="with --file: begin again at the end")
    where.add_argument("--level", metavar="DBFS", type=float, help="with --test-tone: of its peaks (default -20)")
    sound = on.add_argument_group("sound")
    sound.add_argument("--volume", metavar="PERCENT", type=count, help="0-400 (default 100)")
    sound.add_argument("--profile", choices=_PROFILES, help="how good it is when it is sent (default standard)")
    toggle = argparse.BooleanOptionalAction
    sound.add_argument("--echo-cancellation", action=toggle, help="(default: on for microphones)")
    sound.add_argument("--noise-suppression", action=toggle, help="(default: on for microphones, except for music)")
    sound.add_argument("--auto-gain", action=toggle, help="(default: on for microphones, except for music)")
    add_order_options(on)


def input_of(args: argparse.Namespace) -> AudioInput | None:
    """The input that the options name; None: the agent's default. UsageError: options that do not go together."""
    if args.loop and args.file is None:
        raise UsageError("--loop goes with --file")
    if args.level is not None and args.test_tone is None:
        raise UsageError("--level goes with --test-tone")
    if args.device is not None or args.slot is not None:
        return inputs.microphone(args.device or "", slot=args.slot or "")
    if args.file is not None:
        return inputs.sound_file(args.file, loop=args.loop)
    if args.test_tone is not None:
        return inputs.test_tone(args.test_tone, level_dbfs=args.level)
    return None


def _on(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.start_audio_capture(
        args.source,
        input=input_of(args),
        volume=args.volume,
        profile=args.profile,
        echo_cancellation=args.echo_cancellation,
        noise_suppression=args.noise_suppression,
        auto_gain=args.auto_gain,
        kind=args.kind,
        check=False,
        **order_arguments(args),
    )
    return show_result(result, screen)


def _off(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.stop_audio_capture(args.source, wait_ms=args.wait, request_id=args.request_id, check=False)
    return show_result(result, screen)


def _volume(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.set_capture_volume(args.percent, args.source, check=False, **order_arguments(args))
    return show_result(result, screen)


def _profile(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.set_audio_profile(args.profile, args.source, check=False, **order_arguments(args))
    return show_result(result, screen)


def _test(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    heard = client.test_microphone(args.device, slot=args.slot, duration_ms=args.ms)
    if screen.as_json:
        screen.document(heard)
        return exits.REACHED
    for level in heard.levels:
        bar = "#" * max(0, round((level.peak_dbfs + 60) * 0.8))
        screen.line(f"{level.peak_dbfs:6.1f} dBFS  {bar}")
    loudest = max((level.peak_dbfs for level in heard.levels), default=-127.0)
    silent = "; nothing is heard: is it muted, or another one meant?" if loudest < -60 else ""
    screen.line(f"{heard.device_id or 'default microphone'}: loudest {loudest:.1f} dBFS{silent}")
    return exits.REACHED
