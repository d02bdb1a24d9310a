"""Displays, windows and regions are shared as the machine shows them: real windows of an X server, and a listener."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio
from rtcagent.v1 import agent_pb2 as ag
from rtcagent.v1 import capture_pb2 as cap
from rtcagent.v1 import screen_pb2 as sc
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts.controller import Controller, bars, error_reason, kind_and_reason, names, violated_fields, watching
from tests.parts.daemon import NAME, PROGRAM, Daemon, MakeDaemon
from tests.parts.listener import Listener
from tests.parts.picture import Picture, colour_at, decode, shows_bars
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until
from tests.parts.x_windows import XWindows
from tests.parts.xvfb import Xvfb

ROOM = "lobby"
SCREEN = "screen"
CALL_S = 30.0


@pytest_asyncio.fixture
async def xvfb() -> AsyncIterator[Xvfb]:
    async with Xvfb(640, 480) as server:
        yield server


@pytest.fixture
def windows(xvfb: Xvfb) -> Iterator[XWindows]:
    with XWindows(xvfb.display) as program:
        yield program


@pytest_asyncio.fixture
async def daemon(make_daemon: MakeDaemon, room_server: RoomServer, xvfb: Xvfb) -> Daemon:
    settings = {"display": {"default_layout": False}}  # which would cover what is shared
    return await make_daemon(room_server, settings=settings, environment=xvfb.environment)


async def start(control: Controller, max_fps: float = 0, **screen: Any) -> ty.OrderResult:
    request = sc.StartScreenCaptureRequest(screen=ty.VideoInput.Screen(**screen), max_fps=max_fps)
    return (await control.screen.StartScreenCapture(request, timeout=CALL_S)).result  # type: ignore[no-any-return]


async def update(control: Controller, **changes: Any) -> ty.OrderResult:
    request = sc.UpdateScreenCaptureRequest(**changes)
    return (await control.screen.UpdateScreenCapture(request, timeout=CALL_S)).result  # type: ignore[no-any-return]


async def sources(control: Controller, thumbnail_width: int = 0) -> sc.ListScreenSourcesResponse:
    request = sc.ListScreenSourcesRequest(thumbnail_width=thumbnail_width)
    return await control.screen.ListScreenSources(request, timeout=CALL_S)  # type: ignore[no-any-return]


def shows(width: int, height: int, *colours: tuple[str, float, float]) -> Callable[[Picture], bool]:
    """Whether a picture has this size, and these colours at these places (in pixels)."""
    return lambda picture: (
        picture.shape[:2] == (height, width)
        and all(colour_at(picture, x / width, y / height) == colour for colour, x, y in colours)
    )


async def test_a_display_is_shared_beside_the_camera(
    room_server: RoomServer, daemon: Daemon, listener: Listener, windows: XWindows
) -> None:
    """auto_publish sends the camera alone; the screen when it is ordered, and region, pointer and rate change in it."""
    windows.open("left", "red", 0, 0, 320, 480)
    windows.open("right", "blue", 320, 0, 320, 480)
    windows.show_pointer(100, 100)
    control = daemon.control
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    await control.join(ROOM, auto_publish=True)
    assert kind_and_reason(await control.start_capture(bars())) == ("REACHED", "")
    assert kind_and_reason(await start(control)) == ("REACHED", "")
    await listener.picture(NAME, "camera", until=shows_bars)
    room = await control.room(ROOM)
    assert room is not None
    assert [one.source_id for one in room.publications] == ["camera"]

    assert kind_and_reason(await control.publish(ROOM, source_id=SCREEN)) == ("REACHED", "")
    whole = [("red", 30, 240), ("blue", 480, 240)]
    await listener.picture(NAME, SCREEN, until=shows(640, 480, *whole, ("white", 130, 130)))
    sid = listener.video(NAME, SCREEN).sid
    assert kind_and_reason(await update(control, hide_cursor=True)) == ("REACHED", "")
    await listener.picture(NAME, SCREEN, until=shows(640, 480, *whole, ("red", 130, 130)))
    region = ty.ScreenRegion(x=240, y=100, width=240, height=160)
    assert kind_and_reason(await update(control, region=region, max_fps=5)) == ("REACHED", "")
    await listener.picture(NAME, SCREEN, until=shows(240, 160, ("red", 40, 80), ("blue", 160, 80)))
    assert kind_and_reason(await update(control, region=ty.ScreenRegion(), hide_cursor=False)) == ("REACHED", "")
    await listener.picture(NAME, SCREEN, until=shows(640, 480, *whole, ("white", 130, 130)))
    assert listener.video(NAME, SCREEN).sid == sid, "the screen was published anew"
    assert shows_bars(await listener.picture(NAME, "camera"))

    screen = next(one for one in (await control.desired()).captures if one.source_id == SCREEN)
    assert (screen.config.output.max_fps, screen.order.keep.kind) == (5, ty.Keep.KIND_THIS_BOOT)


async def test_a_still_screen_is_seen_by_who_comes_late(
    room_server: RoomServer, daemon: Daemon, listener: Listener, windows: XWindows
) -> None:
    """Nothing is drawn, and still the stream is live: the room's watch does not take it for a dead one."""
    windows.open("still", "green", 0, 0, 640, 480)
    control = daemon.control
    await control.join(ROOM)
    await start(control)
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    await control.publish(ROOM, source_id=SCREEN)
    await listener.picture(NAME, SCREEN, until=shows(640, 480, ("green", 320, 240)))

    async def is_live() -> bool:
        room = await control.room(ROOM)
        return room is not None and [one.media_state for one in room.publications] == [st.MEDIA_STATE_LIVE]

    await until(is_live, timeout_ms=10_000, what="the still screen is live")
    late = Listener()
    try:
        await late.join(room_server.url, room_server.token(ROOM, "late"))
        await late.picture(NAME, SCREEN, until=shows(640, 480, ("green", 320, 240)))
    finally:
        await late.close()
    assert await is_live()


