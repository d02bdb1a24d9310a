"""What the answer to an order means, and what becomes of orders that must wait, are repeated, or end."""

import asyncio
import time
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rtcagent.v1 import capture_pb2 as cap
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts.controller import Controller, all_reached, bars, error_reason, kind_and_reason, names, watching
from tests.parts.daemon import NAME, Daemon, MakeDaemon
from tests.parts.listener import Listener
from tests.parts.ports import free_tcp_port
from tests.parts.room_server import RoomServer

ROOM = "lobby"
SOON = ty.OrderOptions(wait_ms=300)
REACHED = ("REACHED", "")
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def id_order(request_id: str) -> ty.OrderOptions:
    return ty.OrderOptions(request_id=request_id)


async def test_an_unreachable_server_is_waited_for(room_server: RoomServer, daemon: Daemon) -> None:
    await room_server.kill()
    control = daemon.control
    assert kind_and_reason(await control.join(ROOM, order=SOON)) == ("WAITING", "SERVER_UNREACHABLE")
    state = await control.state()
    assert [names(each) for each in state.differences] == [("WAITING", "SERVER_UNREACHABLE")]
    assert state.differences[0].cause.message
    async with watching(control) as watcher:
        await room_server.start()
        await watcher.event("room_state_changed", lambda each: each.room.state == st.ROOM_STATE_JOINED)
    assert kind_and_reason(await control.join(ROOM)) == REACHED
    assert not (await control.state()).differences


async def test_publishing_waits_for_room_and_capture(
    room_server: RoomServer, daemon: Daemon, listener: Listener
) -> None:
    """The orders come in the opposite order, as the guide allows, and all come true."""
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    control = daemon.control
    assert kind_and_reason(await control.publish(ROOM, order=SOON)) == ("WAITING", "ROOM_NOT_JOINED")
    await control.join(ROOM, auto_publish=False)
    assert kind_and_reason(await control.publish(ROOM, order=SOON)) == ("WAITING", "SOURCE_NOT_CAPTURED")
    assert kind_and_reason(await control.start_capture(bars())) == REACHED
    assert kind_and_reason(await control.publish(ROOM)) == REACHED
    await listener.frames(NAME, "camera", count=10)


async def test_a_rejected_token_is_refused_until_there_is_a_better_one(room_server: RoomServer, daemon: Daemon) -> None:
    control = daemon.control
    wrong = room_server.token(ROOM, NAME, secret="another-secret-of-thirty-two-characters")
    assert kind_and_reason(await control.join(ROOM, token=wrong)) == ("REFUSED", "TOKEN_REJECTED")
    assert (await control.room(ROOM) or st.RoomStatus()).state == st.ROOM_STATE_REFUSED
    expired = room_server.token(ROOM, NAME, ttl_s=-600)
    assert kind_and_reason(await control.join(ROOM, token=expired)) == ("REFUSED", "TOKEN_REJECTED")
    assert kind_and_reason(await control.join(ROOM, token=room_server.token(ROOM, NAME))) == REACHED


async def test_a_token_without_the_right_to_publish(room_server: RoomServer, daemon: Daemon) -> None:
    control = daemon.control
    await control.start_capture(bars())
    await control.join(ROOM, token=room_server.token(ROOM, NAME, can_publish=False), auto_publish=False)
    assert kind_and_reason(await control.publish(ROOM)) == ("REFUSED", "NO_PERMISSION")


async def test_a_later_order_supersedes_one_that_waits(room_server: RoomServer, daemon: Daemon) -> None:
    await room_server.kill()
    control = daemon.control
    async with watching(control) as watcher:
        joining = asyncio.ensure_future(control.join(ROOM, order=ty.OrderOptions(wait_ms=20_000)))
        await watcher.event("desired_state_changed", lambda each: each.method == "JoinRoom")
        assert all_reached(await control.leave(ROOM))
        assert kind_and_reason(await joining)[0] == "SUPERSEDED"


async def test_a_repeated_request_has_one_effect(daemon: Daemon) -> None:
    """Also over a restart of the daemon; with other contents the same id is an error."""
    control = daemon.control
    first = await control.start_capture(bars(), order=id_order("one"))
    again = await control.start_capture(bars(), order=id_order("one"))
    assert again == first
    await control.stop_capture(order=id_order("two"))
    await control.start_capture(bars(), order=id_order("one"))  # had its effect long ago, and has it once
    assert not (await control.desired()).captures

    await daemon.stop()
    await daemon.start()
    late = await control.start_capture(bars(), order=id_order("one"))
    assert late.revision == first.revision
    assert kind_and_reason(late) == ("SUPERSEDED", "SUPERSEDED")
    assert not (await control.desired()).captures
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await control.start_capture(bars(320, 240), order=id_order("one"))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error_reason(raised.value)


async def test_an_order_that_changes_nothing_makes_no_revision(daemon: Daemon) -> None:
    control = daemon.control
    first = await control.start_capture(bars())
    assert (await control.start_capture(bars())).revision == first.revision


