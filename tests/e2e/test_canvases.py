"""Canvases on an X server, by what is seen on its screen."""

from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
import pytest_asyncio
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import AsyncClient, errors, inputs

from tests.parts import screenshot
from tests.parts.bare_publisher import BarePublisher, still
from tests.parts.daemon import Daemon, MakeDaemon
from tests.parts.picture import Picture, colour_at, make_bars, mirrored, shows_bars, shows_made_bars
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until
from tests.parts.xvfb import Xvfb

WIDTH, HEIGHT = 640, 480
ROOM = "lab"


@pytest_asyncio.fixture
async def screen() -> AsyncIterator[Xvfb]:
    async with Xvfb(WIDTH, HEIGHT) as server:
        yield server


@pytest_asyncio.fixture
async def shown(make_daemon: MakeDaemon, room_server: RoomServer, screen: Xvfb) -> Daemon:
    """An agent with a display and without the default layout."""
    settings = {"display": {"default_layout": False}}
    return await make_daemon(room_server, settings=settings, environment=screen.environment)


@pytest_asyncio.fixture
async def client(shown: Daemon) -> AsyncIterator[AsyncClient]:
    async with AsyncClient.connect(shown.address) as client:
        yield client


@pytest_asyncio.fixture
async def ann(room_server: RoomServer) -> AsyncIterator[BarePublisher]:
    person = BarePublisher("face")
    await person.capture(still(make_bars(320, 240)))
    await person.join(room_server.url, room_server.token(ROOM, "ann"))
    yield person
    await person.close()


async def until_seen(screen: Xvfb, wanted: Callable[[Picture], bool], what: str) -> Picture:
    return await screenshot.until_seen(lambda: screenshot.of_x11(screen.display), wanted, what)


def part(picture: Picture, x: int, y: int, width: int, height: int) -> Picture:
    return picture[y : y + height, x : x + width]


def is_of(picture: Picture, rgb: int) -> bool:
    """Whether a picture is all of one colour."""
    colour = np.array([rgb >> 16, rgb >> 8 & 255, rgb & 255], dtype=np.int16)
    return bool((np.abs(picture.astype(np.int16) - colour) < 12).all())


