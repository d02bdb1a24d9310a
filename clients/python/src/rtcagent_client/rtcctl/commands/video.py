"""encoders, encoder, mirror, rotation."""

import argparse

from rtcagent.v1.capture_pb2 import ListEncodersResponse
from rtcagent.v1.types_pb2 import DegradationPreference, EncoderChoice, VideoCodec, VideoMirror

from rtcagent_client.blocking import Client
from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.arguments import Subparsers, add_order_options, command, count, order_arguments
from rtcagent_client.rtcctl.commands.orders import show_result
from rtcagent_client.rtcctl.render.video import show_encoders
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import enum_words

_ROTATIONS = (0, 90, 180, 270)


def add(subparsers: Subparsers) -> None:
    command(subparsers, "encoders", _encoders, "list what can encode video on the agent's machine")
    encoder = command(subparsers, "encoder", _encoder, "change size and rate of a source, and how it is encoded")
    encoder.add_argument("source", metavar="SOURCE", nargs="?", default="camera", help="default camera")
    encoder.add_argument("--room", metavar="ROOM", default="", help="its stream in this room alone (no size)")
    picture = encoder.add_argument_group("pictures, changed in the streams as they are")
    picture.add_argument("--width", type=count, default=0, help="0 with the others: as they are")
    picture.add_argument("--height", type=count, default=0)
    picture.add_argument("--fps", metavar="FPS", type=float, default=0)
    coding = encoder.add_argument_group("encoding, all of it at once; the streams are published anew")
    coding.add_argument("--codec", choices=enum_words(VideoCodec))
    coding.add_argument("--max-bitrate-bps", metavar="BPS", type=count, default=0, help="default: by size and rate")
    coding.add_argument("--min-bitrate-bps", metavar="BPS", type=count, default=0, help="where the engine has it")
    coding.add_argument("--encoded-fps", metavar="FPS", type=float, default=0, help="default: the source's")
    coding.add_argument("--simulcast", action="store_true", help="send smaller layers beside the full one")
    coding.add_argument("--scalability-mode", metavar="MODE", default="", help="of VP9 and AV1: L1T2, L3T3_KEY")
    coding.add_argument("--degradation", choices=enum_words(DegradationPreference), help="what is kept")
    coding.add_argument("--with", dest="choice", choices=enum_words(EncoderChoice), help="see rtcctl encoders")
    add_order_options(encoder)
    mirror = command(subparsers, "mirror", _mirror, "set where a source's picture is mirrored")
    mirror.add_argument("where", choices=enum_words(VideoMirror))
    _add_source(mirror)
    rotation = command(subparsers, "rotation", _rotation, "turn a source's picture clockwise")
    rotation.add_argument("degrees", type=int, choices=_ROTATIONS)
    _add_source(rotation)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", nargs="?", default="camera", help="default camera")
    add_order_options(parser)


def _encoders(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    encoders = client.list_encoders()
    if screen.as_json:
        screen.document(ListEncodersResponse(encoders=encoders))
    else:
        show_encoders(encoders, screen)
    return exits.REACHED


def _encoder(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.set_video_encoder_config(
        args.source,
        args.room,
        width=args.width,
        height=args.height,
        max_fps=args.fps,
        codec=args.codec,
        max_bitrate_bps=args.max_bitrate_bps,
        min_bitrate_bps=args.min_bitrate_bps,
        encoded_fps=args.encoded_fps,
        simulcast=args.simulcast,
        scalability_mode=args.scalability_mode,
        degradation=args.degradation,
        encoder=args.choice,
        check=False,
        **order_arguments(args),
    )
    return show_result(result, screen)


def _mirror(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.set_local_video_mirror(args.where, args.source, check=False, **order_arguments(args))
    return show_result(result, screen)


def _rotation(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.set_video_rotation(args.degrees, args.source, check=False, **order_arguments(args))
    return show_result(result, screen)
