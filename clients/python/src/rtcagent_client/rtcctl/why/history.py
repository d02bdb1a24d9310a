"""Finds in the event log the moment at which a link broke."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rtcagent.v1.agent_pb2 import Gap
from rtcagent.v1.event_pb2 import Event
from rtcagent.v1.state_pb2 import (
    CaptureState,
    EngineState,
    MediaState,
    Position,
    PublicationState,
    ReportedState,
    RoomState,
)
from rtcagent.v1.types_pb2 import ObjectRef

from rtcagent_client import fold
from rtcagent_client.blocking import Client
from rtcagent_client.errors import RtcAgentError
from rtcagent_client.rtcctl.why.chain import Chain, Link

WINDOWS = (2_000, 20_000, 1 << 62)  # events to look at, from the end: mostly the fault is recent

IsWhole = Callable[[ReportedState], bool]


@dataclass
class Since:
    """Since when a link is broken."""

    event: Event | None = None  # that broke it; None: it was never whole, as far as the log goes back
    oldest: Event | None = None  # of the log


def replay(client: Client, position: Position, count: int) -> Iterator[Event]:
    """The last `count` events up to `position`, or as many as there still are."""

    def give_up(error: RtcAgentError) -> None:
        raise error

    if not position.seq:
        return
    after = Position(log_id=position.log_id, seq=max(0, position.seq - count))
    with client.events(after, on_gap="yield", on_lost=give_up) as events:
        for item in events:
            if not isinstance(item, Gap):
                yield item
            seq = item.next_seq - 1 if isinstance(item, Gap) else item.seq
            if seq >= position.seq:
                return


def since(client: Client, position: Position, chain: Chain, link: Link) -> Since:
    """When the link broke that is broken at `position`."""
    if link.name == "order":
        return _order_ended(client, position, link.missing)
    is_whole = _whole(link.name, chain.room_id, chain.source_id)
    for window in WINDOWS:
        found = Since()
        state = ReportedState()
        was_whole = False
        for event in replay(client, position, window):
            found.oldest = found.oldest or event
            _make_room(state, event)
            fold.apply(state, event)
            whole = is_whole(state)
            if was_whole and not whole:
                found.event = event
            was_whole = whole
        if found.event is not None or window >= position.seq:
            break
    return found


def _make_room(state: ReportedState, event: Event) -> None:
    """A window begins anywhere: the room of a publication may have been joined before it."""
    kind = event.WhichOneof("payload")
    if kind == "publication_state_changed":
        room_id = event.publication_state_changed.publication.room_id
        if fold.find_room(state, room_id) is None:
            state.rooms.add(room_id=room_id)
            state.rooms.sort(key=lambda room: room.room_id)


def _whole(link: str, room_id: str, source_id: str) -> IsWhole:
    """What is so while the link is whole."""

    def engine(state: ReportedState) -> bool:
        return state.engine.state == EngineState.ENGINE_STATE_RUNNING

    def captured(state: ReportedState) -> bool:
        capture = fold.find_capture(state, source_id)
        return capture is not None and capture.state == CaptureState.CAPTURE_STATE_CAPTURING

    def joined(state: ReportedState) -> bool:
        room = fold.find_room(state, room_id)
        return room is not None and room.state == RoomState.ROOM_STATE_JOINED

    def published(state: ReportedState) -> bool:
        publication = fold.find_publication(state, room_id, source_id)
        return publication is not None and publication.state == PublicationState.PUBLICATION_STATE_PUBLISHED

    def flowing(state: ReportedState) -> bool:
        publication = fold.find_publication(state, room_id, source_id)
        broken = (MediaState.MEDIA_STATE_NO_FRAMES, MediaState.MEDIA_STATE_STALLED)
        return published(state) and publication is not None and publication.media_state not in broken

    return {
        "engine": engine,
        "device": captured,
        "capture": captured,
        "server": joined,
        "room": joined,
        "permission": published,
        "publication": published,
        "frames": flowing,
    }[link]


def _order_ended(client: Client, position: Position, missing: Sequence[ObjectRef]) -> Since:
    """The last order, or end of an order, about what nobody asks for now."""
    for window in WINDOWS:
        found = Since()
        for event in replay(client, position, window):
            found.oldest = found.oldest or event
            about: list[ObjectRef] = []
            if event.HasField("desired_state_changed"):
                about = list(event.desired_state_changed.objects)
            elif event.HasField("order_ended"):
                about = [event.order_ended.object]
            if any(ref in about for ref in missing):
                found.event = event
        if found.event is not None or window >= position.seq:
            break
    return found
