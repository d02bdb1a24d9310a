"""What the machine plays, shared without the voices of those in the call; on PulseAudio and on PipeWire."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import AsyncClient, FailedPrecondition, InvalidArgument, Waiting

from tests.parts import sound
from tests.parts.daemon import NAME, Daemon, MakeDaemon
from tests.parts.listener import Listener
from tests.parts.pulse import Pulse
from tests.parts.room_server import RoomServer
from tests.parts.speaking import Speaking
from tests.parts.waiting import until

pytestmark = pytest.mark.timeout(120)

ROOM = "call"
SOURCE = "screen_audio"
FILM, VOICE = 700.0, 1500.0  # Hz
LOUD = -20.0  # dBFS
APART_DB = 40.0
SETTLE_MS = 20_000


@pytest.fixture(params=["pulse", "pipewire"])
def server(request: pytest.FixtureRequest) -> Pulse:
    """A sound server of each kind."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Pulse)
    return found


class Hall:
    """An agent that hears a voice in a room on the speaker that films are played on."""

    def __init__(self, daemon: Daemon, client: AsyncClient, server: Pulse) -> None:
        self.daemon = daemon
        self.client = client
        self.server = server

    async def state(self) -> tuple[st.CaptureState.ValueType, ty.Reason.ValueType]:
        captures = (await self.client.get_state()).reported.captures
        one = next((each for each in captures if each.source_id == SOURCE), st.CaptureStatus())
        return one.state, one.cause.reason


async def begun(server: Pulse, make_daemon: MakeDaemon, room_server: RoomServer, around: AsyncExitStack) -> Hall:
    await server.add_speaker("hall")
    await server.add_speaker("lobby")
    await server.set_default_speaker("hall")
    daemon = await make_daemon(room_server, environment=server.environment)
    client = await around.enter_async_context(AsyncClient.connect(daemon.address))
    voice = Speaking(room_server.url, room_server.token(ROOM, "bob"), sound.tone(VOICE, LOUD, 1))
    await around.enter_async_context(voice)
    await client.join_room(ROOM)

    async def is_heard() -> bool:
        return sound.tone_level(await server.record("hall.monitor", 0.3), VOICE) > LOUD - 6

    await until(is_heard, timeout_ms=SETTLE_MS, what="the voice comes out of the speaker")
    return Hall(daemon, client, server)


@pytest_asyncio.fixture
async def hall(server: Pulse, make_daemon: MakeDaemon, room_server: RoomServer) -> AsyncIterator[Hall]:
    async with AsyncExitStack() as around:
        yield await begun(server, make_daemon, room_server, around)


@pytest_asyncio.fixture
async def pulse_hall(pulse: Pulse, make_daemon: MakeDaemon, room_server: RoomServer) -> AsyncIterator[Hall]:
    async with AsyncExitStack() as around:
        yield await begun(pulse, make_daemon, room_server, around)


def has(frequency: float, *, without: float = VOICE) -> Callable[[sound.Samples], bool]:
    """Whether the one tone is heard as it was played, and the other not at all."""

    def check(samples: sound.Samples) -> bool:
        mono = samples.mean(axis=0)
        level = sound.tone_level(mono, frequency)
        return abs(level - LOUD) < 3 and level - sound.tone_level(mono, without) > APART_DB

    return check


async def test_the_film_is_heard_and_the_voice_is_not(hall: Hall, room_server: RoomServer, listener: Listener) -> None:
    """It is never sent unasked, goes on on another speaker, and comes back with another engine."""
    film = await hall.server.play("hall", sound.tone(FILM, LOUD, 1), loop=True)
    await listener.join(room_server.url, room_server.token(ROOM, "ann"))
    await hall.client.start_screen_audio_capture()
    assert not (await hall.client.get_state()).reported.rooms[0].publications
    await hall.client.publish_stream(ROOM, SOURCE)
    await listener.hear(NAME, SOURCE, until=has(FILM), timeout_ms=SETTLE_MS)

    (playing,) = [each for each in await hall.server.sink_inputs() if "rtcagent.stream" not in each["properties"]]
    await hall.server.move_sink_input(playing["index"], "lobby")
    await listener.hear(NAME, SOURCE, until=has(FILM), timeout_ms=SETTLE_MS)

    await hall.daemon.kill_engine()
    await listener.hear(NAME, SOURCE, until=has(FILM), timeout_ms=SETTLE_MS)
    await film.stop()
    await listener.hear(NAME, SOURCE, until=lambda samples: sound.level(samples) < -75, timeout_ms=SETTLE_MS)


async def test_one_program_alone(pulse_hall: Hall, room_server: RoomServer, listener: Listener) -> None:
    hall = pulse_hall
    await hall.server.play("hall", sound.tone(FILM, LOUD, 1), loop=True)
    await hall.server.play("hall", sound.tone(1000, LOUD, 1), loop=True)
    listed = (await hall.client.list_screen_audio_sources()).sources
    assert [each.application.binary for each in listed] == ["pacat", "pacat"]
    await listener.join(room_server.url, room_server.token(ROOM, "ann"))
    await hall.client.start_screen_audio_capture(process_id=listed[0].application.process_id)
    await hall.client.publish_stream(ROOM, SOURCE)

    def is_one(samples: sound.Samples) -> bool:
        return has(FILM, without=1000)(samples) or has(1000, without=FILM)(samples)

    await listener.hear(NAME, SOURCE, until=is_one, timeout_ms=SETTLE_MS)
    await hall.client.leave_room(ROOM)
    assert not (await hall.client.get_desired_state()).captures  # leaving ends the agent's own share


async def test_a_sound_server_that_goes_and_comes_back(
    pulse_hall: Hall, room_server: RoomServer, listener: Listener
) -> None:
    hall = pulse_hall
    await listener.join(room_server.url, room_server.token(ROOM, "ann"))
    await hall.client.start_screen_audio_capture()
    await hall.client.publish_stream(ROOM, SOURCE)
    await hall.server.kill()

    async def waits() -> bool:
        return await hall.state() == (st.CAPTURE_STATE_WAITING, ty.REASON_NO_SOUND_SERVER)

    await until(waits, timeout_ms=SETTLE_MS, what="what the machine plays waits for a sound server")
    with pytest.raises(FailedPrecondition) as error:
        await hall.client.list_screen_audio_sources()
    assert error.value.reason == "NO_SOUND_SERVER"
    await hall.server.start()
    await hall.server.add_speaker("hall")
    await hall.server.play("hall", sound.tone(FILM, LOUD, 1), loop=True)
    await listener.hear(NAME, SOURCE, until=has(FILM), timeout_ms=SETTLE_MS)


async def test_a_machine_without_a_sound_server_says_so(make_daemon: MakeDaemon) -> None:
    daemon = await make_daemon(environment={"PULSE_SERVER": "unix:/nowhere"})
    async with AsyncClient.connect(daemon.address) as client:
        with pytest.raises(Waiting, match="NO_SOUND_SERVER"):
            await client.start_screen_audio_capture()
        with pytest.raises(InvalidArgument) as error:
            await client.start_screen_audio_capture(application="x" * 257)
        assert error.value.reason == "APPLICATION_INVALID"
