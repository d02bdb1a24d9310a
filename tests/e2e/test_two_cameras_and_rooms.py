"""Several sources into one room, and one source into several rooms, each stream on its own."""

from collections.abc import AsyncIterator

import pytest_asyncio
from rtcagent.v1 import state_pb2 as st

from tests.parts.controller import bars, kind_and_reason
from tests.parts.daemon import NAME, Daemon
from tests.parts.listener import Listener
from tests.parts.media import held_back, pushed
from tests.parts.picture import Picture, mirrored, shows_bars
from tests.parts.room_server import RoomServer


@pytest_asyncio.fixture
async def other_listener() -> AsyncIterator[Listener]:
    participant = Listener()
    yield participant
    await participant.close()


def shows_mirrored_bars(picture: Picture) -> bool:
    return shows_bars(mirrored(picture))


async def test_two_sources_at_once_in_one_room(room_server: RoomServer, daemon: Daemon, listener: Listener) -> None:
    await listener.join(room_server.url, room_server.token("lab", "listener"))
    control = daemon.control
    await control.join("lab", auto_publish=False)
    await control.start_capture(bars(320, 240), source_id="left")
    await control.start_capture(bars(480, 272, mirror=True), source_id="right")
    assert kind_and_reason(await control.publish("lab", source_id="left")) == ("REACHED", "")
    assert kind_and_reason(await control.publish("lab", source_id="right", name="Right eye")) == ("REACHED", "")

    await listener.picture(NAME, "left", until=shows_bars)
    await listener.picture(NAME, "Right eye", until=shows_mirrored_bars)
    assert listener.video(NAME, "left").size() == (320, 240)
    assert listener.video(NAME, "Right eye").size() == (480, 272)

    await control.stop_capture(source_id="left")
    await listener.frames(NAME, "Right eye", count=30)  # one source ends, the other one goes on
    room = await control.room("lab") or st.RoomStatus()
    states = {each.source_id: each.state for each in room.publications}
    assert states["right"] == st.PUBLICATION_STATE_PUBLISHED


async def test_one_source_in_two_rooms_muted_in_one(
    room_server: RoomServer, daemon: Daemon, listener: Listener, other_listener: Listener
) -> None:
    await listener.join(room_server.url, room_server.token("red", "listener"))
    await other_listener.join(room_server.url, room_server.token("blue", "listener"))
    control = daemon.control
    await control.start_capture(bars(320, 240))
    await control.join("red", user_id="in-red")
    await control.join("blue", user_id="in-blue")
    await listener.picture("in-red", "camera", until=shows_bars)
    await other_listener.picture("in-blue", "camera", until=shows_bars)

    assert kind_and_reason(await control.mute("blue", True)) == ("REACHED", "")
    await other_listener.until_muted("in-blue", "camera", True)
    before = await pushed(control, "blue")
    await held_back(control, "blue", 30)
    assert await pushed(control, "blue") == before
    assert listener.muted("in-red", "camera") is False
    await listener.frames("in-red", "camera", count=30)

    await control.leave("red")
    await control.mute("blue", False)
    await other_listener.frames("in-blue", "camera", count=10)
