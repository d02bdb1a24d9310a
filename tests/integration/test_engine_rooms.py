"""Joining and leaving rooms, and the other users in them."""

import asyncio
import contextlib
import socket

import grpc
import pytest
from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import types_pb2 as types

from tests.integration.engine_harness import EngineUnderTest, StepFailed, engine
from tests.parts.listener import Listener
from tests.parts.ports import free_tcp_port
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until

__all__ = ["engine"]


async def test_join_tells_how_the_room_sees_the_agent(engine: EngineUnderTest, room_server: RoomServer) -> None:
    """The user's name comes from the token, extra_info is as the room has it; joining again changes nothing."""
    status = await engine.join(room_server, "lab", "kiosk-1", extra_info='{"desk": 3}')
    assert status.user_id == "kiosk-1"
    assert status.extra_info == '{"desk": 3}'
    assert status.HasField("joined_at")
    assert await room_server.participants("lab") == ["kiosk-1"]


async def test_extra_info_that_the_room_does_not_take_is_told(engine: EngineUnderTest, room_server: RoomServer) -> None:
    """Without the grant a room refuses silently: the status shows what it has, and says why."""
    token = room_server.token("lab", "agent", canUpdateOwnMetadata=False)
    status = await engine.join(room_server, "lab", extra_info="{}", token=token)
    assert status.extra_info == ""
    assert status.info_cause.reason == types.REASON_NO_PERMISSION


@pytest.mark.parametrize(
    ("fields", "reason", "permanent"),
    [
        ({"server_url": "refused"}, types.REASON_SERVER_UNREACHABLE, False),
        ({"server_url": "ws://no-such-host.invalid"}, types.REASON_SERVER_UNREACHABLE, False),
        ({"server_url": "ws://"}, types.REASON_URL_INVALID, True),
        ({"server_url": "ftp://127.0.0.1"}, types.REASON_URL_INVALID, True),
        ({"token": "garbage"}, types.REASON_TOKEN_REJECTED, True),
        ({"token": "expired"}, types.REASON_TOKEN_REJECTED, True),
        ({"token": "forged"}, types.REASON_TOKEN_REJECTED, True),
    ],
)
async def test_a_join_that_fails_says_why(
    engine: EngineUnderTest,
    room_server: RoomServer,
    fields: dict[str, str],
    reason: types.Reason.ValueType,
    permanent: bool,
) -> None:
    """Each cause has its reason, and none shows the token."""
    forged = room_server.token("lab", "agent", secret="x" * 40)
    tokens = {"expired": room_server.token("lab", "agent", ttl_s=-600), "forged": forged}
    fields = {key: tokens.get(value, value) for key, value in fields.items()}
    if fields.get("server_url") == "refused":
        fields["server_url"] = f"ws://127.0.0.1:{free_tcp_port()}"
    with pytest.raises(StepFailed) as failure:
        await engine.join(room_server, "lab", **fields)
    assert (failure.value.reason, failure.value.permanent) == (reason, permanent), failure.value
    assert forged.split(".")[2] not in failure.value.message + engine.log()
    await engine.join(room_server, "lab")


async def test_a_cancelled_join_leaves_nothing(engine: EngineUnderTest, room_server: RoomServer) -> None:
    """A daemon that gives up in the middle of joining has no user in the room, and can join at once."""
    for delay_ms in (1, 20, 40, 60):
        with contextlib.suppress(grpc.aio.AioRpcError):
            await engine.stub.Join(engine.join_request(room_server, "lab", "agent"), timeout=delay_ms / 1000)
            await engine.leave("lab")  # it was quicker
        # A join that is still to be undone may yet come up for a moment; attaching waits for that.
        assert not (await engine.attach()).report.rooms
        await until(lambda: _is(room_server, "lab", []), timeout_ms=5000, what="the agent is not in the room")
    await engine.join(room_server, "lab")
    assert await room_server.participants("lab") == ["agent"]


