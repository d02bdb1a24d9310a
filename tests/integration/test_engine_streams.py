"""Own streams: what a second participant sees of what is captured, gated, muted and published."""

import contextlib

import grpc
import pytest
from livekit import rtc
from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import types_pb2 as types

from tests.integration.engine_harness import EngineUnderTest, StepFailed, engine
from tests.parts import picture
from tests.parts.listener import Listener
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until

__all__ = ["engine"]


async def test_the_picture_arrives(engine: EngineUnderTest, room_server: RoomServer, listener: Listener) -> None:
    """Captured, joined, published: the second participant sees the colour bars in the size asked for."""
    await engine.set_gate("camera", send=[("lab", "camera")])
    status = await engine.open_pattern("camera", size=(640, 480))
    assert (status.format.width, status.format.height) == (640, 480)
    await engine.join(room_server, "lab")
    publication = await engine.publish("lab", "camera")
    assert publication.encoder.codec == types.VIDEO_CODEC_VP8
    assert publication.encoder.max_bitrate_bps > 100_000
    await listener.join(room_server.url, room_server.token("lab", "watcher"))
    await listener.picture("agent", "camera", until=_shows_bars)
    assert listener.video("agent", "camera").size() == (640, 480)
    sent = await engine.event("first_frame_sent")
    assert (sent.room_id, sent.source_id, sent.width) == ("lab", "camera", 640)
    (source,) = (await engine.stats()).sources
    assert source.frames_captured > 0
    assert (await engine.snapshot(source_id="camera")).image.startswith(b"\x89PNG")


async def test_nothing_leaves_through_a_closed_gate(
    engine: EngineUnderTest, room_server: RoomServer, listener: Listener
) -> None:
    """A published stream carries frames only while the gate lets it, and stays published meanwhile."""
    await engine.set_gate("camera")
    await engine.open_pattern("camera")
    await engine.join(room_server, "lab")
    await engine.publish("lab", "camera")
    await listener.join(room_server.url, room_server.token("lab", "watcher"))
    await listener.event("track_subscribed", "agent", "camera")

    async def gated(count: int) -> bool:
        return bool((await engine.stats()).publications[0].frames_gated >= count)

    await until(lambda: gated(10), timeout_ms=5000, what="frames are held back")
    assert (await engine.stats()).publications[0].frames_pushed == 0
    # Until a source's first frame the SDK sends black, so that receivers have something to begin with.
    if listener.video("agent", "camera").frame is not None:
        assert (await listener.picture("agent", "camera")).mean() < 30

    await engine.set_gate("camera", send=[("lab", "camera")])
    await listener.picture("agent", "camera", until=_shows_bars)

    await engine.set_gate("camera")
    before = (await engine.stats()).publications[0]
    await until(lambda: gated(before.frames_gated + 10), timeout_ms=5000, what="frames are held back again")
    assert (await engine.stats()).publications[0].frames_pushed == before.frames_pushed
    assert listener.muted("agent", "camera") is False


async def test_publish_before_the_source_is_open(
    engine: EngineUnderTest, room_server: RoomServer, listener: Listener
) -> None:
    """The stream is there, and its frames begin with the capture."""
    await engine.set_gate("camera", send=[("lab", "camera")])
    await engine.join(room_server, "lab")
    await engine.publish("lab", "camera")
    await listener.join(room_server.url, room_server.token("lab", "watcher"))
    await listener.event("track_subscribed", "agent", "camera")
    assert not [event for event in engine.events if event.HasField("first_frame_sent")]
    await engine.open_pattern("camera")
    await listener.frames("agent", "camera", count=5)
    await engine.event("first_frame_sent")


async def test_two_sources_at_once(engine: EngineUnderTest, room_server: RoomServer, listener: Listener) -> None:
    """Two cameras of one agent, told apart by their names."""
    sends = [("lab", "front"), ("lab", "back")]
    await engine.set_gate("front", "back", send=sends)
    await engine.open_pattern("front", size=(320, 240))
    await engine.open_pattern("back", size=(160, 120))
    await engine.join(room_server, "lab")
    await engine.publish("lab", "front")
    await engine.publish("lab", "back")
    await listener.join(room_server.url, room_server.token("lab", "watcher"))
    await listener.frames("agent", "front", count=3)
    await listener.frames("agent", "back", count=3)
    assert listener.video("agent", "front").size() == (320, 240)
    assert listener.video("agent", "back").size() == (160, 120)


