"""The sound of others, as it comes out of the speaker: measured at the monitors of null speakers, by frequency."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import grpc.aio
import numpy as np
import pytest
import pytest_asyncio
from rtcagent.v1 import devices_pb2 as dv
from rtcagent.v1 import rooms_pb2 as rm
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts import sound
from tests.parts.controller import all_reached, error_reason, kind_and_reason
from tests.parts.daemon import Daemon, MakeDaemon, faults_environment
from tests.parts.pulse import Pulse
from tests.parts.room_server import RoomServer
from tests.parts.speaking import Speaking
from tests.parts.waiting import until

ROOM = "lobby"
ANN, BOB = 600.0, 1500.0  # their voices, in Hz
LOUD = -20.0  # dBFS
NEAR = 2.5  # dB, between what was said and what comes out of codec and mixer
SILENT = -60.0
WAIT_MS = 20_000
BLOCK = sound.RATE // 100
LATE_MS = 200  # of the 900 that the interpreter is held for


class Agent:
    """An agent with two speakers, and who speaks to it."""

    def __init__(self, daemon: Daemon, pulse: Pulse, room_server: RoomServer, people: AsyncExitStack) -> None:
        self.daemon = daemon
        self.pulse = pulse
        self._server = room_server
        self._people = people

    async def speaking(self, user: str, frequency: float) -> Speaking:
        voice = Speaking(self._server.url, self._server.token(ROOM, user), sound.tone(frequency, LOUD, 1))
        return await self._people.enter_async_context(voice)

    async def level(self, frequency: float, *, speaker: str = "left", seconds: float = 0.4) -> float:
        """How loud a tone comes out of a speaker now."""
        return sound.tone_level(await self.pulse.record(f"{speaker}.monitor", seconds), frequency)

    async def hears(self, frequency: float, level: float, *, speaker: str = "left", timeout_ms: int = WAIT_MS) -> None:
        """Until the tone comes out this loud; silence is anything below SILENT."""
        heard: list[float] = []

        async def so() -> bool:
            heard.append(await self.level(frequency, speaker=speaker))
            return heard[-1] < SILENT if level < SILENT else abs(heard[-1] - level) < NEAR

        what = f"{frequency} Hz at {level} dBFS on {speaker}"
        await until(so, timeout_ms=timeout_ms, what=lambda: f"{what}; heard: {heard[-8:]}")

    async def volume(self, **settings: object) -> ty.OrderResult:
        request = dv.SetPlaybackVolumeRequest(**settings)  # type: ignore[arg-type]
        response: dv.SetPlaybackVolumeResponse = await self.daemon.control.devices.SetPlaybackVolume(request)
        return response.result

    async def device(self, device_id: str, wait_ms: int = 5000) -> ty.OrderResult:
        order = ty.OrderOptions(wait_ms=wait_ms)
        request = dv.SetAudioPlaybackDeviceRequest(device_id=device_id, order=order)
        response: dv.SetAudioPlaybackDeviceResponse = await self.daemon.control.devices.SetAudioPlaybackDevice(request)
        return response.result

    async def remote(self, user: str, *, volume: int | None = None, muted: bool | None = None) -> None:
        rooms = self.daemon.control.rooms
        if volume is not None:
            request = rm.SetRemoteVolumeRequest(room_id=ROOM, user_id=user, volume=volume)
            assert all_reached((await rooms.SetRemoteVolume(request)).result)
        if muted is not None:
            asked = rm.SetRemoteMutedRequest(room_id=ROOM, user_id=user, muted=muted)
            assert all_reached((await rooms.SetRemoteMuted(asked)).result)

    async def playback(self) -> st.PlaybackStatus:
        return (await self.daemon.control.state()).reported.playback


@pytest_asyncio.fixture
async def agent(make_daemon: MakeDaemon, room_server: RoomServer, pulse: Pulse) -> AsyncIterator[Agent]:
    """In ROOM, with the speakers `left` (the default) and `right`."""
    await pulse.add_speaker("left")
    await pulse.add_speaker("right")
    daemon = await make_daemon(room_server, environment={**pulse.environment, **faults_environment()})
    await daemon.control.join(ROOM)
    async with AsyncExitStack() as people:
        yield Agent(daemon, pulse, room_server, people)


async def test_two_users_are_mixed_each_with_a_volume_of_its_own(agent: Agent) -> None:
    """And all of it with another one; muted is silent for the one who mutes, and for nobody else."""
    await agent.speaking("ann", ANN)
    await agent.speaking("bob", BOB)
    await agent.hears(ANN, LOUD)
    await agent.hears(BOB, LOUD)
    await agent.remote("ann", volume=50)
    await agent.hears(ANN, LOUD - 6)
    await agent.remote("ann", volume=200)
    await agent.hears(ANN, LOUD + 6)
    await agent.hears(BOB, LOUD)
    await agent.remote("ann", volume=0)
    await agent.hears(ANN, sound.SILENCE_DBFS)
    await agent.remote("ann", volume=100)
    await agent.remote("bob", muted=True)
    await agent.hears(BOB, sound.SILENCE_DBFS)
    await agent.hears(ANN, LOUD)
    await agent.remote("bob", muted=False)
    assert all_reached(await agent.volume(volume=50))
    await agent.hears(ANN, LOUD - 6)
    await agent.hears(BOB, LOUD - 6)
    assert all_reached(await agent.volume(muted=True))
    await agent.hears(ANN, sound.SILENCE_DBFS)
    status = await agent.playback()
    assert (status.state, status.device_id, status.volume, status.muted) == (
        st.PLAYBACK_STATE_PLAYING,
        "left",
        50,
        True,
    )


async def test_who_is_not_subscribed_is_not_heard(agent: Agent) -> None:
    """Nor whoever publishes next; without anybody's sound the speaker is closed."""
    ann = await agent.speaking("ann", ANN)
    await agent.hears(ANN, LOUD)
    rooms, kind = agent.daemon.control.rooms, ty.STREAM_KIND_MICROPHONE
    unsubscribe = rm.UnsubscribeStreamRequest(room_id=ROOM, user_id="ann", kind=kind)
    assert all_reached((await rooms.UnsubscribeStream(unsubscribe)).result)

    async def idle() -> bool:
        return (await agent.playback()).state == st.PLAYBACK_STATE_IDLE and not await agent.pulse.sink_inputs()

    await until(idle, timeout_ms=WAIT_MS, what="the speaker is closed")
    await agent.speaking("bob", BOB)
    await agent.hears(BOB, LOUD)
    assert await agent.level(ANN) < SILENT
    subscribe = rm.SubscribeStreamRequest(room_id=ROOM, user_id="ann", kind=kind)
    assert all_reached((await rooms.SubscribeStream(subscribe)).result)
    await agent.hears(ANN, LOUD)
    await ann.close()
    await agent.hears(ANN, sound.SILENCE_DBFS)