async def test_a_server_that_never_answers_delays_no_other_room(
    engine: EngineUnderTest, room_server: RoomServer
) -> None:
    """One step in flight for each room: others do not wait for it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        stuck = asyncio.create_task(engine.join(room_server, "stuck", server_url=url))
        async with asyncio.timeout(3):
            await engine.join(room_server, "lab")
        assert not stuck.done()
        with pytest.raises(StepFailed) as failure:
            await stuck
        assert failure.value.reason in (types.REASON_TIMEOUT, types.REASON_SERVER_UNREACHABLE)
        assert not failure.value.permanent


async def test_leave_and_join_again_and_again(engine: EngineUnderTest, room_server: RoomServer) -> None:
    """Ten times, without a rest between."""
    await engine.set_gate("camera", send=[("lab", "camera")])
    await engine.open_pattern("camera")
    for _ in range(10):
        await engine.join(room_server, "lab")
        await engine.publish("lab", "camera")
        await engine.leave("lab")
    await engine.leave("lab")  # a room that one is not in
    await until(lambda: _is(room_server, "lab", []), timeout_ms=3000, what="the server knows that the agent has left")
    assert not (await engine.stats()).publications


async def test_another_configuration_joins_anew(engine: EngineUnderTest, room_server: RoomServer) -> None:
    """One connection for each room_id, whatever is asked."""
    await engine.join(room_server, "lab", "first")
    await engine.join(room_server, "lab", "second")
    await until(
        lambda: _is(room_server, "lab", ["second"]), timeout_ms=3000, what="only the second user is in the room"
    )


async def test_a_duplicate_user_ends_the_room_for_good(
    engine: EngineUnderTest, room_server: RoomServer, listener: Listener
) -> None:
    """Somebody else takes the user's place: the engine does not fight for it."""
    await engine.join(room_server, "lab", "kiosk")
    await listener.join(room_server.url, room_server.token("lab", "kiosk"))
    ended = await engine.event("room_ended")
    assert ended.room_id == "lab"
    assert ended.failure.cause.reason == types.REASON_DUPLICATE_USER
    assert ended.failure.permanent
    report = (await engine.attach()).report
    assert not report.rooms


async def test_a_kicked_agent_is_out_for_good(engine: EngineUnderTest, room_server: RoomServer) -> None:
    """Removed by the administrator: everything of the room is closed."""
    await engine.set_gate("camera", send=[("lab", "camera")])
    await engine.open_pattern("camera")
    await engine.join(room_server, "lab")
    await engine.publish("lab", "camera")
    await room_server.kick("lab", "agent")
    ended = await engine.event("room_ended")
    assert ended.failure.cause.reason == types.REASON_KICKED_OUT
    assert ended.failure.permanent
    assert not (await engine.stats()).publications
    assert not [event for event in engine.events if event.HasField("publication_ended")]
    await engine.join(room_server, "lab")  # as it would after an order


async def test_a_deleted_room_may_be_joined_again(engine: EngineUnderTest, room_server: RoomServer) -> None:
    """Closed by the server: not for good."""
    await engine.join(room_server, "lab")
    await room_server.delete_room("lab")
    ended = await engine.event("room_ended")
    assert ended.failure.cause.reason == types.REASON_ROOM_CLOSED
    assert not ended.failure.permanent
    await engine.join(room_server, "lab")


@pytest.mark.timeout(120)
async def test_a_lost_server_is_told_and_rejoined(
    engine: EngineUnderTest, room_server: RoomServer, listener: Listener
) -> None:
    """The connection is restored by the SDK, or the room ends and can be joined again; either way frames come back."""
    await engine.set_gate("camera", send=[("lab", "camera")])
    await engine.open_pattern("camera")
    await engine.join(room_server, "lab")
    await engine.publish("lab", "camera")
    await room_server.kill()
    lost = await engine.event("room_reconnecting", timeout_ms=30_000)
    assert lost.cause.reason == types.REASON_NETWORK_LOST
    await room_server.start()

    def is_settled() -> bool:
        return any(event.WhichOneof("event") in ("room_reconnected", "room_ended") for event in engine.events)

    await until(is_settled, timeout_ms=60_000, what="the room is restored or ended")
    if any(event.HasField("room_ended") for event in engine.events):
        await engine.join(room_server, "lab")
        await engine.publish("lab", "camera")
    await listener.join(room_server.url, room_server.token("lab", "watcher"))
    await listener.frames("agent", "camera", count=10)
    (publication,) = (await engine.attach()).report.rooms[0].publications
    assert publication.source_id == "camera"
    await engine.mute("lab", "camera", True)
    await listener.until_muted("agent", "camera", True)
    await engine.unpublish("lab", "camera")
    await listener.event("track_unpublished", "agent", "camera")


