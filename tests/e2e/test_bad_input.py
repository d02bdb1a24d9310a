"""What can never work gets an error that names the field, and changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rtcagent.v1 import capture_pb2 as cap
from rtcagent.v1 import devices_pb2 as dv
from rtcagent.v1 import rooms_pb2 as rm
from rtcagent.v1 import types_pb2 as ty

from tests.parts.controller import Controller, bars, error_reason, violated_fields
from tests.parts.daemon import NAME, Daemon, MakeDaemon
from tests.parts.room_server import RoomServer

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@dataclass
class Case:
    """A call, and the error that it must get. `field`: the end of the name that BadRequest gives."""

    what: str
    call: Callable[[Controller], Awaitable[Any]]
    code: grpc.StatusCode
    reason: str
    field: str = ""


def capture_of(**which: Any) -> Callable[[Controller], Awaitable[Any]]:
    config = ty.CaptureConfig(input=ty.VideoInput(**which))
    return lambda control: control.start_capture(config)


def room_id(text: str) -> Case:
    return Case(f"room_id {text[:12]!r}", lambda control: control.join(text), INVALID, "ROOM_ID_INVALID", "room_id")


def ordered(**options: Any) -> Callable[[Controller], Awaitable[Any]]:
    return lambda control: control.join("room", order=ty.OrderOptions(**options))


def slot(**fields: Any) -> Callable[[Controller], Awaitable[Any]]:
    return lambda control: control.devices.SetSlot(dv.SetSlotRequest(slot=ty.Slot(**fields)), timeout=10)


def snapshot(**which: Any) -> Callable[[Controller], Awaitable[Any]]:
    return lambda control: control.capture.TakeSnapshot(cap.TakeSnapshotRequest(**which), timeout=10)


def encoded(**encoder: Any) -> Callable[[Controller], Awaitable[Any]]:
    return lambda control: control.publish("room", encoder=ty.VideoEncoderConfig(**encoder))


Input = ty.VideoInput
CASES = [
    *map(room_id, ["", "two words", "a/b", "ü", "line\n", "x" * 129]),
    Case("user_id", lambda it: it.join("room", user_id="a b"), INVALID, "USER_ID_INVALID", "user_id"),
    Case("server_url", lambda it: it.join("room", server_url="http://x"), INVALID, "SERVER_URL_INVALID", "server_url"),
    Case("a token that is none", lambda it: it.join("room", token="a.b.c"), INVALID, "TOKEN", "token"),
    Case(
        "300 kB of extra_info",
        lambda it: it.join("room", extra_info=f'"{"x" * 300_000}"'),
        INVALID,
        "EXTRA_INFO_TOO_LONG",
        "extra_info",
    ),
    Case("no JSON", lambda it: it.join("room", extra_info="{seat"), INVALID, "EXTRA_INFO_NOT_JSON", "extra_info"),
    Case("leaving a room that one is not in", lambda it: it.leave("elsewhere"), NOT_FOUND, "ROOM_NOT_FOUND"),
    Case("source_id", lambda it: it.start_capture(bars(), source_id="a b"), INVALID, "SOURCE_ID_INVALID", "source_id"),
    Case("an odd width", lambda it: it.start_capture(bars(641, 360)), INVALID, "SIZE_INVALID", "width"),
    Case("a huge height", lambda it: it.start_capture(bars(640, 9000)), INVALID, "SIZE_INVALID", "height"),
    Case("1000 fps", lambda it: it.start_capture(bars(fps=1000)), INVALID, "FRAME_RATE_INVALID", "max_fps"),
    Case("an unknown device", capture_of(camera=Input.Camera(device_id="usb-none")), NOT_FOUND, "DEVICE_NOT_FOUND"),
    Case("an unknown slot", capture_of(camera=Input.Camera(slot="none")), NOT_FOUND, "SLOT_NOT_FOUND"),
    Case("a file elsewhere", capture_of(file=Input.File(path="/etc/passwd")), INVALID, "PATH_NOT_ALLOWED", "path"),
    Case("a relative path", capture_of(file=Input.File(path="a.mkv")), INVALID, "PATH_INVALID", "path"),
    Case("not RTSP", capture_of(rtsp=Input.Rtsp(url="file:///etc/passwd")), INVALID, "URL_INVALID", "url"),
    Case("stopping what is not captured", lambda it: it.stop_capture(), NOT_FOUND, "CAPTURE_NOT_FOUND"),
    Case("bitrate", encoded(max_bitrate_bps=1), INVALID, "BITRATE_INVALID", "max_bitrate_bps"),
    Case("codec", encoded(codec=99), INVALID, "CODEC_UNKNOWN", "codec"),
    Case("wait_ms", ordered(wait_ms=60_001), INVALID, "WAIT_TOO_LONG", "wait_ms"),
    Case("request_id", ordered(request_id="x" * 129), INVALID, "REQUEST_ID_INVALID", "request_id"),
    Case(
        "a keep that is past",
        ordered(keep=ty.Keep(kind=ty.Keep.KIND_UNTIL, until=Timestamp(seconds=1))),
        INVALID,
        "KEEP_IN_THE_PAST",
        "until",
    ),
    Case("alone for 0 s", ordered(keep=ty.Keep(kind=ty.Keep.KIND_UNTIL_ALONE)), INVALID, "KEEP_INVALID", "alone_s"),
    Case(
        "a capture until alone",
        lambda it: it.start_capture(
            bars(), order=ty.OrderOptions(keep=ty.Keep(kind=ty.Keep.KIND_UNTIL_ALONE, alone_s=5))
        ),
        INVALID,
        "KEEP_NOT_APPLICABLE",
        "kind",
    ),
    Case("slot name", slot(name="a b", matches=[{"serial": "1"}]), INVALID, "SLOT_NAME_INVALID", "name"),
    Case("an empty match", slot(name="front", matches=[{}]), INVALID, "MATCH_EMPTY", "matches[0]"),
    Case("snapshot of nothing captured", snapshot(source_id="camera"), PRECONDITION, "NOT_CAPTURED"),
    Case(
        "snapshot of nothing subscribed",
        snapshot(remote_stream={"room_id": "room", "user_id": "nobody"}),
        PRECONDITION,
        "NOT_SUBSCRIBED",
    ),
    Case(
        "invite ttl",
        lambda it: it.rooms.CreateInvite(
            rm.CreateInviteRequest(room_id="room", user_id="me", ttl_s=99_999_999), timeout=10
        ),
        INVALID,
        "TTL",
        "ttl_s",
    ),
]


async def fails(daemon: Daemon, case: Case) -> None:
    """The call gets its error, and neither desired state nor log have changed."""
    before, state = await daemon.control.desired(), await daemon.control.state()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await case.call(daemon.control)
    error = raised.value
    assert error.code() is case.code, error
    assert case.reason in error_reason(error), error
    assert error.details(), "an error says what was wrong"
    if case.code is INVALID:
        assert any(field.endswith(case.field) for field in violated_fields(error)), violated_fields(error)
    assert await daemon.control.desired() == before
    assert (await daemon.control.state()).position == state.position


@pytest.mark.timeout(90)
async def test_each_bad_input_gets_its_error_and_changes_nothing(daemon: Daemon, subtests: pytest.Subtests) -> None:
    for case in CASES:
        with subtests.test(msg=case.what):
            await fails(daemon, case)
    await daemon.control.start_capture(bars())  # and the agent works as before


async def test_a_token_for_another_room_or_user(room_server: RoomServer, daemon: Daemon) -> None:
    for_room = room_server.token("elsewhere", NAME)
    for_user = room_server.token("room", "somebody")
    await fails(daemon, Case("room", lambda it: it.join("room", token=for_room), INVALID, "TOKEN", "token"))
    await fails(
        daemon, Case("user", lambda it: it.join("room", user_id=NAME, token=for_user), INVALID, "TOKEN", "token")
    )


async def test_without_a_server_a_room_needs_its_address_and_a_token(
    make_daemon: MakeDaemon, room_server: RoomServer
) -> None:
    daemon = await make_daemon()
    await fails(daemon, Case("no server", lambda it: it.join("room"), PRECONDITION, "NO_SERVER"))
    url = room_server.url
    await fails(daemon, Case("no key", lambda it: it.join("room", server_url=url), PRECONDITION, "NO_SERVER_KEY"))
    invite = rm.CreateInviteRequest(room_id="room", user_id="me")
    await fails(
        daemon, Case("invite", lambda it: it.rooms.CreateInvite(invite, timeout=10), PRECONDITION, "NO_SERVER_KEY")
    )
