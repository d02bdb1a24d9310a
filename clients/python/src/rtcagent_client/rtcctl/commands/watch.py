"""watch: the event log, live or from any place in it."""

import argparse
import threading

from rtcagent.v1.agent_pb2 import Gap
from rtcagent.v1.event_pb2 import Event
from rtcagent.v1.state_pb2 import Position

from rtcagent_client.blocking import Client
from rtcagent_client.errors import RtcAgentError, describe_gap
from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.arguments import Subparsers, command, count
from rtcagent_client.rtcctl.render.events import event_line
from rtcagent_client.rtcctl.screen import Screen, to_dict

TYPES = [field.name for field in Event.DESCRIPTOR.oneofs_by_name["payload"].fields]


def add(subparsers: Subparsers) -> None:
    watch = command(subparsers, "watch", _watch, "follow what happens, until it is interrupted")
    start = watch.add_mutually_exclusive_group()
    start.add_argument(
        "--from", dest="from_seq", metavar="SEQ", type=count, help="begin with this event (default: now)"
    )
    start.add_argument("--from-start", action="store_true", help="begin with the oldest event that there still is")
    watch.add_argument(
        "--type", action="append", default=[], choices=TYPES, metavar="TYPE", help=f"only these: {', '.join(TYPES)}"
    )
    watch.add_argument(
        "--room", action="append", default=[], metavar="ROOM", help="only events about this room or none"
    )
    watch.add_argument("--count", metavar="N", type=count, help="end after so many events")


class _Connection:
    """Tells of each outage once, however often it is tried to restore the connection."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._is_lost = False

    def lost(self, error: RtcAgentError) -> None:
        if not self._is_lost:
            self._screen.note(f"{error.message}; reconnecting")
        self._is_lost = True

    def restored(self) -> None:
        self._screen.note("connected again")
        self._is_lost = False


def _watch(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    after = None
    if args.from_start or args.from_seq is not None:
        log_id = client.get_state().position.log_id
        after = Position(log_id=log_id, seq=max(0, (args.from_seq or 1) - 1))
    connection = _Connection(screen)
    exit_code = exits.REACHED
    left = args.count
    with client.events(
        after, args.type, args.room, on_gap="yield", on_lost=connection.lost, on_restored=connection.restored
    ) as events:
        if args.timeout is not None:
            timer = threading.Timer(args.timeout, events.close)
            timer.daemon = True
            timer.start()
        is_first = True
        for item in events:
            if isinstance(item, Gap):
                if not (is_first and args.from_start):  # that the oldest events are gone is what --from-start expects
                    exit_code = exits.GAP
                _show_gap(item, screen)
            else:
                _show(item, screen)
                if left is not None:
                    left -= 1
                    if left <= 0:
                        break
            is_first = False
    return exit_code


def _show(event: Event, screen: Screen) -> None:
    if screen.as_json:
        screen.document(event, one_line=True)
    else:
        screen.line(event_line(event, screen))


def _show_gap(gap: Gap, screen: Screen) -> None:
    screen.note(describe_gap(gap))
    if screen.as_json:
        screen.document({"gap": to_dict(gap)}, one_line=True)
