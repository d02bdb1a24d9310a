"""The parts that the sound tests are made of do what they say."""

import numpy as np
import pytest

from tests.parts import sound
from tests.parts.pulse import Pulse


def test_what_is_measured_is_what_was_made() -> None:
    """Level and frequency of a tone; a tone in noise; speech has the level that it was asked for."""
    samples = sound.tone(440, -20, 1)
    assert sound.level(samples) == pytest.approx(-20, abs=0.1)
    assert sound.tone_level(samples, 440) == pytest.approx(-20, abs=0.2)
    assert sound.tone_level(samples, 1000) < -70
    assert sound.frequency(samples + sound.noise(-30, 1)) == pytest.approx(440, abs=2)
    assert sound.level(sound.speech("This is a microphone.", -25)) == pytest.approx(-25, abs=0.2)


async def test_a_tone_goes_through_a_speaker_and_a_microphone(pulse: Pulse) -> None:
    """Played into a speaker and into a microphone's mouth it is recorded with its frequency and level."""
    await pulse.add_speaker("front")
    await pulse.add_microphone("desk")
    await pulse.play("front", sound.tone(600, -20, 1), loop=True)
    await pulse.play("desk.mouth", sound.tone(900, -26, 1), loop=True)
    heard = (await pulse.record("front.monitor", 1.0))[24_000:]
    assert sound.frequency(heard) == pytest.approx(600, abs=3)
    assert sound.level(heard) == pytest.approx(-20, abs=1)
    heard = (await pulse.record("desk", 1.0))[24_000:]
    assert sound.frequency(heard) == pytest.approx(900, abs=3)
    assert sound.level(heard) == pytest.approx(-26, abs=1)
    assert [each["name"] for each in await pulse.microphones()] == ["front.monitor", "desk.mouth.monitor", "desk"]
    await pulse.remove("desk")
    assert [each["name"] for each in await pulse.microphones()] == ["front.monitor"]
    left, right = await pulse.record("front.monitor", 0.2, channels=2)
    assert np.allclose(left, right)
