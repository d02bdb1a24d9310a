"""statistics, statistics-interval."""

import argparse
import threading

from rtcagent_client.blocking import Client
from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.arguments import Subparsers, add_order_options, command, count, order_arguments
from rtcagent_client.rtcctl.commands.orders import show_result
from rtcagent_client.rtcctl.render.statistics import show_statistics
from rtcagent_client.rtcctl.screen import Screen


def add(subparsers: Subparsers) -> None:
    show = command(subparsers, "statistics", _statistics, "show how the streams of the rooms get through")
    show.add_argument("--room", action="append", default=[], metavar="ROOM", help="only of this room")
    show.add_argument("--over", metavar="MS", type=count, default=0, help="how long to measure (default 1000)")
    show.add_argument("--watch", action="store_true", help="again and again, as often as the rooms are asked for with")
    show.add_argument("--count", metavar="N", type=count, help="with --watch: end after so many")
    interval = command(
        subparsers, "statistics-interval", _interval, "set how often statistics of a room are told to those who watch"
    )
    interval.add_argument("room", metavar="ROOM")
    interval.add_argument("interval", metavar="MS", type=count, help="200-60000; 0 for every 2000")
    add_order_options(interval)


def _statistics(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    if not args.watch:
        one = client.get_statistics(args.room, over_ms=args.over)
        if screen.as_json:
            screen.document(one)
        else:
            show_statistics(one, screen)
        return exits.REACHED
    left = args.count
    with client.statistics(args.room, on_lost=lambda error: screen.note(f"{error}; reconnecting")) as readings:
        if args.timeout is not None:
            timer = threading.Timer(args.timeout, readings.close)
            timer.daemon = True
            timer.start()
        for one in readings:
            if screen.as_json:
                screen.document(one, one_line=True)
            else:
                show_statistics(one, screen)
                screen.line()
            if left is not None:
                left -= 1
                if left <= 0:
                    break
    return exits.REACHED


def _interval(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.set_statistics_interval(args.room, args.interval, check=False, **order_arguments(args))
    return show_result(result, screen)
