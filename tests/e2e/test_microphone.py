"""A microphone of a real sound server, captured and sent, as another participant hears it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import AsyncClient, FailedPrecondition, RtcAgentError, inputs

from tests.parts import sound
from tests.parts.daemon import NAME, Daemon, MakeDaemon
from tests.parts.listener import Listener
from tests.parts.pulse import Pulse
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until

pytestmark = pytest.mark.timeout(90)

ROOM = "call"
MIC = "microphone"
PLAIN: dict[str, Any] = {"echo_cancellation": False, "noise_suppression": False, "auto_gain": False}


@pytest_asyncio.fixture
async def desk(pulse: Pulse, make_daemon: MakeDaemon, room_server: RoomServer) -> Daemon:
    """A daemon on a machine with one microphone, `desk`."""
    await pulse.add_microphone("desk")
    await pulse.set_default_microphone("desk")
    return await make_daemon(room_server, environment=pulse.environment)


@pytest_asyncio.fixture
async def client(desk: Daemon) -> AsyncIterator[AsyncClient]:
    async with AsyncClient.connect(desk.address) as client:
        yield client


def hears(frequency: float, level_dbfs: float, tolerance: float = 3) -> Callable[[sound.Samples], bool]:
    """Whether a tone is heard with this frequency and level."""

    def check(samples: sound.Samples) -> bool:
        mono = samples.mean(axis=0)
        return (
            abs(sound.frequency(mono) - frequency) < 5
            and abs(sound.tone_level(mono, frequency) - level_dbfs) < tolerance
        )

    return check


def is_silent(samples: sound.Samples) -> bool:
    return sound.level(samples) < -75


async def status(client: AsyncClient, source_id: str = MIC) -> st.CaptureStatus:
    state = await client.get_state()
    return next((one for one in state.reported.captures if one.source_id == source_id), st.CaptureStatus())


async def test_a_tone_is_heard_at_the_far_end(
    pulse: Pulse, desk: Daemon, client: AsyncClient, room_server: RoomServer, listener: Listener
) -> None:
    """Its frequency and level, levels before it is published, volumes, mute, and another profile."""
    await pulse.play("desk.mouth", sound.tone(700, -26, 1), loop=True)
    await client.start_audio_capture(**PLAIN)

    async def level() -> float:
        (source,) = (await client.get_capture_stats()).sources
        return source.audio_level.rms_dbfs

    async def is_level_right() -> bool:
        return abs(await level() + 26) < 2

    await until(is_level_right, timeout_ms=5000, what="the microphone's level is -26 dBFS")
    captured = await status(client)
    assert captured.state == st.CAPTURE_STATE_CAPTURING
    assert captured.device_id == "desk"
    assert captured.audio.channels == 1

    await listener.join(room_server.url, room_server.token(ROOM, "ann"))
    await client.join_room(ROOM)
    await listener.hear(NAME, MIC, until=hears(700, -26), timeout_ms=15_000)

    await client.set_capture_volume(200)
    await listener.hear(NAME, MIC, until=hears(700, -20), timeout_ms=10_000)
    await client.set_capture_volume(0)
    await listener.hear(NAME, MIC, until=is_silent, timeout_ms=10_000)
    await client.set_capture_volume(100)
    await listener.hear(NAME, MIC, until=hears(700, -26), timeout_ms=10_000)

    await client.mute_stream(ROOM, MIC)
    await listener.until_muted(NAME, MIC, True)
    await listener.hear(NAME, MIC, until=is_silent, timeout_ms=10_000)
    await client.mute_stream(ROOM, MIC, muted=False)
    await listener.hear(NAME, MIC, until=hears(700, -26), timeout_ms=10_000)


async def test_in_two_rooms_muted_in_each_apart(
    pulse: Pulse, desk: Daemon, client: AsyncClient, room_server: RoomServer, listener: Listener
) -> None:
    """One capture, two rooms: muted in one it is heard in the other. media_state says LIVE of what is sent, of silence
    too, and nothing of what is muted.
    """
    other = Listener()
    try:
        await listener.join(room_server.url, room_server.token(ROOM, "ann"))
        await other.join(room_server.url, room_server.token("second", "ben"))
        await client.start_audio_capture(**PLAIN)
        await client.join_room(ROOM)
        await client.join_room("second")
        await listener.hear(NAME, MIC, until=is_silent, timeout_ms=15_000)

        async def live(wanted: dict[str, st.MediaState.ValueType]) -> bool:
            rooms = (await client.get_state()).reported.rooms
            return {room.room_id: one.media_state for room in rooms for one in room.publications} == wanted

        both = {ROOM: st.MEDIA_STATE_LIVE, "second": st.MEDIA_STATE_LIVE}
        await until(lambda: live(both), timeout_ms=15_000, what="silence is LIVE in both rooms")
        await pulse.play("desk.mouth", sound.tone(500, -20, 1), loop=True)
        await listener.hear(NAME, MIC, until=hears(500, -20), timeout_ms=10_000)
        await other.hear(NAME, MIC, until=hears(500, -20), timeout_ms=10_000)

        await client.mute_stream(ROOM, MIC)
        await listener.hear(NAME, MIC, until=is_silent, timeout_ms=10_000)
        await other.hear(NAME, MIC, until=hears(500, -20), timeout_ms=10_000)
        muted = {ROOM: st.MEDIA_STATE_UNSPECIFIED, "second": st.MEDIA_STATE_LIVE}
        await until(lambda: live(muted), timeout_ms=10_000, what="of the muted one nothing is said")
        pushed = {one.room_id: one.frames_pushed for one in (await client.get_capture_stats()).publications}
        await other.hear(NAME, MIC, seconds=0.5)
        later = {one.room_id: one.frames_pushed for one in (await client.get_capture_stats()).publications}
        assert later[ROOM] == pushed[ROOM]
        assert later["second"] > pushed["second"]
    finally:
        await other.close()


async def test_it_survives_the_engine_and_an_unplugged_microphone(
    pulse: Pulse, desk: Daemon, client: AsyncClient, room_server: RoomServer, listener: Listener
) -> None:
    """The engine is killed; then the microphone is unplugged and plugged in again: the same order goes on, volume and
    all, and the stream stays published while the microphone is gone.
    """
    await pulse.play("desk.mouth", sound.tone(600, -30, 1), loop=True)
    await listener.join(room_server.url, room_server.token(ROOM, "ann"))
    await client.start_audio_capture(input=inputs.microphone("desk"), volume=200, **PLAIN)
    await client.join_room(ROOM)
    await listener.hear(NAME, MIC, until=hears(600, -24), timeout_ms=15_000)

    killed_at = time.monotonic()
    await desk.kill_engine()
    await listener.event("track_subscribed", NAME, MIC, after=killed_at, timeout_ms=20_000)
    await listener.hear(NAME, MIC, until=hears(600, -24), timeout_ms=15_000)
    captured = await status(client)
    assert (captured.audio.volume, captured.device_id) == (200, "desk")

    await pulse.add_microphone("lamp")  # which must not be listened to instead
    unplugged_at = time.monotonic()
    await pulse.remove("desk")

    async def waits() -> bool:
        one = await status(client)
        return one.state == st.CAPTURE_STATE_WAITING and one.cause.reason in (
            ty.REASON_DEVICE_UNPLUGGED,
            ty.REASON_DEVICE_ABSENT,
        )

    await until(waits, timeout_ms=10_000, what="the capture waits for its microphone")
    await pulse.add_microphone("desk")
    await pulse.play("desk.mouth", sound.tone(800, -30, 1), loop=True)
    await listener.hear(NAME, MIC, until=hears(800, -24), timeout_ms=20_000)
    assert not any(seen.kind == "track_unpublished" and seen.at > unplugged_at for seen in listener.events)


async def test_the_default_microphone_is_followed(pulse: Pulse, desk: Daemon, client: AsyncClient) -> None:
    """Another default microphone is taken at once, also when the one before was unplugged; the state says which."""
    await client.start_audio_capture(**PLAIN)
    assert (await status(client)).input == "default microphone"

    async def is_used(name: str) -> bool:
        one = await status(client)
        return (one.state, one.device_id) == (st.CAPTURE_STATE_CAPTURING, name)

    await until(lambda: is_used("desk"), timeout_ms=10_000, what="the default microphone is told")
    await pulse.add_microphone("lamp")
    await pulse.set_default_microphone("lamp")
    await until(lambda: is_used("lamp"), timeout_ms=15_000, what="the other default microphone is used")
    await pulse.set_default_microphone("desk")
    await until(lambda: is_used("desk"), timeout_ms=15_000, what="the first one is used again")
    await pulse.remove("desk")
    await until(lambda: is_used("lamp"), timeout_ms=15_000, what="the one that is left is used")


async def test_another_profile_publishes_anew_and_tells_the_gap(
    pulse: Pulse, desk: Daemon, client: AsyncClient, room_server: RoomServer, listener: Listener
) -> None:
    """From voice to music: the far end gets much more of it a second, and the state says how it is encoded."""
    path = desk.media_folder / "noise.wav"
    sound.save_wav(path, sound.noise(-20, 2), sound.noise(-20, 2))
    await listener.join(room_server.url, room_server.token(ROOM, "ann"))
    await client.start_audio_capture(input=inputs.sound_file(path, loop=True), profile="voice")
    await client.join_room(ROOM)

    async def bits_per_second() -> float:
        await listener.hear(NAME, MIC, until=lambda rows: sound.level(rows) > -30, timeout_ms=15_000)
        began, before = time.monotonic(), await listener.bytes_received(NAME, MIC)
        await listener.hear(NAME, MIC, seconds=1.5)
        return (await listener.bytes_received(NAME, MIC) - before) * 8 / (time.monotonic() - began)

    async def republished() -> int:
        async for happened in client.events(types=["stream_republished"]):
            return happened.stream_republished.gap_ms
        raise AssertionError("the events ended")

    voice = await bits_per_second()
    told = asyncio.create_task(republished())
    await client.set_audio_profile("music", wait_ms=10_000)
    async with asyncio.timeout(10):
        assert 0 < await told < 5000
    music = await bits_per_second()
    assert voice < 90_000  # everything twice, as voice is sent with RED
    assert music == pytest.approx(128_000, rel=0.3)
    (room,) = (await client.get_state()).reported.rooms
    encoding = room.publications[0].audio
    assert (encoding.profile, encoding.max_bitrate_bps, encoding.channels) == (ty.AUDIO_PROFILE_MUSIC, 128_000, 1)
    assert (await status(client)).audio.channels == 2


async def test_noise_suppression_takes_out_noise_and_leaves_speech(
    pulse: Pulse, desk: Daemon, client: AsyncClient, room_server: RoomServer, listener: Listener
) -> None:
    """Switched on while the sound goes on: the pauses between words become quiet."""
    spoken = sound.speech("one, two, three, four, five, six, seven, eight, nine, ten", -20)
    pause = sound.tone(0, -90, 1.5)
    voice = np.concatenate([spoken, pause])
    noisy = voice + sound.noise(-45, len(voice) / sound.RATE + 0.001)[: len(voice)]
    await pulse.play("desk.mouth", noisy, loop=True)
    await listener.join(room_server.url, room_server.token(ROOM, "ann"))
    await client.start_audio_capture(**PLAIN)
    await client.join_room(ROOM)
    length = len(voice) / sound.RATE
    before = await listener.hear(
        NAME, MIC, seconds=length, until=lambda rows: sound.level(rows) > -40, timeout_ms=20_000
    )
    switched = {**PLAIN, "noise_suppression": True}
    await client.start_audio_capture(**switched)
    assert (await status(client)).audio.processing.noise_suppression
    await listener.hear(NAME, MIC, seconds=2)  # it learns what is noise
    after = await listener.hear(NAME, MIC, seconds=length)
    assert sound.quietest(after.mean(axis=0), 0.5) < sound.quietest(before.mean(axis=0), 0.5) - 10
    assert sound.level(after) > sound.level(before) - 6


async def test_bad_input(pulse: Pulse, desk: Daemon, client: AsyncClient) -> None:
    """What can never be is an error that names the field or the thing, and nothing is stored."""
    calls = [
        (client.start_audio_capture(volume=401), "VOLUME_INVALID"),
        (client.start_audio_capture(profile=77), "PROFILE_UNKNOWN"),
        (client.start_audio_capture(kind="camera"), "VALUE_UNKNOWN"),
        (client.start_audio_capture("a/b"), "SOURCE_ID_INVALID"),
        (client.start_audio_capture(input=inputs.microphone(slot="nowhere")), "SLOT_NOT_FOUND"),
        (client.start_audio_capture(input=inputs.sound_file("/etc/passwd")), "PATH_NOT_ALLOWED"),
        (client.start_audio_capture(input=inputs.sound_file("a.wav")), "PATH_INVALID"),
        (client.start_audio_capture(input=inputs.test_tone(5)), "FREQUENCY_INVALID"),
        (client.start_audio_capture(input=inputs.test_tone(level_dbfs=3)), "LEVEL_INVALID"),
        (client.set_capture_volume(100), "CAPTURE_NOT_FOUND"),
        (client.set_audio_profile("hd"), "CAPTURE_NOT_FOUND"),
        (client.stop_audio_capture(), "CAPTURE_NOT_FOUND"),
        (client.set_capture_volume(500), "VOLUME_INVALID"),
    ]
    for call, reason in calls:
        with pytest.raises(RtcAgentError) as refused:
            await call
        assert refused.value.reason == reason
    assert not (await client.get_desired_state()).captures
    await client.start_video_capture(MIC, input=inputs.test_pattern(), width=320, height=240)
    with pytest.raises(FailedPrecondition, match="is captured as video"):
        await client.start_audio_capture()
    await client.stop_video_capture(MIC)
    (desk.media_folder / "no.wav").write_text("this is no sound")
    result = await client.start_audio_capture(input=inputs.sound_file(desk.media_folder / "no.wav"), check=False)
    (outcome,) = result.outcomes
    assert (outcome.kind, outcome.cause.reason) == (ty.Outcome.KIND_REFUSED, ty.REASON_URL_INVALID)
    await client.stop_audio_capture()


async def test_without_a_sound_server(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    """The microphone waits with the reason; a tone is captured all the same."""
    nobody = {"PULSE_SERVER": f"unix:{tmp_path}/nobody", "PULSE_RUNTIME_PATH": str(tmp_path)}
    daemon = await make_daemon(environment=nobody)
    async with AsyncClient.connect(daemon.address) as client:
        (waits,) = (await client.start_audio_capture(wait_ms=3000, check=False)).outcomes
        assert (waits.kind, waits.cause.reason) == (ty.Outcome.KIND_WAITING, ty.REASON_DEVICE_ABSENT)
        await client.start_audio_capture("tone", input=inputs.test_tone(level_dbfs=-12))

        async def is_measured() -> bool:
            (source,) = (await client.get_capture_stats()).sources
            return abs(source.audio_level.peak_dbfs + 12) < 0.5 and abs(source.audio_level.rms_dbfs + 15) < 0.5

        await until(is_measured, timeout_ms=5000, what="the tone has its level")
