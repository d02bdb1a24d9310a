"""Displays that go, come, change and are shared; who is at the machine and clicks."""

from collections.abc import AsyncIterator, Callable

import pytest_asyncio
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import AsyncClient, inputs

from tests.parts import monitors, screenshot
from tests.parts.bare_publisher import BarePublisher, still
from tests.parts.daemon import Daemon, MakeDaemon
from tests.parts.picture import Picture, make_bars, shows_bars
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until
from tests.parts.x_windows import XWindows
from tests.parts.xvfb import Xvfb

WIDTH, HEIGHT = 640, 480
ROOM = "lab"


@pytest_asyncio.fixture
async def screen() -> AsyncIterator[Xvfb]:
    async with Xvfb(WIDTH, HEIGHT) as server:
        yield server


@pytest_asyncio.fixture
async def agent(make_daemon: MakeDaemon, room_server: RoomServer, screen: Xvfb) -> Daemon:
    return await make_daemon(room_server, environment=screen.environment)


@pytest_asyncio.fixture
async def client(agent: Daemon) -> AsyncIterator[AsyncClient]:
    async with AsyncClient.connect(agent.address) as client:
        yield client


@pytest_asyncio.fixture
async def ann(room_server: RoomServer) -> AsyncIterator[BarePublisher]:
    """Somebody with a camera, in the room."""
    person = BarePublisher("face")
    await person.capture(still(make_bars(320, 240)))
    await person.join(room_server.url, room_server.token(ROOM, "ann"))
    await person.publish()
    yield person
    await person.close()


async def until_seen(screen: Xvfb, wanted: Callable[[Picture], bool], what: str) -> Picture:
    return await screenshot.until_seen(lambda: screenshot.of_x11(screen.display), wanted, what)


async def until_displays(client: AsyncClient, wanted: Callable[[list[st.Display]], bool], what: str) -> None:
    async def is_so() -> bool:
        return wanted(list((await client.list_displays()).displays))

    await until(is_so, timeout_ms=15_000, what=what)


def is_dark(picture: Picture) -> bool:
    return not picture.any()


def is_lit(picture: Picture) -> bool:
    return bool(picture.any())


