"""drain: waits until no call is running, so that an upgrade or a restart disturbs nobody."""

import argparse
import time

from rtcagent.v1.agent_pb2 import GetStateResponse
from rtcagent.v1.state_pb2 import ROOM_STATE_JOINED, ROOM_STATE_RECONNECTING

from rtcagent_client.blocking import Client
from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.arguments import Subparsers, command
from rtcagent_client.rtcctl.screen import Screen

LOOK_EVERY_S = 1.0


def add(subparsers: Subparsers) -> None:
    command(
        subparsers,
        "drain",
        _drain,
        "wait until no call is running: in no room is anybody else; --timeout: not longer than this, then exit with 3",
    )


def calls(state: GetStateResponse) -> dict[str, list[str]]:
    """The rooms that the agent shares with others, and who those are. A room whose connection is just lost counts."""
    rooms = [room for room in state.reported.rooms if room.state in (ROOM_STATE_JOINED, ROOM_STATE_RECONNECTING)]
    return {room.room_id: [user.user_id for user in room.users] for room in rooms if room.users}


def _drain(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    deadline = None if args.timeout is None else time.monotonic() + args.timeout
    told: dict[str, list[str]] = {}
    while running := calls(client.get_state()):
        if running != told:
            told = running
            for room_id, users in running.items():
                screen.note(f"in a call in room {room_id} with {', '.join(users)}")
        if deadline is not None and time.monotonic() >= deadline:
            break
        time.sleep(LOOK_EVERY_S)
    if screen.as_json:
        screen.document({"calls": running})
    elif not running:
        screen.line("no call is running")
    return exits.WAITING if running else exits.REACHED
