"""What happens in a room is told as events, in order, to those who watch and to those who come later."""

import grpc
import pytest
from rtcagent.v1 import agent_pb2 as ag
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts.bare_publisher import BarePublisher, still
from tests.parts.controller import Watcher, bars, error_reason, watching
from tests.parts.daemon import NAME, Daemon
from tests.parts.picture import make_bars
from tests.parts.room_server import RoomServer

ROOM = "lobby"


async def test_every_step_of_a_visit_is_told(room_server: RoomServer, daemon: Daemon) -> None:
    control = daemon.control
    other = BarePublisher("table")
    try:
        async with watching(control) as watcher:
            await control.start_capture(bars())
            await control.join(ROOM)
            await watcher.event("first_frame_sent")
            await other.join(room_server.url, room_server.token(ROOM, "other"))
            await watcher.event("user_joined", lambda each: each.user.user_id == "other")
            await other.capture(still(make_bars(320, 180)))
            await other.publish()
            await watcher.event("stream_published", lambda each: each.stream.name == "table")
            subscribed = st.SUBSCRIPTION_STATE_SUBSCRIBED
            await watcher.event("subscription_state_changed", lambda each: each.subscription == subscribed)
            other.mute(True)
            await watcher.event("stream_muted", lambda each: each.muted)
            await other.close()
            await watcher.event("user_left", lambda each: each.user_id == "other")
            await control.leave(ROOM)
            await watcher.event("room_state_changed", lambda each: each.room.state == st.ROOM_STATE_LEFT)

            joined = await watcher.event("room_state_changed", lambda each: each.room.state == st.ROOM_STATE_JOINED)
            assert joined.room_state_changed.room.join_type == st.JOIN_TYPE_FIRST
            assert joined.room_id == ROOM
            orders = [
                each.desired_state_changed.method for each in watcher.events if each.HasField("desired_state_changed")
            ]
            assert orders == ["StartVideoCapture", "JoinRoom", "LeaveRoom"]
            in_order(watcher)
            assert_before(watcher, "user_joined", "stream_published", "stream_muted", "user_left")

        async with watching(control, st.Position(log_id=watcher.log_id, seq=0)) as later:
            await later.until(lambda: len(later.events) >= watcher.events[-1].seq, timeout_ms=5000, what="all events")
            in_order(later)
            same = {each.seq: each.SerializeToString(deterministic=True) for each in later.events}
            for event in watcher.events:
                assert same[event.seq] == event.SerializeToString(deterministic=True)
    finally:
        await other.close()


async def test_kicked_out_is_refused_and_a_closed_room_is_joined_again(room_server: RoomServer, daemon: Daemon) -> None:
    control = daemon.control
    await control.join(ROOM)
    async with watching(control) as watcher:
        await room_server.delete_room(ROOM)
        back = await watcher.event("room_state_changed", lambda each: each.room.state == st.ROOM_STATE_JOINED)
        assert back.room_state_changed.room.join_type == st.JOIN_TYPE_RECONNECTED
        await room_server.kick(ROOM, NAME)
        refused = await watcher.event("room_state_changed", lambda each: each.room.state == st.ROOM_STATE_REFUSED)
        assert refused.room_state_changed.room.cause.reason == ty.REASON_KICKED_OUT


async def test_filters_and_foreign_positions(daemon: Daemon) -> None:
    control = daemon.control
    position = (await control.state()).position
    async with watching(control, types=["capture_state_changed"]) as watcher:
        await control.start_capture(bars())
        capturing = st.CAPTURE_STATE_CAPTURING
        await watcher.event("capture_state_changed", lambda each: each.capture.state == capturing)
        assert {each.WhichOneof("payload") for each in watcher.events} == {"capture_state_changed"}

    async with watching(control, st.Position(log_id="of-another-agent", seq=3)) as stranger:
        await stranger.until(lambda: bool(stranger.gaps), timeout_ms=5000, what="a gap")
        assert stranger.gaps[0].first_missing_seq == 0

    for request, reason in [
        (ag.WatchEventsRequest(after=st.Position(log_id=position.log_id, seq=position.seq + 10_000)), "POSITION"),
        (ag.WatchEventsRequest(types=["camera_exploded"]), "TYPE"),
    ]:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await anext(aiter(control.agent.WatchEvents(request, timeout=5)))
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason in error_reason(raised.value)


async def test_state_and_later_events_make_the_later_state(room_server: RoomServer, daemon: Daemon) -> None:
    """GetState at S with the events after S applied is GetState at T."""
    from rtcagent_client.fold import apply

    control = daemon.control
    early = await control.state()
    async with watching(control, early.position) as watcher:
        await control.start_capture(bars())
        await control.join(ROOM)
        await control.mute(ROOM, True)
        await watcher.event("publication_state_changed", lambda each: each.publication.muted)
        late = await control.state()
        await watcher.until(
            lambda: bool(watcher.events) and watcher.events[-1].seq >= late.position.seq, timeout_ms=5000, what="all"
        )
    for event in watcher.events:
        if event.seq <= late.position.seq:
            apply(early.reported, event)
    assert early.reported == late.reported


def in_order(watcher: Watcher) -> None:
    seqs = [each.seq for each in watcher.events]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


def assert_before(watcher: Watcher, *payloads: str) -> None:
    kinds: list[str | None] = [each.WhichOneof("payload") for each in watcher.events]
    places = [kinds.index(payload) for payload in payloads]
    assert places == sorted(places), kinds