async def test_a_window_shows_its_own_pixels_until_it_is_closed(
    room_server: RoomServer, daemon: Daemon, listener: Listener, windows: XWindows
) -> None:
    """Covered, changed, resized, moved off the screen, minimised: then its order ends, and no other window is shown."""
    shared = windows.open("shared", "red", 100, 100, 200, 160)
    cover = windows.open("cover", "blue", 80, 80, 300, 300)
    windows.show_pointer(150, 150)  # over the cover, so not in the picture
    control = daemon.control
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    await control.join(ROOM)
    listed = {source.title: source for source in (await sources(control, 64)).sources}
    assert decode(listed["cover"].thumbnail).shape[:2] == (64, 64)
    assert (listed["shared"].application, listed["shared"].kind) == ("Shared", sc.ScreenSource.KIND_WINDOW)
    assert (listed["shared"].geometry.width, listed["shared"].geometry.x) == (200, 100)
    assert kind_and_reason(await start(control, window_id=listed["shared"].id)) == ("REACHED", "")
    await control.publish(ROOM, source_id=SCREEN)
    corners = [(20, 20), (180, 20), (20, 140), (180, 140), (100, 80)]
    await listener.picture(NAME, SCREEN, until=shows(200, 160, *(("red", *corner) for corner in corners)))
    sid = listener.video(NAME, SCREEN).sid
    shared.colour("green")
    await listener.picture(NAME, SCREEN, until=shows(200, 160, *(("green", *corner) for corner in corners)))
    async with watching(control) as events:
        shared.place(width=320, height=240)
        await listener.picture(NAME, SCREEN, until=shows(320, 240, ("green", 300, 220), ("green", 20, 20)))
        await events.event("capture_state_changed", lambda e: e.capture.format.width == 320)
        shared.place(x=560, y=400)  # mostly outside
        shared.colour("yellow")
        await listener.picture(NAME, SCREEN, until=shows(320, 240, ("yellow", 300, 220), ("yellow", 20, 20)))
        shared.hide()
        await events.event("screen_state_changed", lambda e: e.screen.minimised)
        await listener.picture(NAME, SCREEN, until=shows(320, 240, ("yellow", 300, 220)))
        assert [one.source_id for one in (await control.state()).reported.screens] == [SCREEN]
        shared.show()
        await events.event("screen_state_changed", lambda e: not e.screen.minimised)
        assert listener.video(NAME, SCREEN).sid == sid, "the window was published anew"

        shared.close()
        ended = await events.event("order_ended", lambda e: e.object.source_id == SCREEN)
        assert ended.order_ended.cause.reason == ty.REASON_WINDOW_CLOSED
    await listener.event("track_unpublished", NAME)
    assert not (await control.desired()).captures
    cover.close()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await start(control, window_id=listed["shared"].id)
    assert error_reason(refused.value) == "WINDOW_NOT_FOUND"


