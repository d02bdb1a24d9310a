"""Recordings, by what other programs find in their files: every stream in its own track, at its time."""

import asyncio
import hashlib
import itertools
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import Literal

import grpc.aio
import numpy as np
import pytest
import pytest_asyncio
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import recordings_pb2
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import AsyncClient, errors, inputs

from tests.parts import sound
from tests.parts.bare_publisher import BarePublisher, still
from tests.parts.daemon import Daemon, MakeDaemon, faults_environment
from tests.parts.picture import make_bars, shows_bars, shows_made_bars
from tests.parts.recorded import RecordedFile
from tests.parts.room_server import RoomServer
from tests.parts.speaking import Speaking
from tests.parts.waiting import until

ROOM = "lab"
OWN_HZ, BOBS_HZ = 440.0, 1000.0

CONTAINERS: tuple[Literal["mkv", "mp4"], ...] = ("mkv", "mp4")
Recording = recordings_pb2.ListRecordingsResponse.Recording


@pytest_asyncio.fixture
async def client(daemon: Daemon) -> AsyncIterator[AsyncClient]:
    async with AsyncClient.connect(daemon.address) as client:
        yield client


@pytest_asyncio.fixture
async def ann(room_server: RoomServer) -> AsyncIterator[BarePublisher]:
    """A user with a picture."""
    person = BarePublisher("face")
    await person.capture(still(make_bars(320, 240)), fps=15)
    await person.join(room_server.url, room_server.token(ROOM, "ann"))
    yield person
    await person.close()


async def capture(client: AsyncClient) -> None:
    await client.start_video_capture(input=inputs.test_pattern("bars"), width=320, height=180, max_fps=15)
    await client.start_audio_capture(input=inputs.test_tone(OWN_HZ, level_dbfs=-20))


async def recording(client: AsyncClient, recording_id: str) -> Recording:
    found = list((await client.list_recordings([recording_id])).recordings)
    return found[0] if found else Recording()


async def until_recorded(client: AsyncClient, recording_id: str, seconds: float, files: int = 1) -> Recording:
    """The recording, once its newest file is so long."""
    latest = Recording()

    async def is_so() -> bool:
        nonlocal latest
        latest = await recording(client, recording_id)
        return len(latest.files) >= files and latest.files[-1].duration_ms >= seconds * 1000

    await until(is_so, timeout_ms=30_000, what=f"{seconds} s in file {files} of {recording_id}")
    return latest


async def subscriptions(client: AsyncClient) -> set[int]:
    """How the streams of others are taken."""
    users = (await client.get_state()).reported.rooms[0].users
    return {stream.subscription for user in users for stream in user.streams}


async def until_published(client: AsyncClient, count: int) -> None:
    """The agent knows of so many streams of others."""

    async def is_so() -> bool:
        rooms = (await client.get_state()).reported.rooms
        return sum(len(user.streams) for room in rooms for user in room.users) == count

    await until(is_so, timeout_ms=10_000, what=f"{count} streams are published")


def folder(daemon: Daemon, recording_id: str) -> Path:
    return daemon.folder / "state" / "recordings" / recording_id


def is_tone(samples: sound.Samples, frequency: float, but: float) -> bool:
    """Whether it is that tone, and nothing of the other one."""
    right, wrong = sound.tone_level(samples, frequency), sound.tone_level(samples, but)
    return abs(sound.frequency(samples) - frequency) < 5 and right - wrong > 40