async def test_places_fits_and_orders(client: AsyncClient, screen: Xvfb) -> None:
    """Geometry is exact to the pixel, in each fit; order decides who is seen; what is removed is gone."""
    displays = await client.list_displays()
    assert [(one.width, one.height) for one in displays.displays] == [(WIDTH, HEIGHT)]
    assert st.DISPLAY_ABILITY_GEOMETRY in displays.displays[0].abilities
    await client.start_video_capture(input=inputs.test_pattern("bars"), width=320, height=180, max_fps=10)

    place = (40, 20, 200, 200)
    await client.set_local_video_canvas(canvas_id="a", geometry=place, background_rgb=0x3050A0)
    picture = await until_seen(screen, lambda seen: is_of(part(seen, 40, 20, 200, 40), 0x3050A0), "bars of the canvas")
    top, height = (200 - 113) // 2, 113  # 16:9 in 200x200
    assert is_of(part(picture, 40, 20, 200, top), 0x3050A0)
    assert is_of(part(picture, 40, 20 + top + height + 1, 200, 200 - top - height - 1), 0x3050A0)
    assert shows_bars(part(picture, 40, 20 + top, 200, height * 2 // 3))
    around = picture.copy()
    around[20:220, 40:240] = 0
    assert is_of(around, 0x000000), "nothing beside the canvas is covered"

    await client.set_local_video_canvas(canvas_id="a", geometry=place, fit="stretch", mirror=True)
    await until_seen(screen, lambda seen: shows_bars(mirrored(part(seen, 40, 20, 200, 133))), "stretched, mirrored")

    await client.set_local_video_canvas(canvas_id="a", geometry=place, fit="fill")
    # of 320 columns the 180 in the middle are seen: half of bar 2 to half of bar 6
    picture = await until_seen(screen, lambda seen: colour_at(part(seen, *place), 0.02, 0.3) == "yellow", "filled")
    assert colour_at(part(picture, *place), 0.5, 0.3) == "green"
    assert colour_at(part(picture, *place), 0.98, 0.3) == "red"

    await client.set_local_video_canvas(canvas_id="b", geometry=(140, 120, 200, 200), background_rgb=0xFF8000, z=-1)
    picture = await until_seen(screen, lambda seen: is_of(part(seen, 250, 130, 80, 30), 0xFF8000), "b under a")
    assert not is_of(part(picture, 150, 130, 80, 30), 0xFF8000)
    await client.set_local_video_canvas(canvas_id="b", geometry=(140, 120, 200, 200), background_rgb=0xFF8000, z=1)
    await until_seen(screen, lambda seen: is_of(part(seen, 150, 130, 80, 30), 0xFF8000), "b over a")

    await client.remove_canvas("b")
    await client.set_local_video_canvas(canvas_id="a", geometry=(400, 300, 240, 180), fit="stretch")
    picture = await until_seen(screen, lambda seen: shows_bars(part(seen, 400, 300, 240, 120)), "moved")
    assert is_of(part(picture, 0, 0, 400, 480), 0x000000)
    await client.set_local_video_canvas(canvas_id="a", fit="stretch")
    await until_seen(screen, lambda seen: shows_bars(part(seen, 0, 0, 640, 320)), "full screen")
    await client.remove_canvas("a")
    await until_seen(screen, lambda seen: is_of(seen, 0x000000), "nothing")


async def test_a_remote_stream_that_comes_and_goes(
    client: AsyncClient, screen: Xvfb, ann: BarePublisher, shown: Daemon
) -> None:
    """A canvas for who is not there waits, shows when they are, tells of the first frame, and outlives the engine."""
    await client.start_video_capture(input=inputs.test_pattern("bars"), width=320, height=180, max_fps=10)
    await client.set_local_video_canvas(canvas_id="self", geometry=(440, 320, 200, 160), fit="stretch", z=1)
    waiting = await client.set_remote_video_canvas(ROOM, "ann", canvas_id="caller", check=False)
    assert waiting.outcomes[0].cause.reason == ty.REASON_STREAM_NOT_PUBLISHED
    await client.join_room(ROOM)
    await ann.publish()

    def both(seen: Picture) -> bool:
        return shows_made_bars(part(seen, 0, 0, 640, 480)[:, :430]) or (
            colour_at(seen, 0.05, 0.3) == "white" and shows_bars(part(seen, 440, 320, 200, 110))
        )

    await until_seen(screen, both, "ann large and the agent small")
    canvases = {one.desired.canvas_id: one.status.state for one in await client.list_canvases()}
    assert set(canvases.values()) == {st.CANVAS_STATE_SHOWN}

    await shown.kill_engine()
    await until_seen(screen, both, "both in the new engine")

    ann.mute(True)

    async def is_waiting() -> bool:
        status = next(one.status for one in await client.list_canvases() if one.desired.canvas_id == "caller")
        return status.state == st.CANVAS_STATE_WAITING

    await until(is_waiting, timeout_ms=10_000, what="the canvas of a muted stream waits")
    await until_seen(screen, lambda seen: colour_at(seen, 0.05, 0.3) == "black", "its background")


async def test_video_is_received_only_while_somebody_looks(
    client: AsyncClient, screen: Xvfb, ann: BarePublisher
) -> None:
    """Subscribed video costs nothing until it is shown, snapshotted or ordered."""
    await client.join_room(ROOM)
    await ann.publish()

    async def received() -> int:
        return sum(one.frames_received for one in (await client.get_capture_stats()).remote_streams)

    async def is_subscribed() -> bool:
        return bool((await client.get_capture_stats()).remote_streams)

    await until(is_subscribed, timeout_ms=10_000, what="ann is subscribed")
    at_first = await received()
    assert at_first < 15, "a frame or two may come before the server is told"
    picture = await client.take_remote_snapshot(ROOM, "ann", name="face")
    assert (picture.width, picture.height) == (320, 240)
    await client.set_remote_video_canvas(ROOM, "ann", canvas_id="caller")
    await until_seen(screen, lambda seen: shows_made_bars(seen), "ann")


async def test_events_of_remote_pictures(client: AsyncClient, ann: BarePublisher) -> None:
    position = (await client.get_state()).position
    await client.join_room(ROOM)
    await ann.publish()
    await client.set_remote_video_canvas(ROOM, "ann", canvas_id="caller", check=False)
    async for event in client.events(after=position):
        if event.HasField("first_remote_frame"):
            break
    expected = ev.FirstRemoteFrame(
        room_id=ROOM, user_id="ann", kind=ty.STREAM_KIND_CAMERA, name="face", width=320, height=240, canvas_id="caller"
    )
    assert event.first_remote_frame == expected


async def test_what_cannot_be_shown_is_said(client: AsyncClient) -> None:
    with pytest.raises(errors.InvalidArgument, match="outside"):
        await client.set_local_video_canvas(geometry=(5000, 0, 10, 10))
    with pytest.raises(errors.InvalidArgument, match="width"):
        await client.set_local_video_canvas(geometry=(0, 0, 0, 10))
    with pytest.raises(errors.InvalidArgument, match="kind"):
        await client.set_remote_video_canvas(ROOM, "ann", kind="microphone")
    with pytest.raises(errors.InvalidArgument, match="canvas_id"):
        await client.set_local_video_canvas(canvas_id="a/b")
    with pytest.raises(errors.NotFound, match="no canvas"):
        await client.remove_canvas("none")
    result = await client.set_local_video_canvas(display="HDMI-9", check=False)
    assert result.outcomes[0].cause.reason == ty.REASON_NO_DISPLAY
    assert "HDMI-9" in result.outcomes[0].cause.message
    result = await client.set_local_video_canvas(check=False)
    assert result.outcomes[0].cause.reason == ty.REASON_SOURCE_NOT_CAPTURED


async def test_a_machine_without_a_display_says_so(make_daemon: MakeDaemon) -> None:
    headless = await make_daemon(environment={"DISPLAY": "", "WAYLAND_DISPLAY": ""})
    async with AsyncClient.connect(headless.address) as client:
        displays = await client.list_displays()
        assert not displays.displays
        assert displays.cause.reason == ty.REASON_NO_DISPLAY
        result = await client.set_local_video_canvas(check=False)
        assert result.outcomes[0].kind == ty.Outcome.KIND_WAITING
        assert result.outcomes[0].cause.reason == ty.REASON_NO_DISPLAY


async def test_the_display_server_may_come_later_and_again(client: AsyncClient, screen: Xvfb) -> None:
    await client.start_video_capture(input=inputs.test_pattern("bars"), width=320, height=180, max_fps=10)
    await client.set_local_video_canvas(fit="stretch")
    await screen.stop()

    async def state() -> int:
        return (await client.list_canvases())[0].status.state

    async def waits() -> bool:
        return await state() == st.CANVAS_STATE_WAITING

    await until(waits, timeout_ms=10_000, what="the canvas waits for a display")
    assert not (await client.list_displays()).displays
