"""A microphone of a real sound server, captured and sent, as another participant hears it."""

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from rtcagent.v1 import state_pb2 as st
from rtcagent_client import AsyncClient

from tests.parts import sound
from tests.parts.daemon import NAME, Daemon, MakeDaemon
from tests.parts.listener import Listener
from tests.parts.pulse import Pulse
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until

pytestmark = pytest.mark.timeout(90)

ROOM = "call"
MIC = "microphone"
PLAIN = {"echo_cancellation": False, "noise_suppression": False, "auto_gain": False}


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
    await client.start_audio_capture(**PLAIN)  # type: ignore[arg-type]

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