async def test_own_and_remote_streams_have_their_own_tracks(
    client: AsyncClient, daemon: Daemon, room_server: RoomServer, ann: BarePublisher
) -> None:
    """Camera, microphone, and a user's picture and voice that were not subscribed: four tracks, none in another's."""
    await capture(client)
    await client.join_room(ROOM, auto_publish=False, auto_subscribe_audio=False, auto_subscribe_video=False)
    await ann.publish()
    async with Speaking(room_server.url, room_server.token(ROOM, "bob"), sound.tone(BOBS_HZ, -20, 1), name="voice"):
        await until_published(client, 2)
        streams = [
            inputs.recorded_source("camera"),
            inputs.recorded_source("microphone"),
            inputs.recorded_stream(ROOM, "ann", "camera", "face"),
            inputs.recorded_stream(ROOM, "bob", "microphone"),
        ]
        for container in CONTAINERS:
            await client.start_recording(streams, recording_id=container, container=container, wait_ms=20_000)
        assert await subscriptions(client) == {st.SUBSCRIPTION_STATE_SUBSCRIBED}
        for container in CONTAINERS:
            await until_recorded(client, container, 3)
            await client.stop_recording(container)

        async def unsubscribed() -> bool:
            return await subscriptions(client) == {st.SUBSCRIPTION_STATE_UNSUBSCRIBED}

        await until(unsubscribed, timeout_ms=10_000, what="streams that nobody records any more are not received")
    for container in CONTAINERS:
        listed = await recording(client, container)
        assert not listed.HasField("desired")
        assert not listed.HasField("status")
        assert all(file.is_complete for file in listed.files)
        file = RecordedFile(folder(daemon, container) / listed.files[-1].file)
        file.decodes_whole()
        assert len(file.tracks) == 4
        assert float(file.format["duration"]) >= 2.9
        anns = file.track("ann", ROOM)
        if container == "mkv":
            assert file.tags(anns) | {"ROOM": ROOM, "USER": "ann", "KIND": "CAMERA", "NAME": "face"} == file.tags(anns)
        assert shows_bars(file.picture(file.track("camera", "this machine"), 1))
        assert shows_made_bars(file.picture(anns, 1))
        second = slice(sound.RATE, 2 * sound.RATE)
        assert is_tone(file.samples(file.track("microphone", "this machine"))[second], OWN_HZ, BOBS_HZ)
        assert is_tone(file.samples(file.track("bob"))[second], BOBS_HZ, OWN_HZ)


