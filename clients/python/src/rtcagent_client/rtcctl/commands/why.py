"""why: the first broken link between an order and the frames in a room."""

import argparse
import time

from rtcagent.v1.capture_pb2 import GetCaptureStatsResponse

from rtcagent_client.blocking import Client
from rtcagent_client.errors import RtcAgentError
from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.arguments import Subparsers, UsageError, command
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.rtcctl.why.chain import Chain, Reader
from rtcagent_client.rtcctl.why.history import since
from rtcagent_client.rtcctl.why.show import as_document, show_chain

MEASURE_S = 1.0  # between two looks at the counters of frames


def add(subparsers: Subparsers) -> None:
    why = command(subparsers, "why", _why, "show why a room or source is not as asked for, since when, and what to do")
    why.add_argument("what", metavar="WHAT", nargs="?", help="ROOM, SOURCE or ROOM/SOURCE (default: all there is)")
    why.add_argument("--as", dest="kind", choices=["room", "source"], help="what WHAT is, where both have that name")


def _why(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    first = _stats(client)
    time.sleep(MEASURE_S if first.publications else 0)
    later = _stats(client) if first.publications else first
    state = client.get_state()
    reader = Reader(state, first, later)
    chains = chains_of(reader, args.what, args.kind)
    histories = [since(client, state.position, chain, chain.broken) if chain.broken else None for chain in chains]
    if screen.as_json:
        screen.document({"chains": [as_document(*pair) for pair in zip(chains, histories, strict=True)]})
    else:
        for number, (chain, history) in enumerate(zip(chains, histories, strict=True)):
            if number:
                screen.line()
            show_chain(chain, history, screen)
        if not chains:
            screen.line("nothing is asked for: see rtcctl join, rtcctl camera on")
    return max((_exit_code(chain) for chain in chains), default=exits.REACHED)


def chains_of(reader: Reader, what: str | None, kind: str | None) -> list[Chain]:
    """The chains that are asked about: of each stream, else of the room or the source alone."""
    pairs = _targets(reader, what, kind)
    if not pairs and what is not None:
        return [reader.unknown(what)]
    return [reader.chain(*pair) for pair in pairs]


def _targets(reader: Reader, what: str | None, kind: str | None) -> list[tuple[str, str]]:
    sent = list(reader.sent())
    rooms, sources = reader.room_ids(), reader.source_ids()
    if what is None:
        alone = [(room, "") for room in sorted(rooms - {room for room, _ in sent})]
        return [*sent, *alone, *(("", source) for source in sorted(sources - {source for _, source in sent}))]
    room_id, slash, source_id = what.partition("/")
    if slash:
        if not room_id or not source_id:
            raise UsageError(f"{what!r} is neither ROOM, SOURCE nor ROOM/SOURCE")
        return [(room_id, source_id)]
    if kind is None and what in rooms and what in sources:
        raise UsageError(f"there is both a room and a source {what!r}: add --as room or --as source")
    if kind == "source" or (kind is None and what in sources):
        return [pair for pair in sent if pair[1] == what] or [("", what)]
    if kind == "room" or what in rooms:
        return [pair for pair in sent if pair[0] == what] or [(what, "")]
    return []


def _stats(client: Client) -> GetCaptureStatsResponse:
    """The counters of frames; none while there is no engine to count them."""
    try:
        return client.get_capture_stats()
    except RtcAgentError as error:
        if not error.reason.startswith("ENGINE_"):
            raise
        return GetCaptureStatsResponse()


def _exit_code(chain: Chain) -> int:
    broken = chain.broken
    if broken is None:
        return exits.REACHED
    return exits.REFUSED if broken.is_refused else exits.WAITING