async def test_a_new_engine_shares_the_same_window(daemon: Daemon, windows: XWindows) -> None:
    """And no other one, whatever lies over it. rtcctl orders it, as a person does."""
    windows.open("shared", "green", 50, 50, 200, 100)
    windows.open("cover", "blue", 0, 0, 400, 400)
    control = daemon.control
    shared = next(source.id for source in (await sources(control)).sources if source.title == "shared")

    async def rtcctl(*arguments: str) -> str:
        command = [str(PROGRAM.with_name("rtcctl")), "--address", daemon.address, *arguments]
        running = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        output = (await running.communicate())[0].decode()
        assert running.returncode == 0, output
        return output

    listed = await rtcctl("screens")
    assert all(text in listed for text in ("primary", shared, "200x100+50+50", "shared (Shared)"))
    await rtcctl("screen", "on", "--window", shared, "--region", "100x60+10+10", "--keep", "forever")
    async with watching(control) as events:
        await control.agent.ResetEngine(ag.ResetEngineRequest(), timeout=CALL_S)
        await events.event("capture_state_changed", lambda e: e.capture.state == st.CAPTURE_STATE_CAPTURING)
    picture = await control.capture.TakeSnapshot(cap.TakeSnapshotRequest(source_id=SCREEN), timeout=CALL_S)
    assert shows(100, 60, ("green", 50, 30))(decode(picture.image))
    await rtcctl("screen", "update", "--whole", "--no-cursor")
    assert f"window {shared}" in await rtcctl("state")
    await rtcctl("screen", "off")


async def test_leaving_a_room_ends_the_share_that_no_other_room_has(daemon: Daemon, windows: XWindows) -> None:
    """As the guide does: the screen is not captured any more, the camera is."""
    windows.open("any", "red", 0, 0, 100, 100)
    control = daemon.control
    for room in (ROOM, "other"):
        await control.join(room)
    await control.start_capture(bars())
    await start(control)
    for room in (ROOM, "other"):
        assert kind_and_reason(await control.publish(room, source_id=SCREEN)) == ("REACHED", "")
    await control.leave("other")
    assert [one.source_id for one in (await control.desired()).captures] == ["camera", SCREEN]
    result = await control.leave(ROOM)
    assert {each.object.WhichOneof("object") for each in result.outcomes} == {"room_id", "source_id", "stream"}
    assert {names(each)[0] for each in result.outcomes} == {"REACHED"}
    assert [one.source_id for one in (await control.state()).reported.captures] == ["camera"]


async def test_a_machine_without_a_display_says_so(make_daemon: MakeDaemon, room_server: RoomServer) -> None:
    """Listing fails with the reason; the order waits for a display."""
    nothing = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "XDG_SESSION_TYPE": ""}
    control = (await make_daemon(room_server, environment=nothing)).control
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await sources(control)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert error_reason(refused.value) == "NO_DISPLAY"
    assert kind_and_reason(await start(control)) == ("WAITING", "NO_DISPLAY")