async def test_one_source_in_two_rooms_muted_in_one(engine: EngineUnderTest, room_server: RoomServer) -> None:
    """The camera is opened once; muting in one room leaves the other alone."""
    listeners = {"red": Listener(), "blue": Listener()}
    await engine.set_gate("camera", send=[("red", "camera"), ("blue", "camera")])
    await engine.open_pattern("camera")
    for room_id, listener in listeners.items():
        await engine.join(room_server, room_id)
        await engine.publish(room_id, "camera")
        await listener.join(room_server.url, room_server.token(room_id, "watcher"))
        await listener.frames("agent", "camera", count=3)
    await engine.mute("red", "camera", True)
    await listeners["red"].until_muted("agent", "camera", True)
    pushed = _pushed(await engine.stats())
    await listeners["blue"].frames("agent", "camera", count=10)
    after = _pushed(await engine.stats())
    assert after["red"] == pushed["red"]
    assert after["blue"] > pushed["blue"]
    await engine.mute("red", "camera", False)
    await listeners["red"].until_muted("agent", "camera", False)
    await listeners["red"].frames("agent", "camera", count=3)
    for listener in listeners.values():
        await listener.close()


async def test_muting_opens_no_gate(engine: EngineUnderTest, room_server: RoomServer) -> None:
    """Unmuting lets frames pass only as far as the gate does."""
    await engine.set_gate("camera")
    await engine.open_pattern("camera")
    await engine.join(room_server, "lab")
    status = await engine.publish("lab", "camera", muted=True)
    assert status.muted
    await engine.mute("lab", "camera", False)
    begin = (await engine.stats()).publications[0].frames_gated

    async def gated() -> bool:
        return bool((await engine.stats()).publications[0].frames_gated >= begin + 5)

    await until(gated, timeout_ms=5000, what="frames are held back")
    assert (await engine.stats()).publications[0].frames_pushed == 0


async def test_published_muted_is_muted_from_the_start(
    engine: EngineUnderTest, room_server: RoomServer, listener: Listener
) -> None:
    """Nobody sees a frame before it is unmuted, and everybody is told that it is muted."""
    await engine.set_gate("camera", send=[("lab", "camera")])
    await engine.open_pattern("camera")
    await listener.join(room_server.url, room_server.token("lab", "watcher"))
    await engine.join(room_server, "lab")
    await engine.publish("lab", "camera", muted=True)
    await listener.until_muted("agent", "camera", True)
    assert (await engine.stats()).publications[0].frames_pushed == 0
    await engine.publish("lab", "camera", muted=False)
    await listener.until_muted("agent", "camera", False)
    await listener.frames("agent", "camera", count=3)


async def test_another_configuration_keeps_the_stream(
    engine: EngineUnderTest, room_server: RoomServer, listener: Listener
) -> None:
    """The source is opened anew, mirrored and in another size; viewers stay subscribed to the same track."""
    await engine.set_gate("camera", send=[("lab", "camera")])
    await engine.open_pattern("camera")
    await engine.join(room_server, "lab")
    await engine.publish("lab", "camera")
    await listener.join(room_server.url, room_server.token("lab", "watcher"))
    await listener.picture("agent", "camera", until=_shows_bars)
    sid = listener.video("agent", "camera").sid
    await engine.open_pattern("camera", size=(640, 480), mirror=True)
    await listener.picture(
        "agent", "camera", until=lambda seen: seen.shape[1] == 640 and _shows_bars(picture.mirrored(seen))
    )
    assert listener.video("agent", "camera").sid == sid
    assert not [seen for seen in listener.events if seen.kind == "track_unpublished"]
    await engine.close_source("camera")
    await engine.open_pattern("camera")
    await listener.frames("agent", "camera", count=3)
    assert listener.video("agent", "camera").sid == sid


