"""What `rtcctl rooms` and `rtcctl invite` show."""

from collections.abc import Mapping, Sequence

from rtcagent.v1.rooms_pb2 import CreateInviteResponse
from rtcagent.v1.state_pb2 import (
    ConnectionQuality,
    JoinType,
    PublicationState,
    RoomState,
    RoomStatus,
    SubscriptionState,
)

from rtcagent_client.errors import describe_cause
from rtcagent_client.rtcctl.render import phrases
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import describe_remote_stream, enum_word

_COLOURS = {
    RoomState.ROOM_STATE_JOINED: "green",
    RoomState.ROOM_STATE_REFUSED: "red",
}


def room_text(room: RoomStatus) -> str:
    """ "JOINED as kiosk on ws://..., good connection" without the users."""
    who = f" as {room.user_id}" if room.user_id else ""
    where = f" on {room.server_url}" if room.server_url else ""
    is_again = room.join_type == JoinType.JOIN_TYPE_RECONNECTED and room.state == RoomState.ROOM_STATE_JOINED
    text = phrases.joined(
        f"{enum_word(RoomState, room.state)}{' again' if is_again else ''}{who}{where}",
        f"{phrases.low(ConnectionQuality, room.quality)} connection" if room.quality else "",
        phrases.next_try(room),
    )
    return f"{text}: {describe_cause(room.cause)}" if room.HasField("cause") else text


def info_text(name: str, extra_info: str, attributes: Mapping[str, str]) -> str:
    """'"Front desk", {"seat": 4}, floor=2'"""
    pairs = (f"{key}={value}" for key, value in sorted(attributes.items()))
    return phrases.joined(f'"{name}"' if name else "", extra_info, *pairs)


def show_rooms(rooms: Sequence[RoomStatus], screen: Screen) -> None:
    if not rooms:
        screen.line("the agent is asked to be in no room: see rtcctl join")
    for room in rooms:
        text = screen.paint(room_text(room), _COLOURS.get(room.state, "yellow"))
        screen.line(f"{screen.paint(room.room_id, 'bold')}: {text}")
        rows = []
        if shown := info_text(room.name, room.extra_info, room.attributes):
            rows.append(("shown to others", shown))
        if room.HasField("info_cause"):
            rows.append(("not shown", describe_cause(room.info_cause)))
        for publication in room.publications:
            state = phrases.joined(
                enum_word(PublicationState, publication.state),
                phrases.encoder(publication.encoder),
                "muted" if publication.muted else "",
            )
            cause = f": {describe_cause(publication.cause)}" if publication.HasField("cause") else ""
            rows.append((f"send {publication.source_id}", state + cause))
        for user in room.users:
            quality = f"{phrases.low(ConnectionQuality, user.quality)} connection" if user.quality else ""
            rows.append((f"user {user.user_id}", phrases.joined(quality, info_text(user.name, "", user.attributes))))
            for stream in user.streams:
                state = phrases.joined(
                    enum_word(SubscriptionState, stream.subscription) if stream.subscription else "published",
                    f"{stream.width}x{stream.height}" if stream.width else "",
                    "muted" if stream.muted else "",
                )
                rows.append((f"  {describe_remote_stream(stream.kind, stream.name)}", state))
        screen.table(rows, indent="  ")


def show_invite(invite: CreateInviteResponse, screen: Screen) -> None:
    rows = [
        ("server", invite.server_url),
        ("token", invite.token),
        ("expires", phrases.local(invite.expires_at).strftime("%Y-%m-%d %H:%M:%S %z")),
    ]
    screen.table([(screen.paint(name, "dim"), text) for name, text in rows])
