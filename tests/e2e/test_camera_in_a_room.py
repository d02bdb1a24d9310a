"""A controller puts the agent into a room and publishes a picture; others in the room see it as it should be."""

from pathlib import Path

import pytest
from rtcagent.v1 import capture_pb2 as cap
from rtcagent.v1 import rooms_pb2 as rm
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts.bare_publisher import BarePublisher, still
from tests.parts.chromium import Chromium
from tests.parts.controller import all_reached, bars, kind_and_reason, watching
from tests.parts.daemon import NAME, Daemon
from tests.parts.listener import Listener
from tests.parts.media import held_back, pushed, remote_snapshot
from tests.parts.picture import Picture, decode, make_bars, mirrored, shows_bars, shows_made_bars, turned
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until
from tests.parts.y4m import make_still

ROOM = "lobby"
CAMERA = "camera"
SCREENS = Path(__file__).resolve().parents[2] / "build" / "e2e"

TURNS = [
    pytest.param(ty.ROTATION_0, 0, False, id="upright"),
    pytest.param(ty.ROTATION_0, 0, True, id="mirrored"),
    pytest.param(ty.ROTATION_90, 90, False, id="90"),
    pytest.param(ty.ROTATION_180, 180, False, id="180"),
    pytest.param(ty.ROTATION_270, 270, False, id="270"),
    pytest.param(ty.ROTATION_90, 90, True, id="90-mirrored"),
]


async def test_a_person_sees_the_published_camera(
    room_server: RoomServer, daemon: Daemon, listener: Listener, browser: Chromium
) -> None:
    """JoinRoom, StartVideoCapture, PublishStream: the SDK and Chromium both show the bars at the right place."""
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    await browser.join(room_server.url, room_server.token(ROOM, "person"))
    control = daemon.control
    joined = await control.join(
        ROOM, server_url=room_server.url, token=room_server.token(ROOM, "kiosk"), auto_publish=False
    )
    assert kind_and_reason(joined) == ("REACHED", "")
    assert kind_and_reason(await control.start_capture(bars())) == ("REACHED", "")
    encoder = ty.VideoEncoderConfig(codec=ty.VIDEO_CODEC_VP8, max_bitrate_bps=1_000_000)
    assert kind_and_reason(await control.publish(ROOM, encoder=encoder)) == ("REACHED", "")

    assert shows_bars(await listener.picture("kiosk", CAMERA, until=shows_bars))
    assert listener.video("kiosk", CAMERA).size() == (640, 360)
    assert await listener.codec("kiosk", CAMERA) == "VP8"
    await browser.frames("kiosk", CAMERA, count=10)
    assert shows_bars(await browser.picture("kiosk", CAMERA))
    shown = await browser.screenshot(SCREENS / "camera-in-a-room.png")
    assert shows_bars(shown[:360, :640])


@pytest.mark.parametrize(("rotation", "degrees", "mirror"), TURNS)
async def test_the_picture_is_turned_and_mirrored(
    room_server: RoomServer, daemon: Daemon, listener: Listener, rotation: ty.Rotation.ValueType, degrees: int,
    mirror: bool,
) -> None:  # fmt: skip
    """Clockwise, then mirrored; and the stream stays the same one when that changes. The source is a media file."""
    file = make_still(daemon.media_folder / "bars.y4m", make_bars(640, 360))
    source = ty.VideoInput(file=ty.VideoInput.File(path=str(file), loop=True))
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    await daemon.control.join(ROOM, auto_publish=True)
    assert kind_and_reason(await daemon.control.start_capture(ty.CaptureConfig(input=source))) == ("REACHED", "")
    await listener.picture(NAME, CAMERA, until=shows_made_bars)
    sid = listener.video(NAME, CAMERA).sid

    width, height = (360, 640) if degrees % 180 else (640, 360)
    asked = ty.CaptureConfig(input=source, rotation=rotation, mirror=mirror)
    assert kind_and_reason(await daemon.control.start_capture(asked)) == ("REACHED", "")

    def as_asked(picture: Picture) -> bool:
        back = turned(mirrored(picture) if mirror else picture, -degrees)
        return picture.shape == (height, width, 3) and shows_made_bars(back)

    await listener.picture(NAME, CAMERA, until=as_asked)
    assert listener.video(NAME, CAMERA).sid == sid