async def test_publishing_again_with_another_encoder(
    engine: EngineUnderTest, room_server: RoomServer, listener: Listener
) -> None:
    """The same order changes nothing; another codec publishes anew, once."""
    await engine.set_gate("camera", send=[("lab", "camera")])
    await engine.open_pattern("camera")
    await engine.join(room_server, "lab")
    await listener.join(room_server.url, room_server.token("lab", "watcher"))
    await engine.publish("lab", "camera")
    await engine.publish("lab", "camera")
    await listener.frames("agent", "camera", count=3)
    vp9 = types.VideoEncoderConfig(codec=types.VIDEO_CODEC_VP9, max_bitrate_bps=300_000)
    status = await engine.publish("lab", "camera", encoder=vp9)
    assert status.encoder.codec == types.VIDEO_CODEC_VP9
    assert status.encoder.max_bitrate_bps == 300_000
    await listener.event("track_unpublished", "agent", "camera")
    await listener.frames("agent", "camera", count=3)
    assert await listener.codec("agent", "camera") == "VP9"
    assert len([seen for seen in listener.events if seen.kind == "track_published"]) <= 2


async def test_steps_that_cannot_be_done_say_why(engine: EngineUnderTest, room_server: RoomServer) -> None:
    """Publishing without a room, and without the right."""
    with pytest.raises(StepFailed) as failure:
        await engine.publish("nowhere", "camera")
    assert failure.value.reason == types.REASON_ROOM_NOT_JOINED
    await engine.join(room_server, "lab", token=room_server.token("lab", "agent", can_publish=False))
    with pytest.raises(StepFailed) as failure:
        await engine.publish("lab", "camera")
    assert (failure.value.reason, failure.value.permanent) == (types.REASON_NO_PERMISSION, True)
    with pytest.raises(StepFailed) as failure:
        await engine.publish("lab", "microphone", kind=types.STREAM_KIND_MICROPHONE)
    assert (failure.value.reason, failure.value.permanent) == (types.REASON_NO_PERMISSION, True)
    with pytest.raises(StepFailed) as failure:
        await engine.mute("lab", "camera", True)
    assert failure.value.reason == types.REASON_STREAM_NOT_PUBLISHED
    await engine.unpublish("lab", "camera")


async def test_a_cancelled_publish_leaves_nothing(
    engine: EngineUnderTest, room_server: RoomServer, listener: Listener
) -> None:
    """A daemon that gives up in the middle of publishing has no stream in the room, and can publish at once."""
    await engine.set_gate("camera", send=[("lab", "camera")])
    await engine.open_pattern("camera")
    await engine.join(room_server, "lab")
    for delay_ms in (2, 10, 25):
        request = contract.PublishRequest(
            generation=engine.generation, room_id="lab", source_id="camera", kind=types.STREAM_KIND_CAMERA, name="half"
        )
        with contextlib.suppress(grpc.aio.AioRpcError):
            await engine.stub.Publish(request, timeout=delay_ms / 1000)
            await engine.unpublish("lab", "camera")  # it was quicker
    status = await engine.publish("lab", "camera")
    assert status.name == "camera"
    await listener.join(room_server.url, room_server.token("lab", "watcher"))
    await listener.frames("agent", "camera", count=3)
    (agent,) = listener.room.remote_participants.values()
    assert [publication.name for publication in agent.track_publications.values()] == ["camera"]
    assert len((await engine.stats()).publications) == 1


async def test_two_tracks_of_one_name(engine: EngineUnderTest, room_server: RoomServer) -> None:
    """Another user may publish two tracks alike: they are two streams."""
    await engine.join(room_server, "lab", auto_subscribe_video=False)
    other = rtc.Room()
    await other.connect(room_server.url, room_server.token("lab", "other"))
    sources = [rtc.VideoSource(64, 48), rtc.VideoSource(64, 48)]
    for source in sources:
        track = rtc.LocalVideoTrack.create_video_track("same", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA)
        await other.local_participant.publish_track(track, options)
    await engine.event("stream_published", lambda event: event.stream.name == "same")
    await engine.event("stream_published", lambda event: event.stream.name == "same~2")
    await other.disconnect()


def _shows_bars(seen: picture.Picture) -> bool:
    return picture.bars(seen, y=0.25) == picture.BARS


def _pushed(stats: object) -> dict[str, int]:
    return {each.room_id: each.frames_pushed for each in stats.publications}  # type: ignore[attr-defined]