async def test_the_default_layout_leaves_a_display_that_is_shared(
    client: AsyncClient, screen: Xvfb, ann: BarePublisher
) -> None:
    """It goes from the display that is shared and from no other, says why, and comes back; canvases stay."""
    await monitors.split(screen.display, WIDTH, HEIGHT)
    await client.join_room(ROOM)

    def left(seen: Picture) -> Picture:
        return seen[:, : WIDTH // 2]

    def right(seen: Picture) -> Picture:
        return seen[:, WIDTH // 2 :]

    await until_seen(screen, lambda seen: is_lit(left(seen)) and is_lit(right(seen)), "the layout on both monitors")

    await client.start_screen_capture()  # the primary one
    seen = await until_seen(screen, lambda seen: is_dark(left(seen)), "nothing on the display that is shared")
    assert is_lit(right(seen))
    by_id = {one.display_id: one for one in (await client.list_displays()).displays}
    assert not by_id["LEFT"].has_layout
    assert by_id["LEFT"].layout_cause.reason == ty.REASON_DISPLAY_SHARED
    assert "'screen'" in by_id["LEFT"].layout_cause.message
    assert by_id["RIGHT"].has_layout
    assert not by_id["RIGHT"].HasField("layout_cause")

    await client.start_video_capture(input=inputs.test_pattern("bars"), width=320, height=180, max_fps=10)
    await client.set_local_video_canvas(display="LEFT", geometry=(0, 0, 160, 90))
    await until_seen(screen, lambda seen: shows_bars(seen[:60, :160]), "the canvas, though the display is shared")
    await client.remove_canvas("local")

    await client.start_screen_capture(display_id="RIGHT")
    await until_seen(screen, lambda seen: is_lit(left(seen)) and is_dark(right(seen)), "the other one is shared")
    with XWindows(screen.display) as windows:
        window = windows.open("paper", "white", 400, 100, 100, 100)
        await client.start_screen_capture(window_id=window.id)
        await until_displays(client, lambda all_: all(one.has_layout for one in all_), "a window does not matter")
    await client.start_screen_capture()
    await until_seen(screen, lambda seen: is_dark(left(seen)), "gone again")
    await client.stop_screen_capture()
    await until_seen(screen, lambda seen: is_lit(left(seen)), "it is back")
    assert not any(one.HasField("layout_cause") for one in (await client.list_displays()).displays)


async def test_monitors_of_another_size_and_another_number(
    client: AsyncClient, screen: Xvfb, ann: BarePublisher
) -> None:
    """Canvases follow the size of their display; one whose monitor is taken away waits for it."""
    position = (await client.get_state()).position
    await client.start_video_capture(input=inputs.test_pattern("bars"), width=320, height=180, max_fps=10)
    await client.set_local_video_canvas(fit="stretch")
    await until_seen(screen, lambda seen: shows_bars(seen[:300]), "full screen")
    await monitors.resize(screen.display, 320, 240)
    await until_seen(
        screen, lambda seen: shows_bars(seen[:150, :320]) and is_dark(seen[240:]), "full screen on a smaller one"
    )
    async for event in client.events(after=position):
        if event.HasField("displays_changed") and event.displays_changed.displays.displays[0].width == 320:
            break

    await monitors.resize(screen.display, WIDTH, HEIGHT)
    await monitors.split(screen.display, WIDTH, HEIGHT)
    await until_displays(client, lambda all_: {one.display_id for one in all_} == {"LEFT", "RIGHT"}, "two monitors")
    await client.set_local_video_canvas(display="RIGHT", fit="stretch")
    await until_seen(screen, lambda seen: shows_bars(seen[:300, 320:]) and is_dark(seen[:, :320]), "on the right")
    await monitors.remove(screen.display, "RIGHT")

    async def waits() -> bool:
        status = (await client.list_canvases())[0].status
        return status.state == st.CANVAS_STATE_WAITING and status.cause.reason == ty.REASON_NO_DISPLAY

    await until(waits, timeout_ms=10_000, what="the canvas of a monitor that is gone waits")
    await until_seen(screen, is_dark, "nothing where the monitor was")
    await monitors.add(screen.display, "RIGHT", WIDTH // 2, HEIGHT, WIDTH // 2)
    await until_seen(screen, lambda seen: shows_bars(seen[:300, 320:]), "there again")


async def test_the_display_server_is_killed_and_started_again(
    client: AsyncClient, screen: Xvfb, ann: BarePublisher
) -> None:
    """Canvas and layout are there again, and meanwhile both say why not."""
    await client.join_room(ROOM)
    await until_displays(client, lambda all_: [one.has_layout for one in all_] == [True], "the default layout")
    await until_seen(screen, is_lit, "the default layout")
    await screen.kill()
    await until_displays(client, lambda all_: not all_, "no display")
    assert (await client.list_displays()).cause.reason == ty.REASON_NO_DISPLAY
    waiting = await client.set_remote_video_canvas(ROOM, "ann", canvas_id="caller", fit="stretch", check=False)
    assert waiting.outcomes[0].kind == ty.Outcome.KIND_WAITING
    assert waiting.outcomes[0].cause.reason == ty.REASON_NO_DISPLAY
    await screen.start()
    await until_seen(screen, lambda seen: shows_bars(seen[:300]), "the canvas on the new server")
    await screen.kill()

    async def state() -> int:
        return (await client.list_canvases())[0].status.state

    async def waits() -> bool:
        return await state() == st.CANVAS_STATE_WAITING

    await until(waits, timeout_ms=10_000, what="the canvas waits for a display")
    await screen.start()
    await until_seen(screen, lambda seen: shows_bars(seen[:300]), "the canvas again")

    async def is_shown() -> bool:
        return await state() == st.CANVAS_STATE_SHOWN

    await until(is_shown, timeout_ms=5_000, what="the canvas says that it is shown")
    await client.remove_canvas("caller")
    await until_displays(client, lambda all_: [one.has_layout for one in all_] == [True], "the default layout again")


async def test_a_click_reaches_what_lies_beneath(client: AsyncClient, screen: Xvfb, ann: BarePublisher) -> None:
    with XWindows(screen.display) as windows:
        button = windows.open("button", "red", 100, 100, 200, 200)
        windows.click(150, 150)
        assert button.clicks() == 1
        await client.start_video_capture(input=inputs.test_pattern("bars"), width=320, height=180, max_fps=10)
        await client.set_local_video_canvas(fit="stretch")
        await until_seen(screen, lambda seen: shows_bars(seen[:300]), "a canvas over the button")
        windows.click(150, 150)
        assert button.clicks() == 1
        await client.remove_canvas("local")
        await client.join_room(ROOM)
        await until_seen(screen, lambda seen: tuple(seen[150, 150]) != (255, 0, 0), "the default layout over it")
        windows.click(150, 150)
        assert button.clicks() == 1