async def test_a_display_that_goes_away_and_comes_back(daemon: Daemon, xvfb: Xvfb) -> None:
    """The order waits meanwhile; nothing else ends."""
    control = daemon.control
    await start(control)
    async with watching(control) as events:
        await xvfb.stop()
        ended = await events.event("capture_state_changed")
        assert ended.capture_state_changed.capture.state == st.CAPTURE_STATE_WAITING
        assert ended.capture_state_changed.capture.cause.reason == ty.REASON_NO_DISPLAY
        await xvfb.start()
        await events.event(
            "capture_state_changed",
            lambda e: e.capture.state == st.CAPTURE_STATE_CAPTURING,
            after_seq=ended.seq,
            timeout_ms=20_000,
        )
        assert not any(event.HasField("engine_state_changed") for event in events.events)


BAD: list[tuple[dict[str, Any], str, str | None]] = [
    ({"display_id": "HDMI-9"}, "DISPLAY_NOT_FOUND", None),
    ({"window_id": "0x7fffff"}, "WINDOW_NOT_FOUND", None),
    ({"window_id": "xterm"}, "WINDOW_ID_INVALID", "config.input.screen.window_id"),
    ({"display_id": "a b"}, "DISPLAY_ID_INVALID", "config.input.screen.display_id"),
    ({"region": ty.ScreenRegion(x=640, y=0, width=100, height=100)}, "REGION_OUTSIDE", "screen.region"),
    ({"region": ty.ScreenRegion(width=101, height=100)}, "REGION_INVALID", "config.input.screen.region.width"),
    ({"region": ty.ScreenRegion(width=100, height=8)}, "REGION_INVALID", "config.input.screen.region.height"),
    ({"region": ty.ScreenRegion(x=-2, width=100, height=100)}, "REGION_INVALID", "config.input.screen.region"),
    ({"content_hint": 9}, "VALUE_UNKNOWN", "config.input.screen.content_hint"),
    ({"max_fps": 200}, "FRAME_RATE_INVALID", "max_fps"),
]


async def test_what_cannot_be_shared_is_refused(daemon: Daemon, windows: XWindows) -> None:
    """Each mistake has its error, and nothing is stored."""
    control = daemon.control
    for asked, reason, field in BAD:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await start(control, **asked)
        assert error_reason(refused.value) == reason, asked
        assert violated_fields(refused.value) == ([field] if field else []), asked
    as_camera = ty.CaptureConfig(input=ty.VideoInput(screen=ty.VideoInput.Screen()), kind=ty.STREAM_KIND_CAMERA)
    with pytest.raises(grpc.aio.AioRpcError) as refused:  # which auto_publish would send
        await control.start_capture(as_camera)
    assert error_reason(refused.value) == "KIND_INVALID"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await update(control, max_fps=5)
    assert error_reason(refused.value) == "CAPTURE_NOT_FOUND"
    await start(control)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await update(control, region=ty.ScreenRegion(x=0, y=470, width=64, height=64))
    assert error_reason(refused.value) == "REGION_OUTSIDE"
    await control.screen.StopScreenCapture(sc.StopScreenCaptureRequest(), timeout=CALL_S)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await control.screen.StopScreenCapture(sc.StopScreenCaptureRequest(), timeout=CALL_S)
    assert error_reason(refused.value) == "CAPTURE_NOT_FOUND"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await sources(control, thumbnail_width=4)
    assert error_reason(refused.value) == "THUMBNAIL_INVALID"
    assert not (await control.desired()).captures


async def test_a_film_keeps_its_frame_rate(daemon: Daemon, windows: XWindows) -> None:
    """The content hint decides what gives way, unless the order to publish says so itself."""
    control = daemon.control
    await control.join(ROOM)
    await start(control, content_hint=ty.CONTENT_HINT_MOTION)
    await control.publish(ROOM, source_id=SCREEN)
    room = await control.room(ROOM)
    assert room is not None
    encoder = room.publications[0].encoder
    assert (encoder.degradation, encoder.max_fps) == (ty.DEGRADATION_PREFERENCE_MAINTAIN_FRAMERATE, 30)
    assert room.publications[0].kind == ty.STREAM_KIND_SCREEN