async def test_users_and_their_streams_come_as_events(engine: EngineUnderTest, room_server: RoomServer) -> None:
    """Those who are there already, those who come, and those who go."""
    early, late = EngineUnderTest(engine.socket.parent), Listener()
    async with early:
        await early.attach()
        await early.set_gate("camera", send=[("lab", "camera")])
        await early.open_pattern("camera")
        await early.join(room_server, "lab", "early", extra_info='{"n": 1}')
        await early.publish("lab", "camera", name="front")
        await engine.join(room_server, "lab", auto_subscribe_video=False)
        joined = await engine.event("user_joined", lambda event: event.user.user_id == "early")
        assert joined.user.extra_info == '{"n": 1}'
        published = await engine.event("stream_published")
        assert (published.user_id, published.stream.name) == ("early", "front")
        assert published.stream.kind == types.STREAM_KIND_CAMERA
        await late.join(room_server.url, room_server.token("lab", "late"))
        await engine.event("user_joined", lambda event: event.user.user_id == "late")
        await early.mute("lab", "camera", True)
        assert (await engine.event("stream_muted")).muted
        await early.unpublish("lab", "camera")
        assert (await engine.event("stream_unpublished")).name == "front"
        await late.close()
        left = await engine.event("user_left", lambda event: event.user_id == "late")
        assert left.cause.reason == types.REASON_USER_LEFT
    await engine.event("user_left", lambda event: event.user_id == "early")


async def test_received_video_is_taken_natively(engine: EngineUnderTest, room_server: RoomServer) -> None:
    """Subscribed by configuration, no longer by order, and again; a snapshot shows the stream."""
    async with EngineUnderTest(engine.socket.parent) as other:
        await other.attach()
        await other.set_gate("camera", send=[("lab", "camera")])
        await other.open_pattern("camera")
        await engine.join(room_server, "lab")
        await other.join(room_server, "lab", "other")
        await other.publish("lab", "camera", name="front")
        stream = types.ObjectRef.RemoteStream(
            room_id="lab", user_id="other", kind=types.STREAM_KIND_CAMERA, name="front"
        )
        await engine.event("subscription_changed", lambda event: event.subscribed)

        async def has_picture() -> bool:
            return bool((await engine.snapshot(remote_stream=stream)).image)

        await until(has_picture, timeout_ms=5000, what="a picture of the stream has come")
        snapshot = await engine.snapshot(remote_stream=stream)
        assert snapshot.image.startswith(b"\x89PNG")
        assert (snapshot.width, snapshot.height) == (320, 240)
        (stats,) = (await engine.stats()).remote_streams
        assert stats.frames_received > 0
        await engine.subscribe("lab", "other", types.STREAM_KIND_CAMERA, "front", False)
        missing = (await engine.snapshot(remote_stream=stream)).missing
        assert missing == contract.TakeSnapshotResponse.MISSING_NOT_SUBSCRIBED
        assert not (await engine.stats()).remote_streams
        await engine.subscribe("lab", "other", types.STREAM_KIND_CAMERA, "front", True)
        await until(has_picture, timeout_ms=5000, what="a picture has come again")
        with pytest.raises(StepFailed) as failure:
            await engine.subscribe("lab", "other", types.STREAM_KIND_CAMERA, "back", True)
        assert failure.value.reason == types.REASON_STREAM_NOT_PUBLISHED


async def _is(room_server: RoomServer, room_id: str, users: list[str]) -> bool:
    return await room_server.participants(room_id) == users
