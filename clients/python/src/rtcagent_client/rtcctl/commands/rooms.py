"""rooms, join, leave, token, user-info, invite, publish, unpublish, mute, unmute, subscribe, unsubscribe."""

import argparse
import functools

from rtcagent.v1.rooms_pb2 import ListRoomsResponse
from rtcagent.v1.types_pb2 import DegradationPreference, RoomProfile, StreamQuality, VideoCodec

from rtcagent_client.blocking import Client
from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.arguments import (
    KINDS,
    Subparsers,
    add_order_options,
    command,
    count,
    order_arguments,
    read_secret,
)
from rtcagent_client.rtcctl.commands.orders import show_result
from rtcagent_client.rtcctl.render.rooms import show_invite, show_rooms
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import enum_words


def add(subparsers: Subparsers) -> None:
    command(subparsers, "rooms", _rooms, "list the rooms, with their users and streams")
    _add_join(subparsers)
    leave = command(subparsers, "leave", _leave, "leave a room and end what was ordered in it")
    leave.add_argument("room", metavar="ROOM")
    add_order_options(leave, keep=False)
    token = command(subparsers, "token", _token, "give a room that was joined a new token, for the next join")
    token.add_argument("room", metavar="ROOM")
    token.add_argument("--room-token-file", metavar="FILE", required=True, help="the room token, - for standard input")
    add_order_options(token, keep=False)
    info = command(subparsers, "user-info", _user_info, "change what the others of a room see of the agent")
    info.add_argument("room", metavar="ROOM")
    info.add_argument("--name", help="the name shown; empty for none")
    info.add_argument("--extra-info", metavar="JSON", help="empty for none")
    _add_attributes(info, "; an empty VALUE takes it away")
    add_order_options(info)
    invite = command(subparsers, "invite", _invite, "print an address and a token to join a room with")
    invite.add_argument("room", metavar="ROOM")
    invite.add_argument("--user", metavar="NAME", required=True, help="user id of whoever joins with it")
    invite.add_argument("--ttl", metavar="S", type=count, default=0, help="seconds until it expires (default 21600)")
    invite.add_argument("--watch-only", action="store_true", help="may receive, not publish")
    _add_publish(subparsers)
    unpublish = command(subparsers, "unpublish", _unpublish, "stop sending a source into a room; capture goes on")
    _add_stream(unpublish)
    mute = command(subparsers, "mute", functools.partial(_mute, True), "send nothing of a published source into a room")
    _add_stream(mute)
    unmute = command(subparsers, "unmute", functools.partial(_mute, False), "send a muted source again")
    _add_stream(unmute)
    subscribe = command(subparsers, "subscribe", _subscribe, "receive streams of another user")
    _add_remote_stream(subscribe)
    subscribe.add_argument("--layer", choices=enum_words(StreamQuality.Layer), help="of a simulcast video")
    subscribe.add_argument("--size", metavar="WxH", type=_size, default=(0, 0), help="the size that it is shown in")
    unsubscribe = command(subparsers, "unsubscribe", _unsubscribe, "do not receive streams of another user")
    _add_remote_stream(unsubscribe)


def _add_join(subparsers: Subparsers) -> None:
    join = command(subparsers, "join", _join, "join a room, or change how the agent is in it")
    join.add_argument("room", metavar="ROOM", help="1-128 characters of A-Z a-z 0-9 _ @ . -")
    join.add_argument("--server", metavar="URL", default="", help="ws:// or wss:// (default: the agent's own server)")
    join.add_argument(
        "--room-token-file", metavar="FILE", help="room token, - for standard input (default: the agent gets one)"
    )
    join.add_argument("--user", metavar="ID", default="", help="default: the token's, else the agent's name")
    join.add_argument("--extra-info", metavar="JSON", default="", help="shown to the other users")
    join.add_argument("--name", default="", help="the name that the other users are shown (default: the token's)")
    _add_attributes(join, "")
    join.add_argument(
        "--standby", action="store_true", help="publish and receive nothing: be there for messages, a ring say"
    )
    join.add_argument("--profile", choices=enum_words(RoomProfile), help="kind of room (default communication)")
    join.add_argument("--no-auto-publish", action="store_true", help="publish nothing without `rtcctl publish`")
    join.add_argument("--no-auto-subscribe-audio", action="store_true", help="no sound without `rtcctl subscribe`")
    join.add_argument("--no-auto-subscribe-video", action="store_true", help="no video without `rtcctl subscribe`")
    add_order_options(join)


