"""The listener and the browser see what the bare SDK publishes: what they say of the product can be believed."""

from pathlib import Path

from tests.parts.bare_publisher import BarePublisher, still
from tests.parts.chromium import Chromium
from tests.parts.listener import Listener
from tests.parts.picture import make_bars, mirrored, shows_made_bars, turned
from tests.parts.room_server import RoomServer


async def test_the_listener_sees_bars_mute_and_a_restart(room_server: RoomServer, listener: Listener) -> None:
    publisher = BarePublisher()
    try:
        await listener.join(room_server.url, room_server.token("room", "listener"))
        await publisher.join(room_server.url, room_server.token("room", "bare"))
        await publisher.capture(still(make_bars(640, 360)))
        await publisher.publish()
        assert shows_made_bars(await listener.picture("bare", "camera", until=shows_made_bars))
        assert listener.video("bare", "camera").size() == (640, 360)
        assert await listener.codec("bare", "camera") == "VP8"
        assert await room_server.participants("room") == ["bare", "listener"]

        publisher.mute(True)
        await listener.until_muted("bare", "camera", True)
        publisher.mute(False)
        await listener.until_muted("bare", "camera", False)
        await listener.frames("bare", "camera", count=5)

        await room_server.kick("room", "bare")
        await listener.event("participant_disconnected", "bare")
    finally:
        await publisher.close()


async def test_chromium_renders_bars(room_server: RoomServer, browser: Chromium, tmp_path: Path) -> None:
    publisher = BarePublisher()
    try:
        await browser.join(room_server.url, room_server.token("room", "person"))
        await publisher.join(room_server.url, room_server.token("room", "bare"))
        await publisher.capture(still(make_bars(640, 360)))
        await publisher.publish()
        await browser.frames("bare", "camera", count=10)
        picture = await browser.picture("bare", "camera")
        assert picture.shape == (360, 640, 3)
        assert shows_made_bars(picture)
        assert shows_made_bars((await browser.screenshot(tmp_path / "page.png"))[:360, :640])
        assert len(browser.pids()) >= 3
    finally:
        await publisher.close()


def test_bars_are_told_from_turned_and_mirrored_ones() -> None:
    upright = make_bars(640, 360)
    assert shows_made_bars(upright)
    for wrong in (mirrored(upright), turned(upright, 90), turned(upright, 180), turned(upright, 270)):
        assert not shows_made_bars(wrong)
    assert shows_made_bars(turned(turned(upright, 90), 270))
