"""A voice that comes from the speaker into the microphone does not come back to who spoke."""

import pytest
from rtcagent_client import AsyncClient

from tests.parts import sound
from tests.parts.daemon import NAME, MakeDaemon
from tests.parts.listener import Listener
from tests.parts.pulse import Pulse
from tests.parts.room_server import RoomServer
from tests.parts.speaking import Speaking

pytestmark = pytest.mark.timeout(120)

ROOM = "call"
MIC = "microphone"
SAID = "The quick brown fox jumps over the lazy dog, and the dog does not mind at all. "


async def test_the_far_end_does_not_hear_itself(
    pulse: Pulse, make_daemon: MakeDaemon, room_server: RoomServer, listener: Listener
) -> None:
    """The microphone hears just the speaker. With the canceller the echo is 20 dB quieter, once it has converged."""
    await pulse.add_microphone("desk")  # its mouth is the only speaker
    await pulse.set_default_microphone("desk")
    daemon = await make_daemon(room_server, environment=pulse.environment)
    await listener.join(room_server.url, room_server.token(ROOM, "ann"))

    async def capture(client: AsyncClient, *, echo_cancellation: bool) -> None:
        await client.start_audio_capture(
            echo_cancellation=echo_cancellation, noise_suppression=False, auto_gain=False, wait_ms=10_000
        )

    async with (
        Speaking(room_server.url, room_server.token(ROOM, "ben"), sound.speech(SAID, -20)),
        AsyncClient.connect(daemon.address) as client,
    ):
        await capture(client, echo_cancellation=False)
        await client.join_room(ROOM)
        heard = await listener.hear(NAME, MIC, seconds=3, until=lambda rows: sound.level(rows) > -35, timeout_ms=30_000)
        loud = sound.level(heard)
        await capture(client, echo_cancellation=True)
        heard = await listener.hear(
            NAME, MIC, seconds=3, until=lambda rows: sound.level(rows) < loud - 20, timeout_ms=40_000
        )
        print(f"echo {loud:.1f} dBFS without, {sound.level(heard):.1f} dBFS with the canceller")
