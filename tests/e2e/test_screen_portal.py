"""Sharing on Wayland: a headless desktop with its portal, and a listener that sees what was allowed."""

from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio
from rtcagent.v1 import agent_pb2 as ag
from rtcagent.v1 import screen_pb2 as sc
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts.controller import Controller, error_reason, kind_and_reason, watching
from tests.parts.daemon import NAME, MakeDaemon
from tests.parts.listener import Listener
from tests.parts.picture import Picture, colour_at
from tests.parts.portal import desktop as parts
from tests.parts.portal.desktop import HEIGHT, WIDTH, PortalDesktop
from tests.parts.room_server import RoomServer

ROOM = "lobby"
SCREEN = "screen"
CALL_S = 30.0

pytestmark = [pytest.mark.skipif(bool(parts.missing()), reason=f"missing: {', '.join(parts.missing())}")]


@pytest_asyncio.fixture
async def desktop() -> AsyncIterator[PortalDesktop]:
    async with PortalDesktop() as started:
        yield started


@pytest.fixture(autouse=True)
def _logs(shown_logs: Any, desktop: PortalDesktop) -> None:
    shown_logs["backend"] = lambda: desktop.log("backend")


async def start(control: Controller, **screen: Any) -> ty.OrderResult:
    request = sc.StartScreenCaptureRequest(screen=ty.VideoInput.Screen(**screen))
    return (await control.screen.StartScreenCapture(request, timeout=CALL_S)).result  # type: ignore[no-any-return]


def is_of(colour: str, width: int, height: int) -> Any:
    def fits(picture: Picture) -> bool:
        return picture.shape[:2] == (height, width) and colour_at(picture, 0.5, 0.5) == colour

    return fits


async def test_a_wayland_display_is_shared_without_anybody_asked_twice(
    make_daemon: MakeDaemon, room_server: RoomServer, listener: Listener, desktop: PortalDesktop
) -> None:
    """Still or not; a region of it without another publication; and again by a new engine, by the token kept."""
    settings = {"display": {"default_layout": False}}  # which would cover what is shared
    control = (await make_daemon(room_server, settings=settings, environment=desktop.environment)).control
    await desktop.show("red")
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    await control.join(ROOM)
    listed = await control.screen.ListScreenSources(sc.ListScreenSourcesRequest(), timeout=CALL_S)
    assert listed.backend == sc.ListScreenSourcesResponse.BACKEND_PORTAL
    assert [(one.id, one.chosen_by_person) for one in listed.sources] == [("portal-display", True)]
    assert kind_and_reason(await start(control)) == ("REACHED", "")
    await control.publish(ROOM, source_id=SCREEN)
    await listener.picture(NAME, SCREEN, until=is_of("red", WIDTH, HEIGHT))
    sid = listener.video(NAME, SCREEN).sid
    region = sc.UpdateScreenCaptureRequest(region=ty.ScreenRegion(x=100, y=100, width=320, height=200))
    updated = await control.screen.UpdateScreenCapture(region, timeout=CALL_S)
    assert kind_and_reason(updated.result) == ("REACHED", "")
    await listener.picture(NAME, SCREEN, until=is_of("red", 320, 200))
    assert listener.video(NAME, SCREEN).sid == sid, "the screen was published anew"
    await desktop.show("")
    await listener.picture(NAME, SCREEN, until=lambda picture: colour_at(picture, 0.5, 0.5) != "red")
    await listener.frames(NAME, SCREEN, count=4)  # of a screen on which nothing changes any more

    (token,) = desktop.tokens
    assert token.stat().st_mode & 0o777 == 0o600
    before = token.read_text()
    await desktop.show("blue")
    async with watching(control) as events:
        await control.agent.ResetEngine(ag.ResetEngineRequest(), timeout=CALL_S)
        await events.event(
            "capture_state_changed", lambda e: e.capture.state == st.CAPTURE_STATE_CAPTURING, timeout_ms=20_000
        )
        assert token.read_text() == before, "the portal was not told what it had allowed: it gave a token anew"

        await desktop.end_backend()
        failed = await events.event(
            "capture_state_changed", lambda e: e.capture.state == st.CAPTURE_STATE_WAITING, timeout_ms=20_000
        )
        assert failed.capture_state_changed.capture.cause.reason == ty.REASON_CAPTURE_FAILED


async def test_what_the_person_does_not_allow_is_refused(make_daemon: MakeDaemon) -> None:
    """And it is not asked for again and again."""
    async with PortalDesktop(allows=False) as desktop:
        control = (await make_daemon(environment=desktop.environment)).control
        assert kind_and_reason(await start(control)) == ("REFUSED", "SHARE_DENIED")


async def test_a_desktop_without_a_portal_says_what_is_missing(make_daemon: MakeDaemon) -> None:
    """The order waits, and the error names the package."""
    async with PortalDesktop(portal=False) as desktop:
        control = (await make_daemon(environment=desktop.environment)).control
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await control.screen.ListScreenSources(sc.ListScreenSourcesRequest(), timeout=CALL_S)
        assert error_reason(refused.value) == "PORTAL_MISSING"
        assert "xdg-desktop-portal" in str(refused.value.details())
        assert kind_and_reason(await start(control)) == ("WAITING", "PORTAL_MISSING")
