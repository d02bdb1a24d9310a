"""Size, rate, turn, mirror and encoder of a source, changed in the middle of a call, as others see them."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import AsyncClient, FailedPrecondition, InvalidArgument, NotFound, RtcAgentError, inputs
from rtcagentd.engine.livekit import ffi

from tests.parts import screenshot
from tests.parts.daemon import NAME, Daemon, MakeDaemon
from tests.parts.listener import Listener
from tests.parts.picture import BARS, Picture, bars, decode
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until
from tests.parts.xvfb import Xvfb

pytestmark = pytest.mark.timeout(120)

ROOM = "lab"
SETTLE_MS = 20_000
MIRRORED = BARS[::-1]


@pytest_asyncio.fixture
async def screen() -> AsyncIterator[Xvfb]:
    async with Xvfb(320, 240) as server:
        yield server


@pytest_asyncio.fixture
async def kiosk(make_daemon: MakeDaemon, room_server: RoomServer, screen: Xvfb) -> Daemon:
    settings = {"display": {"default_layout": False}}
    return await make_daemon(room_server, settings=settings, environment=screen.environment)


@pytest_asyncio.fixture
async def client(kiosk: Daemon) -> AsyncIterator[AsyncClient]:
    """In a room that sees its bars."""
    async with AsyncClient.connect(kiosk.address) as client:
        await client.start_video_capture(input=inputs.test_pattern("bars"), width=320, height=240)
        await client.join_room(ROOM)
        yield client


@pytest_asyncio.fixture
async def far(room_server: RoomServer, listener: Listener) -> Listener:
    await listener.join(room_server.url, room_server.token(ROOM, "ann"))
    return listener


def shows(wanted: tuple[str, ...]) -> Callable[[Picture], bool]:
    return lambda picture: bars(picture, y=0.2) == wanted


async def own(client: AsyncClient) -> st.PublicationStatus:
    (room,) = (await client.get_state()).reported.rooms
    return room.publications[0] if room.publications else st.PublicationStatus()


async def test_mirror_in_what_is_sent_and_in_the_local_view(client: AsyncClient, far: Listener, screen: Xvfb) -> None:
    await client.set_local_video_canvas(canvas_id="me", fit="stretch")
    for where, sent, local in (
        ("none", BARS, BARS),
        ("sent", MIRRORED, BARS),
        ("local-view", BARS, MIRRORED),
        ("both", MIRRORED, MIRRORED),
    ):
        await client.set_local_video_mirror(where)  # type: ignore[arg-type]
        await far.picture(NAME, "camera", until=shows(sent), timeout_ms=SETTLE_MS)
        await screenshot.until_seen(lambda: screenshot.of_x11(screen.display), shows(local), f"local view: {where}")
        assert shows(local)(decode((await client.take_snapshot()).image))
    (capture,) = (await client.get_state()).reported.captures
    assert capture.mirror_in == ty.VIDEO_MIRROR_BOTH
    assert "track_unpublished" not in {seen.kind for seen in far.events}


async def test_turn_size_and_rate_change_on_the_same_track(client: AsyncClient, far: Listener) -> None:
    await far.picture(NAME, "camera", until=shows(BARS), timeout_ms=SETTLE_MS)
    sid = far.video(NAME, "camera").sid
    await client.set_video_rotation(90)
    await far.picture(
        NAME, "camera", until=lambda picture: bars(picture.transpose(1, 0, 2), y=0.8) == BARS, timeout_ms=SETTLE_MS
    )
    await client.set_video_rotation(180)
    await far.picture(NAME, "camera", until=lambda picture: bars(picture, y=0.8) == MIRRORED, timeout_ms=SETTLE_MS)
    await client.set_video_rotation(0)
    await client.set_video_encoder_config(width=160, height=120, max_fps=10)
    await far.picture(NAME, "camera", until=lambda picture: picture.shape[:2] == (120, 160), timeout_ms=SETTLE_MS)
    video = await far.frames(NAME, "camera", count=30, timeout_ms=SETTLE_MS)
    assert 7 < 20 / (video.arrivals[-1] - video.arrivals[-21]) < 13
    assert video.sid == sid
    (capture,) = (await client.get_state()).reported.captures
    assert (capture.format.width, capture.format.height) == (160, 120)


async def test_each_codec_arrives_as_itself(client: AsyncClient, far: Listener) -> None:
    async with client.events(types=["stream_republished"]) as events:
        for codec, coder in (("vp9", "libvpx"), ("h264", "OpenH264"), ("av1", "libaom"), ("vp8", "libvpx")):
            await client.set_video_encoder_config(codec=codec)
            again = (await anext(events)).stream_republished
            assert (again.room_id, again.source_id) == (ROOM, "camera")
            print(f"{codec}: nothing was sent for {again.gap_ms} ms")
            await far.frames(NAME, "camera", count=10, timeout_ms=SETTLE_MS)
            (track,) = far.room.remote_participants[NAME].track_publications.values()
            assert track.mime_type.lower() == f"video/{codec}"

            async def is_told(coder: str = coder) -> bool:
                return (await own(client)).coder == coder

            await until(is_told, timeout_ms=SETTLE_MS, what=f"{coder} is told")
    assert not (await own(client)).hardware


@pytest.mark.parametrize(("codec", "scalability"), [("vp8", ""), ("vp9", "L3T3_KEY")])
async def test_smaller_layers(
    client: AsyncClient, far: Listener, room_server: RoomServer, codec: str, scalability: str
) -> None:
    """One viewer takes the picture in full, and one small: the server asks for the layers that somebody takes."""
    await client.set_video_encoder_config(width=1280, height=720, codec=codec, simulcast=True)

    async def has_grown() -> bool:
        stream = await own(client)
        return (stream.width, stream.encoder.scalability_mode) == (1280, scalability)

    await until(has_grown, timeout_ms=SETTLE_MS, what="published for the larger picture")
    async with contextlib.AsyncExitStack() as stack:
        small = Listener()
        stack.push_async_callback(small.close)
        await small.join(room_server.url, room_server.token(ROOM, "bob"))
        await small.frames(NAME, "camera", timeout_ms=SETTLE_MS)
        (publication,) = small.room.remote_participants[NAME].track_publications.values()
        ffi.set_quality(publication._ffi_handle.handle, ty.StreamQuality(layer=ty.StreamQuality.LAYER_LOW))
        await small.picture(NAME, "camera", until=lambda picture: picture.shape[1] < 1280, timeout_ms=SETTLE_MS)
        await far.picture(NAME, "camera", until=lambda picture: picture.shape[1] == 1280, timeout_ms=SETTLE_MS)

        async def has_layers() -> bool:
            streams = (await client.get_statistics([ROOM])).streams
            return any(one.source_id == "camera" and one.layer_count > 1 for one in streams)

        if not scalability:
            await until(has_layers, timeout_ms=SETTLE_MS, what="more than one layer is sent")
        own_statistics = [one for one in (await client.get_statistics([ROOM])).streams if one.source_id == "camera"]
        assert [one.fps < 45 for one in own_statistics] == [True]  # whatever layers there are


async def test_of_one_room_alone_and_of_all(client: AsyncClient, far: Listener) -> None:
    await client.join_room("other")
    await client.set_video_encoder_config(room_id=ROOM, codec="h264")

    async def codecs() -> dict[str, int]:
        rooms = (await client.get_state()).reported.rooms
        return {room.room_id: room.publications[0].encoder.codec for room in rooms if room.publications}

    async def are(wanted: dict[str, int]) -> None:
        async def so() -> bool:
            return await codecs() == wanted

        await until(so, timeout_ms=SETTLE_MS, what=f"codecs {wanted}")

    await are({ROOM: ty.VIDEO_CODEC_H264, "other": ty.VIDEO_CODEC_VP8})
    await client.set_video_encoder_config(codec="vp9")
    await are({ROOM: ty.VIDEO_CODEC_VP9, "other": ty.VIDEO_CODEC_VP9})


async def test_all_of_it_outlasts_engine_and_daemon(client: AsyncClient, kiosk: Daemon, far: Listener) -> None:
    await client.set_video_rotation(180)
    await client.set_local_video_mirror("sent")
    await client.set_video_encoder_config(width=160, height=120, codec="h264")

    def is_so(picture: Picture) -> bool:
        return picture.shape[:2] == (120, 160) and bars(picture, y=0.8) == BARS

    async def is_seen() -> None:
        await far.frames(NAME, "camera", count=5, timeout_ms=SETTLE_MS)
        await far.picture(NAME, "camera", until=is_so, timeout_ms=SETTLE_MS)
        (track,) = far.room.remote_participants[NAME].track_publications.values()
        assert track.mime_type.lower() == "video/h264"

    await is_seen()
    await kiosk.kill_engine()
    await far.event("participant_disconnected", NAME, timeout_ms=SETTLE_MS)
    await is_seen()
    await kiosk.kill()
    await kiosk.start()
    await is_seen()


async def test_encoders_are_listed_and_those_that_are_missing_refused(client: AsyncClient) -> None:
    encoders = await client.list_encoders()
    assert {each.codec for each in encoders if not each.hardware} == {
        ty.VIDEO_CODEC_VP8,
        ty.VIDEO_CODEC_VP9,
        ty.VIDEO_CODEC_H264,
        ty.VIDEO_CODEC_AV1,
    }
    assert all(each.missing for each in encoders if not each.present)
    if any(each.name == "NVENC" and each.present for each in encoders):
        return
    await client.set_video_encoder_config(codec="h264", encoder="nvenc")

    async def is_refused() -> bool:
        one = await own(client)
        refused = (st.PUBLICATION_STATE_REFUSED, ty.REASON_UNSUPPORTED_BY_ENGINE)
        return (one.state, one.cause.reason) == refused

    await until(is_refused, timeout_ms=SETTLE_MS, what="the stream is refused")


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({}, InvalidArgument, "NOTHING_TO_CHANGE"),
        ({"width": 1}, InvalidArgument, None),
        ({"max_fps": 500}, InvalidArgument, None),
        ({"codec": 9}, InvalidArgument, "CODEC_UNKNOWN"),
        ({"max_bitrate_bps": 1}, InvalidArgument, "BITRATE_INVALID"),
        ({"max_bitrate_bps": 100_000, "min_bitrate_bps": 200_000}, InvalidArgument, "BITRATE_INVALID"),
        ({"min_bitrate_bps": 100_000}, FailedPrecondition, "UNSUPPORTED_BY_ENGINE"),
        ({"scalability_mode": "L3T3"}, InvalidArgument, "SCALABILITY_INVALID"),
        ({"codec": "vp9", "scalability_mode": "L9T9"}, InvalidArgument, "SCALABILITY_INVALID"),
        ({"codec": "vp9", "scalability_mode": "L1T2", "simulcast": True}, InvalidArgument, "SCALABILITY_INVALID"),
        ({"encoder": 99}, InvalidArgument, "VALUE_UNKNOWN"),
        ({"source_id": "none", "codec": "vp9"}, NotFound, "CAPTURE_NOT_FOUND"),
        ({"room_id": "none", "codec": "vp9"}, NotFound, "ROOM_NOT_FOUND"),
        ({"source_id": "none", "room_id": ROOM, "codec": "vp9"}, FailedPrecondition, "NOT_PUBLISHED"),
        ({"room_id": ROOM, "width": 320, "height": 240}, InvalidArgument, "OUTPUT_IN_ROOM"),
    ],
)
async def test_bad_encoder_configs(
    client: AsyncClient, arguments: dict[str, Any], error: type[RtcAgentError], reason: str | None
) -> None:
    before = await client.get_desired_state()
    with pytest.raises(error) as wrong:
        await client.set_video_encoder_config(**arguments)
    assert reason is None or wrong.value.reason == reason
    assert (await client.get_desired_state()).revision == before.revision