async def test_everyone_in_a_room_and_who_comes_later(
    client: AsyncClient, daemon: Daemon, room_server: RoomServer, ann: BarePublisher
) -> None:
    """Who comes later begins the next file; who is muted is silent in theirs, and what is theirs stays at its time."""
    await client.start_recording([inputs.recorded_room(ROOM)], recording_id="room", check=False)
    waiting = await client.start_recording([inputs.recorded_room(ROOM)], recording_id="room", check=False)
    assert waiting.result.outcomes[0].cause.reason == ty.REASON_ROOM_NOT_JOINED
    await client.start_audio_capture(input=inputs.test_tone(OWN_HZ, level_dbfs=-20))
    await client.join_room(ROOM)
    await until_recorded(client, "room", 1)
    await ann.publish()
    await until_recorded(client, "room", 1, files=2)
    await client.mute_stream(ROOM, source_id="microphone")
    await until_recorded(client, "room", 3.5, files=2)
    await client.mute_stream(ROOM, source_id="microphone", muted=False)
    listed = await until_recorded(client, "room", 5, files=2)
    assert len(listed.files) == 2  # back in the same track
    await client.stop_recording("room")
    alone, both = (RecordedFile(folder(daemon, "room") / file.file) for file in listed.files)
    assert [len(file.tracks) for file in (alone, both)] == [1, 2]
    assert is_tone(alone.samples(0)[: sound.RATE // 2], OWN_HZ, BOBS_HZ)
    microphone = both.samples(both.track("microphone"))
    loud = [
        sound.level(microphone[at : at + sound.RATE // 2]) > -60
        for at in range(0, len(microphone) - sound.RATE, sound.RATE // 2)
    ]
    assert loud[0]
    assert loud[-1]
    assert not all(loud)
    assert loud.index(False) < len(loud) - loud[::-1].index(False) < len(loud)  # one silence, in the middle
    assert not any(loud[loud.index(False) : len(loud) - loud[::-1].index(False)])
    assert abs(len(microphone) / sound.RATE - float(both.format["duration"])) < 0.3
    assert shows_made_bars(both.picture(both.track("ann"), 1))


async def test_a_held_and_then_killed_engine(make_daemon: MakeDaemon) -> None:
    """While its interpreter is held for 0.9 s no frame waits. After kill -9 all but the last moments is there, and the
    recording goes on in the next file.
    """
    daemon = await make_daemon(environment=faults_environment())
    async with AsyncClient.connect(daemon.address) as client:
        await client.start_video_capture(input=inputs.test_pattern("bars"), width=320, height=180, max_fps=15)
        await client.start_audio_capture(input=inputs.test_tone(OWN_HZ, level_dbfs=-20))
        for container in CONTAINERS:
            await client.start_recording(
                ["camera", "microphone"], recording_id=container, container=container, wait_ms=20_000
            )
        daemon.hold_gil(await daemon.engine_pid())
        before = {container: await until_recorded(client, container, 2.5) for container in CONTAINERS}
        await daemon.kill_engine()
        for container in CONTAINERS:
            after = await until_recorded(client, container, 1, files=2)
            seconds = before[container].files[0].duration_ms / 1000
            assert not after.files[0].is_complete
            assert after.files[0].duration_ms / 1000 > seconds - 1
            await client.stop_recording(container)
            broken, whole = (RecordedFile(folder(daemon, container) / file.file) for file in after.files)
            broken.decodes_whole()
            whole.decodes_whole()
            video, audio = broken.track("camera"), broken.track("microphone")
            assert broken.frame_count(video) >= 0.8 * 15 * (seconds - 0.5)
            assert shows_bars(broken.picture(video, 2))
            times = broken.times(video)
            assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 0.4
            samples = broken.samples(audio)
            assert len(samples) / sound.RATE >= seconds - 0.5
            assert sound.quietest(samples[sound.RATE // 4 : 2 * sound.RATE], 0.1) > -40


async def test_a_killed_daemon_goes_on(client: AsyncClient, daemon: Daemon) -> None:
    """A recording that holds goes on after the daemon was killed, with the engine that it takes along."""
    await capture(client)
    await client.start_recording(["microphone"], recording_id="on", wait_ms=20_000)
    await until_recorded(client, "on", 1.2)
    await daemon.kill()
    await daemon.start()
    listed = await until_recorded(client, "on", 1, files=2)
    first = RecordedFile(folder(daemon, "on") / listed.files[0].file)
    first.decodes_whole()
    assert is_tone(first.samples(0)[: sound.RATE], OWN_HZ, BOBS_HZ)


async def test_limits_end_it(client: AsyncClient, daemon: Daemon) -> None:
    """At its length or its size a recording ends with an event, and its file is whole."""
    await capture(client)
    await client.start_video_capture(input=inputs.test_pattern("noise"), width=1280, height=720, max_fps=15)
    async with client.events(types=["recording_state_changed", "order_ended"]) as events:
        await client.start_recording(["microphone"], recording_id="short", max_duration_ms=2000)
        await client.start_recording(["camera"], recording_id="small", max_bytes=1_000_000)
        ended: dict[str, ty.Cause] = {}
        dropped: set[str] = set()
        async with asyncio.timeout(40):
            async for event in events:
                if event.HasField("order_ended"):
                    ended[event.order_ended.object.recording_id] = event.order_ended.cause
                elif event.recording_state_changed.recording.state == st.RECORDING_STATE_STOPPED:
                    dropped.add(event.recording_state_changed.recording.recording_id)
                if len(ended) == len(dropped) == 2:
                    break
    assert {cause.reason for cause in ended.values()} == {ty.REASON_RECORDING_LIMIT}
    assert not (await client.get_state()).desired.recordings
    short = RecordedFile(next(folder(daemon, "short").glob("*.mkv")))
    assert 1.9 < float(short.format["duration"]) < 3.5
    small = sorted(folder(daemon, "small").glob("*.mkv"))
    assert 200_000 < sum(path.stat().st_size for path in small) <= 1_000_000
    for path in small:
        RecordedFile(path).decodes_whole()
    again = await client.start_recording(["microphone"], recording_id="short", max_duration_ms=2000, check=False)
    assert again.result.outcomes[0].kind in (ty.Outcome.KIND_REFUSED, ty.Outcome.KIND_SUPERSEDED)


async def test_files_are_fetched_and_deleted(client: AsyncClient, daemon: Daemon, tmp_path: Path) -> None:
    """A download that broke off goes on and is checked; what is being written is neither fetched nor deleted. In the
    file, pictures of another shape have bars: a track keeps its size.
    """
    await capture(client)
    started = await client.start_recording(["camera", "microphone"], wait_ms=20_000)
    named = started.recording_id
    assert named
    await until_recorded(client, named, 0.5)
    await client.start_video_capture(input=inputs.test_pattern("bars"), width=240, height=240, max_fps=15)
    listed = await until_recorded(client, named, 2.5)
    assert len(listed.files) == 1
    for refused in (client.save_recording(named, tmp_path / "a.mkv"), client.delete_recording(named)):
        with pytest.raises(errors.FailedPrecondition) as wrong:
            await refused
        assert wrong.value.reason == "RECORDING_IN_PROGRESS"
    await client.stop_recording(named)
    name = listed.files[0].file
    source = folder(daemon, named) / name
    file = RecordedFile(source)
    video = file.track("camera")
    assert (file.tracks[video]["width"], file.tracks[video]["height"]) == (320, 180)
    assert shows_bars(file.picture(video, 0.2))
    last = file.picture(video, 2.3)
    assert max(last[:, :60].mean(), last[:, -60:].mean()) < 20  # black, in the range that video has
    assert shows_bars(np.ascontiguousarray(last[:, 70:250]))
    (tmp_path / "b.mkv.part").write_bytes(source.read_bytes()[:1000])
    saved = await client.save_recording(named, tmp_path / "b.mkv")
    assert hashlib.sha256(saved.read_bytes()).digest() == hashlib.sha256(source.read_bytes()).digest()
    (tmp_path / "c.mkv.part").write_bytes(b"x" * 1000)
    with pytest.raises(Exception, match="is not what the agent has"):
        await client.save_recording(named, tmp_path / "c.mkv")
    stub, metadata = client.stubs.recordings, client.metadata
    whole = b""
    async for piece in stub.DownloadRecording(
        recordings_pb2.DownloadRecordingRequest(recording_id=named, file=name, offset=7), metadata=metadata
    ):
        whole += piece.data
        assert piece.size_bytes == source.stat().st_size
    assert whole == source.read_bytes()[7:]
    async with client.events(types=["recording_deleted"]) as events:
        deleted = await client.delete_recording(named)
        event: ev.Event = await anext(events)
    assert list(event.recording_deleted.files) == list(deleted.files) == [name]
    assert not folder(daemon, named).exists()
    with pytest.raises(errors.NotFound):
        await client.delete_recording(named)
    assert not (await client.list_recordings()).recordings


async def refusal(call: Awaitable[object], client: AsyncClient) -> str:
    """The reason that a call on a stub is refused for."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return errors.from_call(error, client.address).reason
    return ""


async def test_what_cannot_be_fetched(client: AsyncClient, daemon: Daemon) -> None:
    """No name leads out of the recording's folder, by dots, slashes or links."""
    folder(daemon, "there").mkdir()
    (folder(daemon, "there") / "there-0001.mkv").write_bytes(b"abc")
    (folder(daemon, "there") / "there-0002.mkv").symlink_to("/etc/hostname")
    assert [each.file for each in (await recording(client, "there")).files] == ["there-0001.mkv"]
    for offset, recording_id, file, reason in (
        (0, "no-such", "", "RECORDING_NOT_FOUND"),
        (0, "there", "there-0007.mkv", "FILE_NOT_FOUND"),
        (0, "there", "there-0002.mkv", "FILE_NOT_FOUND"),
        (0, "there", "../../rtcagent.db", "FILE_NOT_FOUND"),
        (0, "there", "there-0001.json", "FILE_NOT_FOUND"),
        (0, "..", "", "RECORDING_ID_INVALID"),
        (0, "../state", "", "RECORDING_ID_INVALID"),
        (0, "", "", "RECORDING_ID_INVALID"),
        (4, "there", "", "OFFSET_INVALID"),
    ):
        request = recordings_pb2.DownloadRecordingRequest(recording_id=recording_id, file=file, offset=offset)
        call = client.stubs.recordings.DownloadRecording(request, metadata=client.metadata)
        assert await refusal(call.read(), client) == reason, f"{recording_id} {file} {offset}"


def config(*streams: ty.RecordedStream, **others: int) -> ty.RecordingConfig:
    made = ty.RecordingConfig(streams=streams)
    for name, value in others.items():
        setattr(made, name, value)
    return made


async def test_what_cannot_be_ordered(make_daemon: MakeDaemon) -> None:
    """Ids, streams and limits that can never be right; the configuration lets recordings be of ten minutes."""
    daemon = await make_daemon(settings={"recording": {"max_minutes": 10}})
    async with AsyncClient.connect(daemon.address) as client:
        for recording_id, asked, reason in (
            ("a/b", config(inputs.recorded_source("camera")), "RECORDING_ID_INVALID"),
            ("..", config(inputs.recorded_source("camera")), "RECORDING_ID_INVALID"),
            ("a" * 65, config(inputs.recorded_source("camera")), "RECORDING_ID_INVALID"),
            ("a", config(), "STREAMS_INVALID"),
            ("a", config(*[inputs.recorded_source("camera")] * 65), "STREAMS_INVALID"),
            ("a", config(ty.RecordedStream()), "STREAM_EMPTY"),
            ("a", config(inputs.recorded_source("a b")), "SOURCE_ID_INVALID"),
            ("a", config(inputs.recorded_room("a b")), "ROOM_ID_INVALID"),
            ("a", config(inputs.recorded_stream(ROOM, "", "camera")), "USER_ID_INVALID"),
            ("a", config(inputs.recorded_stream(ROOM, "ann", 0)), "VALUE_UNKNOWN"),
            ("a", config(inputs.recorded_source("camera"), container=9), "VALUE_UNKNOWN"),
            ("a", config(inputs.recorded_source("camera"), max_bytes=5), "LIMIT_INVALID"),
            ("a", config(inputs.recorded_source("camera"), max_duration_ms=5), "LIMIT_INVALID"),
            ("a", config(inputs.recorded_source("camera"), max_duration_ms=3_600_000), "LIMIT_INVALID"),
        ):
            request = recordings_pb2.StartRecordingRequest(recording_id=recording_id, config=asked)
            call = client.stubs.recordings.StartRecording(request, metadata=client.metadata)
            assert await refusal(call, client) == reason, request
        assert not (await client.get_state()).desired.recordings


async def test_orders_that_wait_and_end(client: AsyncClient) -> None:
    """What is not there is waited for; what was never ordered cannot be stopped; there is an end to how many."""
    waiting = await client.start_recording(["no-such"], recording_id="a", check=False)
    assert waiting.result.outcomes[0].kind == ty.Outcome.KIND_WAITING
    assert waiting.result.outcomes[0].cause.reason == ty.REASON_SOURCE_NOT_CAPTURED
    with pytest.raises(errors.NotFound):
        await client.stop_recording("b")
    for number in range(7):
        await client.start_recording(["no-such"], recording_id=f"r{number}", check=False, wait_ms=0)
    with pytest.raises(errors.ResourceExhausted):
        await client.start_recording(["no-such"], recording_id="one-more")
    await client.stop_recording("a")


async def test_a_folder_that_is_not_there(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    """Is told as such, and made by nobody: it may be a disk that is not mounted. Once it is there, all goes on."""
    missing = tmp_path / "disk"
    daemon = await make_daemon(settings={"recording": {"folder": str(missing)}})
    async with AsyncClient.connect(daemon.address) as client:
        await capture(client)
        asked = await client.start_recording(["microphone"], recording_id="a", check=False)
        assert asked.result.outcomes[0].kind == ty.Outcome.KIND_WAITING
        assert asked.result.outcomes[0].cause.reason == ty.REASON_FOLDER_UNUSABLE
        assert str(missing) in asked.result.outcomes[0].cause.message
        assert (await client.list_recordings()).cause.reason == ty.REASON_FOLDER_UNUSABLE
        assert not missing.exists()
        missing.mkdir()
        await until_recorded(client, "a", 1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of twelve megabytes."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


async def test_a_disk_is_never_filled(make_daemon: MakeDaemon, small_disk: Path) -> None:
    """What is to stay free stays free: the recording waits, its file is whole, and goes on when there is room."""
    settings = {"recording": {"folder": str(small_disk), "min_free_mb": 4}}
    daemon = await make_daemon(settings=settings)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(6_500_000))
    async with AsyncClient.connect(daemon.address) as client:
        await client.start_video_capture(input=inputs.test_pattern("noise"), width=640, height=360, max_fps=30)
        await client.start_recording(["camera"], recording_id="noise", wait_ms=20_000)

        async def is_low() -> bool:
            state = await client.get_state()
            return [each.cause.reason for each in state.reported.recordings] == [ty.REASON_DISK_LOW]

        await until(is_low, timeout_ms=30_000, what="the recording waits for room")
        assert (await client.list_recordings()).free_bytes < 1_000_000
        written = sorted((small_disk / "noise").glob("*.mkv"))
        assert shutil.disk_usage(small_disk).free >= 4 * 2**20 - 100_000  # but for the last few pages
        for path in written:
            RecordedFile(path).decodes_whole()
        ballast.unlink()
        await until_recorded(client, "noise", 1, files=len(written) + 1)