def _add_attributes(parser: argparse.ArgumentParser, more: str) -> None:
    parser.add_argument(
        "--attribute", metavar="KEY=VALUE", type=_pair, action="append", default=[], help=f"may be repeated{more}"
    )


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not key or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _add_publish(subparsers: Subparsers) -> None:
    publish = command(subparsers, "publish", _publish, "send a source into a room")
    publish.add_argument("--codec", choices=enum_words(VideoCodec), help="default vp8")
    publish.add_argument("--max-bitrate-bps", metavar="BPS", type=count, default=0, help="default: by size and rate")
    publish.add_argument("--max-fps", metavar="FPS", type=float, default=0, help="default: the source's")
    publish.add_argument("--simulcast", action="store_true", help="send smaller layers beside the full one")
    publish.add_argument("--name", default="", help="shown to others (default: the source id)")
    publish.add_argument(
        "--degradation",
        choices=enum_words(DegradationPreference),
        help="what is kept when bandwidth or processor are short",
    )
    _add_stream(publish)


def _add_stream(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("room", metavar="ROOM")
    parser.add_argument("source", metavar="SOURCE", nargs="?", default="camera", help="default camera")
    add_order_options(parser)


def _add_remote_stream(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("room", metavar="ROOM")
    parser.add_argument("user", metavar="USER")
    parser.add_argument("--kind", choices=KINDS, help="default camera")
    parser.add_argument("--name", default="", help="of one stream (default: every stream of the kind)")
    add_order_options(parser)


def _rooms(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    rooms = client.list_rooms()
    if screen.as_json:
        screen.document(ListRoomsResponse(rooms=rooms))
    else:
        show_rooms(rooms, screen)
    return exits.REACHED


def _join(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.join_room(
        args.room,
        server_url=args.server,
        token=read_secret(args.room_token_file) if args.room_token_file else "",
        user_id=args.user,
        extra_info=args.extra_info,
        name=args.name,
        attributes=dict(args.attribute),
        profile=args.profile,
        auto_publish=not (args.no_auto_publish or args.standby),
        auto_subscribe_audio=not (args.no_auto_subscribe_audio or args.standby),
        auto_subscribe_video=not (args.no_auto_subscribe_video or args.standby),
        check=False,
        **order_arguments(args),
    )
    return show_result(result, screen)


def _leave(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.leave_room(args.room, wait_ms=args.wait, request_id=args.request_id, check=False)
    return show_result(result, screen)


def _token(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    token = read_secret(args.room_token_file)
    result = client.update_token(args.room, token, check=False, **order_arguments(args))
    return show_result(result, screen)


def _user_info(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.set_user_info(
        args.room,
        extra_info=args.extra_info,
        name=args.name,
        attributes=dict(args.attribute),
        check=False,
        **order_arguments(args),
    )
    return show_result(result, screen)


def _invite(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    invite = client.create_invite(args.room, args.user, ttl_s=args.ttl, watch_only=args.watch_only)
    if screen.as_json:
        screen.document(invite)
    else:
        show_invite(invite, screen)
    return exits.REACHED


def _publish(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.publish_stream(
        args.room,
        args.source,
        codec=args.codec,
        max_bitrate_bps=args.max_bitrate_bps,
        max_fps=args.max_fps,
        simulcast=args.simulcast,
        degradation=args.degradation,
        name=args.name,
        check=False,
        **order_arguments(args),
    )
    return show_result(result, screen)


def _unpublish(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    return show_result(client.unpublish_stream(args.room, args.source, check=False, **order_arguments(args)), screen)


def _mute(muted: bool, client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.mute_stream(args.room, args.source, muted=muted, check=False, **order_arguments(args))
    return show_result(result, screen)


def _subscribe(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.subscribe_stream(
        args.room,
        args.user,
        kind=args.kind,
        name=args.name,
        layer=args.layer,
        width=args.size[0],
        height=args.size[1],
        check=False,
        **order_arguments(args),
    )
    return show_result(result, screen)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not width.isdecimal() or not height.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not like 640x360")
    return int(width), int(height)


def _unsubscribe(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.unsubscribe_stream(
        args.room, args.user, kind=args.kind, name=args.name, check=False, **order_arguments(args)
    )
    return show_result(result, screen)
