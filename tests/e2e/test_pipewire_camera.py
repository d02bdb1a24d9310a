"""A virtual camera of PipeWire: listed with an id that stays, captured, unplugged, and plugged in again."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from rtcagent.v1 import devices_pb2 as dv
from rtcagent.v1 import types_pb2 as ty

from tests.parts import pipewire_session
from tests.parts.controller import bars, kind_and_reason, names, watching
from tests.parts.daemon import NAME, Daemon, MakeDaemon
from tests.parts.listener import Listener
from tests.parts.picture import Picture, colour_at, shows_bars
from tests.parts.pipewire_session import PipeWireSession
from tests.parts.room_server import RoomServer
from tests.parts.slate import shows_slate

DEVICE = "pipewire-studio_cam"
ROOM = "lobby"
WITHIN_MS = 15_000

pytestmark = pytest.mark.skipif(
    bool(pipewire_session.missing()), reason=f"needs {pipewire_session.missing()}, see deploy/packages.txt"
)


@pytest_asyncio.fixture
async def session() -> AsyncIterator[PipeWireSession]:
    async with PipeWireSession() as session:
        yield session


@pytest_asyncio.fixture
async def daemon(make_daemon: MakeDaemon, room_server: RoomServer, session: PipeWireSession) -> Daemon:
    return await make_daemon(room_server, environment=session.environment)


def is_red(picture: Picture) -> bool:
    return {colour_at(picture, x, 0.5) for x in (0.1, 0.5, 0.9)} == {"red"}


async def test_it_is_captured_unplugged_and_plugged_in_again(
    daemon: Daemon, session: PipeWireSession, room_server: RoomServer, listener: Listener
) -> None:
    """Viewers see its slate on the same track meanwhile, never another camera; other sources go on."""
    control = daemon.control
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    await control.join(ROOM)
    await control.start_capture(bars(320, 180), source_id="other")
    async with watching(control) as events:
        await session.plug_camera("studio_cam", pattern="red")
        added = await events.event("device_added", lambda e: e.device.device_id == DEVICE, timeout_ms=WITHIN_MS)
        assert added.device_added.device.kind == ty.Device.KIND_CAMERA
        camera = ty.CaptureConfig(input=ty.VideoInput(camera=ty.VideoInput.Camera(device_id=DEVICE)))
        assert kind_and_reason(await control.start_capture(camera)) == ("REACHED", "")
        await listener.picture(NAME, "camera", until=is_red, timeout_ms=WITHIN_MS)
        sid = listener.video(NAME, "camera").sid
        await session.plug_camera("another", pattern="blue")
        await events.event("device_added", lambda e: e.device.device_id == "pipewire-another", timeout_ms=WITHIN_MS)

        await session.unplug_camera("studio_cam")
        await events.event("device_removed", lambda e: e.device_id == DEVICE, timeout_ms=WITHIN_MS)
        await listener.picture(NAME, "camera", until=shows_slate, timeout_ms=WITHIN_MS)
        waiting = [names(each) for each in (await control.state()).differences]
        assert ("WAITING", "DEVICE_ABSENT") in waiting
        await listener.picture(NAME, "other", until=shows_bars)
        await session.plug_camera("studio_cam", pattern="red")
        await listener.picture(NAME, "camera", until=is_red, timeout_ms=WITHIN_MS)
        assert listener.video(NAME, "camera").sid == sid
    devices = (await control.devices.ListDevices(dv.ListDevicesRequest())).devices
    assert {each.device_id for each in devices if each.present} >= {DEVICE, "pipewire-another"}
