"""From one agent's microphone to another's speaker: captured, processed, encoded, sent, decoded, mixed and played."""

import asyncio
from pathlib import Path

import numpy as np
from rtcagent_client import AsyncClient

from tests.bench.report import Measurement, median, percentile
from tests.parts import sound
from tests.parts.daemon import Daemon
from tests.parts.pulse import Pulse
from tests.parts.room_server import RoomServer

ROUNDS = 12
LISTEN_S = 3.0
LEAST_MS = 10  # less is the voice itself
MOST_MS = 1000
AIM_MS = 180


async def measure(folder: Path) -> Measurement:
    result = Measurement("Mouth to ear on loopback, both agents on one PulseAudio with null devices; profile STANDARD")
    async with RoomServer(folder) as server, Pulse() as pulse:
        await pulse.add_microphone("desk")
        await pulse.add_speaker("hall")
        await pulse.set_default_microphone("desk")
        await pulse.set_default_speaker("hall")
        # The voice comes out of the speaker twice: at once, and by way of the call. Noise is like itself at no other
        # time, so that the delay at which the recording is like itself is the call's.
        await pulse.combine("both", "desk.mouth", "hall")
        voice = await pulse.play("both", sound.noise(-25, 5), loop=True)
        for name in ("speaker", "listener"):
            (folder / name).mkdir()
        talker = Daemon(folder / "speaker", room_server=server, environment=pulse.environment)
        hearer = Daemon(folder / "listener", room_server=server, environment=pulse.environment)
        delays: dict[str, list[float]] = {}
        try:
            await asyncio.gather(talker.start(), hearer.start())
            async with AsyncClient.connect(talker.address) as out, AsyncClient.connect(hearer.address) as ear:
                await ear.join_room("room", user_id="ear")
                await out.join_room("room")
                for name, is_processed in (("as it is", False), ("echo cancelled", True)):
                    await out.start_audio_capture(
                        echo_cancellation=is_processed, noise_suppression=False, auto_gain=False
                    )
                    delays[name] = await _delays(pulse)
        finally:
            await voice.stop()
            await asyncio.gather(talker.close(), hearer.close())
    for name, values in delays.items():
        result.add(f"latency, {name}: p50", f"{median(values):.0f} ms", f"under {AIM_MS} ms", median(values) < AIM_MS)
        result.add(f"latency, {name}: p95", f"{percentile(values, 0.95):.0f} ms")
    result.raw = {"delays_ms": delays}
    return result


async def _delays(pulse: Pulse) -> list[float]:
    """Of several recordings, those in which the voice is found a second time."""
    found: list[float] = []
    for _ in range(3 * ROUNDS):
        delay = _delay_ms(await pulse.record("hall.monitor", LISTEN_S))
        if delay is not None:
            found.append(delay)
        if len(found) == ROUNDS:
            return found
    raise RuntimeError(f"the voice was found in {len(found)} recordings alone")


def _delay_ms(heard: sound.Samples) -> float | None:
    """After which time it is like itself; None where it is not."""
    samples = heard - heard.mean()
    length = 1 << (2 * len(samples) - 1).bit_length()
    likeness = np.fft.irfft(np.abs(np.fft.rfft(samples, length)) ** 2, length)
    first, last = LEAST_MS * sound.RATE // 1000, MOST_MS * sound.RATE // 1000
    best = first + int(np.argmax(likeness[first:last]))
    if likeness[best] < 8 * np.std(likeness[first:last]):
        return None
    return best * 1000 / sound.RATE
