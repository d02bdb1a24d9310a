"""The sound of others, as it comes out of the speaker: measured at the monitors of null speakers, by frequency."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest_asyncio
from rtcagent.v1 import devices_pb2 as dv
from rtcagent.v1 import rooms_pb2 as rm
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts import sound
from tests.parts.controller import all_reached
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