async def test_an_order_ends_at_its_time_and_is_never_replayed(
    room_server: RoomServer, daemon: Daemon, listener: Listener
) -> None:
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    control = daemon.control
    end = Timestamp()
    end.FromNanoseconds(time.time_ns() + 2_500_000_000)
    keep = ty.Keep(kind=ty.Keep.KIND_UNTIL, until=end)
    await control.start_capture(bars())  # the room server tells of users without streams only every 3 s
    async with watching(control) as watcher:
        assert kind_and_reason(await control.join(ROOM, order=ty.OrderOptions(keep=keep))) == REACHED
        ended = await watcher.event("order_ended")
        assert ended.order_ended.object.room_id == ROOM
        assert ended.order_ended.cause.reason == ty.REASON_KEEP_ENDED
        await listener.event("participant_disconnected", NAME)
    assert not (await control.desired()).rooms
    await daemon.kill()
    await daemon.start()
    state = await control.state()
    assert not state.desired.rooms
    assert not state.reported.rooms


async def test_alone_in_the_room_for_its_time_it_leaves(
    room_server: RoomServer, daemon: Daemon, listener: Listener
) -> None:
    control = daemon.control
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    keep = ty.Keep(kind=ty.Keep.KIND_UNTIL_ALONE, alone_s=1)
    async with watching(control) as watcher:
        assert kind_and_reason(await control.join(ROOM, order=ty.OrderOptions(keep=keep))) == REACHED
        await listener.close()
        await watcher.event("order_ended")
        left = await watcher.event("user_left")
        ended = await watcher.event("order_ended")
        assert 900 <= (ended.at.ToMilliseconds() - left.at.ToMilliseconds()) <= 3000


async def test_a_deadline_of_1_ms_leaves_one_of_the_two_whole_states(daemon: Daemon) -> None:
    control = daemon.control
    await control.start_capture(bars())
    for index in range(20):
        width = 320 + 2 * (index % 2) * 160
        config = bars(width, 240)
        before = (await control.desired()).captures[0].config
        request = id_order(f"hurry-{index}")
        code = grpc.StatusCode.OK  # which a fast machine may even answer in time
        try:
            await hurried(control, config, request)
        except grpc.aio.AioRpcError as error:
            code = error.code()
        assert code in (grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED)
        assert (await control.desired()).captures[0].config in (before, config)
        assert kind_and_reason(await control.start_capture(config, order=request)) == REACHED  # the way out
        assert (await control.desired()).captures[0].config == config


async def test_the_answer_comes_before_the_deadline(room_server: RoomServer, daemon: Daemon) -> None:
    """With wait_ms longer than the deadline, WAITING is told in time, rather than DEADLINE_EXCEEDED."""
    await room_server.kill()
    patient = ty.OrderOptions(wait_ms=60_000)
    result = await daemon.control.join(ROOM, order=patient, deadline_s=1.0)
    assert kind_and_reason(result)[0] == "WAITING"


async def test_clients_that_vanish_in_the_middle_of_a_call(room_server: RoomServer, daemon: Daemon) -> None:
    await room_server.kill()
    control = daemon.control
    async with watching(control) as watcher:
        for number in range(5):
            vanishing = Controller(daemon.address)
            patient = ty.OrderOptions(wait_ms=20_000)
            joining = asyncio.ensure_future(vanishing.join(f"room-{number}", order=patient))
            await watcher.until(
                lambda room_id=f"room-{number}": room_id in {each.room_id for each in watcher.events},  # type: ignore[misc]
                timeout_ms=5000,
                what="the order is stored",
            )
            await vanishing.close()
            await asyncio.gather(joining, return_exceptions=True)
    assert len((await control.desired()).rooms) == 5  # what was stored holds, whoever is there to hear of it
    for number in range(5):
        assert all_reached(await control.leave(f"room-{number}"))


async def test_garbage_on_the_ports(make_daemon: MakeDaemon) -> None:
    port = free_tcp_port()
    runs_at = f"127.0.0.1:{port}"
    daemon = await make_daemon(also_listen=[{"address": runs_at, "insecure": True}])
    control = daemon.control
    before = await control.desired()
    garbage = [
        b"\x00" * 5000,
        b"GET / HTTP/1.1\r\nHost: agent\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        HTTP2 + b"\xff" * 4096,
        HTTP2 + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\x00\x00\x05\x00\x04\x00\x00\x00\x01AAAAA",
    ]
    for junk in garbage:
        await send_junk(*await asyncio.open_connection("127.0.0.1", port), junk)
        await send_junk(*await asyncio.open_unix_connection(str(daemon.socket)), junk)
    not_a_message: Any = control.channel.unary_unary("/rtcagent.v1.Rooms/JoinRoom")
    for junk in garbage:
        with pytest.raises(grpc.aio.AioRpcError):
            await not_a_message(junk, timeout=5)
    assert await control.desired() == before
    over_tcp = Controller(runs_at)
    assert kind_and_reason(await over_tcp.start_capture(bars())) == REACHED
    await over_tcp.close()
    assert daemon.returncode is None


async def hurried(control: Controller, config: ty.CaptureConfig, order: ty.OrderOptions) -> None:
    await control.capture.StartVideoCapture(cap.StartVideoCaptureRequest(config=config, order=order), timeout=0.001)


async def send_junk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, junk: bytes) -> None:
    """Send it and go away, as soon as the daemon has taken it or has hung up."""
    try:
        writer.write(junk)
        await writer.drain()
    except ConnectionError:
        return  # hung up at the first bytes, as it may
    finally:
        writer.close()