async def test_the_call_follows_its_speaker(agent: Agent) -> None:
    """It moves to a chosen one while it lasts, goes on with the default one when that is gone, and returns to it."""
    await agent.speaking("ann", ANN)
    await agent.hears(ANN, LOUD)
    assert all_reached(await agent.device("right"))
    await agent.hears(ANN, LOUD, speaker="right")
    await agent.hears(ANN, sound.SILENCE_DBFS)
    await agent.pulse.remove("right")
    await agent.hears(ANN, LOUD)
    playback = await agent.playback()
    assert (playback.cause.reason, playback.device_id) == (ty.REASON_DEVICE_ABSENT, "left")
    waiting = (await agent.daemon.control.state()).differences
    assert [each.object.WhichOneof("object") for each in waiting] == ["playback"]
    await agent.pulse.add_speaker("right")
    await agent.hears(ANN, LOUD, speaker="right")
    assert not (await agent.daemon.control.state()).differences


async def test_sound_goes_on_while_the_interpreter_is_held(agent: Agent) -> None:
    """For 0.9 s, in the middle of a recording: what is silent in it is what a busy machine delays, and no more."""
    await agent.speaking("ann", ANN)
    await agent.hears(ANN, LOUD)
    recording = asyncio.create_task(agent.pulse.record("left.monitor", 2.5))
    agent.daemon.hold_gil(await agent.daemon.engine_pid())
    heard = await recording
    longest = run = 0
    for block in heard[: len(heard) // BLOCK * BLOCK].reshape(-1, BLOCK):
        run = run + 1 if sound.level(np.asarray(block)) < LOUD - 10 else 0
        longest = max(longest, run)
    assert longest * 10 <= LATE_MS, f"{longest * 10} ms were silent at a stretch"


async def test_a_new_engine_is_as_loud_as_the_old_one(agent: Agent) -> None:
    """Speaker, volume, and who is muted are said to it before it joins."""
    await agent.speaking("ann", ANN)
    await agent.speaking("bob", BOB)
    assert all_reached(await agent.device("right"))
    assert all_reached(await agent.volume(volume=50))
    await agent.remote("bob", muted=True)
    await agent.hears(ANN, LOUD - 6, speaker="right")
    killed = await agent.daemon.kill_engine()

    async def is_replaced() -> bool:
        return (await agent.daemon.engine()).pid not in (0, killed)

    await until(is_replaced, timeout_ms=WAIT_MS, what="there is another engine")
    recorded: list[float] = []

    async def heard_again() -> bool:
        samples = await agent.pulse.record("right.monitor", 0.4)
        recorded.append(sound.tone_level(samples, BOB))
        return abs(sound.tone_level(samples, ANN) - (LOUD - 6)) < NEAR

    await until(heard_again, timeout_ms=40_000, what="the new engine plays as the old one did")
    assert max(recorded) < SILENT, f"bob was heard: {recorded}"


async def test_levels_and_the_active_speaker_are_told(agent: Agent) -> None:
    devices = agent.daemon.control.devices
    request = dv.EnableAudioPropertiesReportRequest(interval_ms=200)
    assert all_reached((await devices.EnableAudioPropertiesReport(request)).result)
    await agent.speaking("ann", ANN)

    async def spoke() -> bool:
        return bool((await agent.daemon.control.state()).reported.active_speakers)

    await until(spoke, timeout_ms=WAIT_MS, what="the active speaker is told")
    call = devices.WatchAudioProperties(dv.WatchAudioPropertiesRequest())
    try:
        async with asyncio.timeout(WAIT_MS / 1000):
            while True:
                reading = await call.read()
                rooms = {room.room_id: room for room in reading.rooms}
                users = {user.user_id: user.properties for user in rooms[ROOM].users} if ROOM in rooms else {}
                if "ann" in users and abs(users["ann"].dbfs - LOUD) < NEAR:
                    break
    finally:
        call.cancel()
    assert reading.interval_ms == 200
    assert users["ann"].voice
    assert abs(users["ann"].linear - 255 * 10 ** (users["ann"].dbfs / 20)) <= 2
    assert rooms[ROOM].active_speaker == "ann"
    assert list((await agent.daemon.control.state()).reported.active_speakers) == [
        st.ActiveSpeaker(room_id=ROOM, user_id="ann")
    ]
    off = dv.EnableAudioPropertiesReportRequest(interval_ms=0)
    assert all_reached((await devices.EnableAudioPropertiesReport(off)).result)
    assert not (await agent.daemon.control.state()).desired.audio_report


async def test_a_tone_is_played_on_a_speaker_without_a_room(agent: Agent) -> None:
    await agent.daemon.control.leave(ROOM)
    request = dv.TestSpeakerRequest(device_id="right", duration_ms=4000, frequency_hz=880)
    testing = asyncio.ensure_future(agent.daemon.control.devices.TestSpeaker(request))
    await agent.hears(880, -15, speaker="right", timeout_ms=10_000)
    assert (await testing).device_id == "right"


async def test_without_a_sound_server_everything_else_goes_on(agent: Agent) -> None:
    await agent.speaking("ann", ANN)
    await agent.hears(ANN, LOUD)
    await agent.pulse.kill()

    async def told() -> bool:
        return (await agent.playback()).cause.reason == ty.REASON_NO_SOUND_SERVER

    await until(told, timeout_ms=WAIT_MS, what="the loss of the sound server is told")
    assert kind_and_reason(await agent.volume(volume=50)) == ("WAITING", "NO_SOUND_SERVER")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await agent.daemon.control.devices.TestSpeaker(dv.TestSpeakerRequest())
    assert error_reason(refused.value) == "NO_SOUND_SERVER"
    assert (await agent.daemon.control.state()).reported.rooms[0].state == st.ROOM_STATE_JOINED
    await agent.pulse.start()
    await agent.pulse.add_speaker("left")
    await agent.hears(ANN, LOUD - 6)


@pytest.mark.parametrize(
    ("call", "request_", "code", "reason"),
    [
        ("SetAudioPlaybackDevice", dv.SetAudioPlaybackDeviceRequest(device_id="no"), "NOT_FOUND", "DEVICE_NOT_FOUND"),
        ("SetPlaybackVolume", dv.SetPlaybackVolumeRequest(volume=401), "INVALID_ARGUMENT", "VOLUME_INVALID"),
        ("SetPlaybackVolume", dv.SetPlaybackVolumeRequest(), "INVALID_ARGUMENT", "NOTHING_SET"),
        ("TestSpeaker", dv.TestSpeakerRequest(device_id="no"), "NOT_FOUND", "DEVICE_NOT_FOUND"),
        ("TestSpeaker", dv.TestSpeakerRequest(duration_ms=99), "INVALID_ARGUMENT", "OUT_OF_RANGE"),
        (
            "EnableAudioPropertiesReport",
            dv.EnableAudioPropertiesReportRequest(interval_ms=99),
            "INVALID_ARGUMENT",
            "INTERVAL_INVALID",
        ),
        (
            "SetRemoteVolume",
            rm.SetRemoteVolumeRequest(room_id=ROOM, user_id="a b"),
            "INVALID_ARGUMENT",
            "USER_ID_INVALID",
        ),
        (
            "SetRemoteVolume",
            rm.SetRemoteVolumeRequest(room_id=ROOM, user_id="ann", volume=401),
            "INVALID_ARGUMENT",
            "VOLUME_INVALID",
        ),
        ("SetRemoteMuted", rm.SetRemoteMutedRequest(room_id="", user_id="a"), "INVALID_ARGUMENT", "ROOM_ID_INVALID"),
    ],
)
async def test_bad_input_is_refused_with_its_reason(
    daemon: Daemon, call: str, request_: object, code: str, reason: str
) -> None:
    service = daemon.control.rooms if "Remote" in call else daemon.control.devices
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await getattr(service, call)(request_)
    assert (refused.value.code().name, error_reason(refused.value)) == (code, reason)
    assert (await daemon.control.state()).desired.revision == 0