async def test_mute_unpublish_and_leave_are_seen_by_others(
    room_server: RoomServer, daemon: Daemon, listener: Listener
) -> None:
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    control = daemon.control
    await control.start_capture(bars())
    await control.join(ROOM)  # auto_publish
    video = await listener.frames(NAME, CAMERA, count=10)

    assert kind_and_reason(await control.mute(ROOM, True)) == ("REACHED", "")
    await listener.until_muted(NAME, CAMERA, True)
    assert (await control.room(ROOM) or st.RoomStatus()).publications[0].muted
    before = await pushed(control, ROOM)
    async with watching(control) as watcher:
        # While it is muted the counter of frames held back rises, and that of frames sent does not.
        await held_back(control, ROOM, 30)
        assert await pushed(control, ROOM) == before
        count = len(video.arrivals)
        assert kind_and_reason(await control.mute(ROOM, False)) == ("REACHED", "")
        await listener.frames(NAME, CAMERA, count=10)
        assert len(video.arrivals) >= count + 10

        assert kind_and_reason(await control.unpublish(ROOM)) == ("REACHED", "")
        await listener.event("track_unpublished", NAME, CAMERA)
        unpublished = st.PUBLICATION_STATE_UNPUBLISHED
        await watcher.event("publication_state_changed", lambda each: each.publication.state == unpublished)

        assert all_reached(await control.leave(ROOM))
        await listener.event("participant_disconnected", NAME)
        await watcher.event("room_state_changed", lambda each: each.room.state == st.ROOM_STATE_LEFT)
    captures = (await control.state()).reported.captures
    assert [each.state for each in captures] == [st.CAPTURE_STATE_CAPTURING]  # capture goes on without a room


async def test_snapshots_show_the_own_and_the_remote_picture(room_server: RoomServer, daemon: Daemon) -> None:
    control = daemon.control
    publisher = BarePublisher("table")
    try:
        await control.start_capture(bars(mirror=True))
        own = await control.capture.TakeSnapshot(cap.TakeSnapshotRequest(source_id=CAMERA), timeout=10)
        assert own.format == cap.IMAGE_FORMAT_PNG
        assert (own.width, own.height) == (640, 360)
        assert shows_bars(mirrored(decode(own.image)))

        await publisher.join(room_server.url, room_server.token(ROOM, "other"))
        await publisher.capture(still(make_bars(320, 180)))
        await publisher.publish()
        await control.join(ROOM, auto_publish=False, auto_subscribe_video=False)

        async def is_told() -> bool:
            room = await control.room(ROOM)
            return room is not None and any(user.streams for user in room.users)

        await until(is_told, timeout_ms=5_000, what="the agent tells of the other's stream")
        subscribed = await control.rooms.SubscribeStream(
            rm.SubscribeStreamRequest(room_id=ROOM, user_id="other", name="table"), timeout=10
        )
        assert kind_and_reason(subscribed.result) == ("REACHED", "")
        picture = await remote_snapshot(control, ROOM, "other", "table")
        assert picture.shape == (180, 320, 3)
        assert shows_bars(picture)
    finally:
        await publisher.close()


async def test_extra_info_is_shown_to_others_and_read_back(
    room_server: RoomServer, daemon: Daemon, listener: Listener
) -> None:
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    info = '{"seat": 4, "where": "Küche"}'
    assert kind_and_reason(await daemon.control.join(ROOM, extra_info=info)) == ("REACHED", "")
    await listener.event("participant_connected", NAME)
    assert (await daemon.control.room(ROOM) or st.RoomStatus()).extra_info == info
    assert listener.extra_info(NAME) == info
