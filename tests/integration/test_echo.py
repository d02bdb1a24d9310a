"""The echo canceller takes what this machine plays out of what the microphone hears."""

import asyncio
import concurrent.futures
import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest
from rtcagent.v1 import types_pb2 as ty
from rtcagentd.engine import _native
from rtcagentd.engine.livekit.audio_processing import make_processor

from tests.parts import sound

pytestmark = pytest.mark.timeout(60)

PLAYED_S = 9.0
CONVERGED_S = 5.0  # of those, for the canceller to learn the way from speaker to microphone
ECHO_S = 0.12  # from playing to hearing
FRAME = sound.RATE // 100


def play_along(played: bytes, capture: _native.AudioCapture, levels: list[float]) -> None:
    """Gives what is played as the mixer would, one frame for each that is captured, and notes how loud it is heard."""
    count = len(played) // (2 * FRAME)
    given = 0
    while given < count:
        for _ in range(min(capture.stats().frames_captured + 1, count) - given):
            _native.push_echo_reference(played[given * 2 * FRAME :][: 2 * FRAME], sound.RATE, 1)
            given += 1
            if given % 10 == 0:
                levels.append(capture.level().rms_dbfs)
        time.sleep(0.002)  # the sound's own pace


async def echo_level(path: Path, voice: sound.Samples, wanted: ty.AudioProcessing) -> float:
    """How loud the played voice is in what was captured once it is known, in dBFS."""
    settings = _native.AudioSettings()
    settings.file_path = str(path)
    capture = _native.AudioCapture("echo", settings, _native.EventQueue())
    capture.set_processing(make_processor(wanted))
    capture.start()
    levels: list[float] = []
    try:
        await asyncio.to_thread(play_along, sound.to_s16(voice), capture, levels)
    finally:
        capture.stop()
    end = np.array(levels[int(CONVERGED_S * 10) :])
    return float(10 * np.log10(np.mean(10 ** (end / 10))))


def echo_levels(path: Path, voice: sound.Samples) -> tuple[float, float]:
    """Without the canceller, and with it. In a process of its own: it is to be the first use of the SDK there."""
    loud = asyncio.run(echo_level(path, voice, ty.AudioProcessing()))
    return loud, asyncio.run(echo_level(path, voice, ty.AudioProcessing(echo_cancellation=True)))


async def test_echo_is_20_db_quieter_once_the_canceller_has_converged(tmp_path: Path) -> None:
    """A voice that is played comes back 120 ms later, a little softer, with the noise of a room."""
    voice = sound.speech("The quick brown fox jumps over the lazy dog, and the dog does not mind at all. " * 5, -20)
    voice = voice[: int(PLAYED_S * sound.RATE)]
    late = np.concatenate([np.zeros(int(ECHO_S * sound.RATE), dtype=np.float32), voice * 0.5])
    path = tmp_path / "heard.wav"
    sound.save_wav(path, late + sound.noise(-65, len(late) / sound.RATE + 0.001)[: len(late)])
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        loud, quiet = await asyncio.wait_for(asyncio.wrap_future(process.submit(echo_levels, path, voice)), 50)
    print(f"echo {loud:.1f} dBFS without, {quiet:.1f} dBFS with the canceller")
    assert loud == pytest.approx(-26, abs=4)
    assert quiet < loud - 20
