"""The mixer of received sound: gains, a sum that is too loud, and frames that come late."""

import numpy as np
import pytest
from rtcagentd.engine import _native

from tests.parts import sound

FRAME = 480  # 10 ms
AHEAD = 3  # frames that are waited for before the first is played


def push(mixer_input: _native.MixerInput, level: float, frames: int) -> None:
    """A constant, which shows every gain as it is."""
    samples = np.full(FRAME, level)
    for _ in range(frames):
        mixer_input.push(sound.to_s16(samples), 1)


def mixed(mixer: _native.AudioMixer, frames: int) -> "sound.Samples":
    """The left channel."""
    return np.concatenate([sound.from_s16(mixer.mix(), 2)[0] for _ in range(frames)])


@pytest.mark.parametrize(("gain", "heard"), [(0.0, 0.0), (0.5, 0.05), (2.0, 0.2), (4.0, 0.4)])
def test_each_input_has_a_gain(gain: float, heard: float) -> None:
    mixer = _native.AudioMixer()
    mixer_input = mixer.add()
    mixer_input.set_gain(gain)
    push(mixer_input, 0.1, 10)
    assert mixed(mixer, 5)[-1] == pytest.approx(heard, abs=0.001)


def test_a_sum_that_is_too_loud_is_turned_down_as_a_whole() -> None:
    mixer = _native.AudioMixer()
    for level in (0.9, 0.6):
        push(mixer.add(), level, 10)
    samples = mixed(mixer, 6)
    assert samples.max() <= 1
    assert samples.min() >= 0, "nothing wraps round"
    assert samples[-1] == pytest.approx(1, abs=0.01)


def test_what_is_late_is_silent_and_is_then_waited_for_longer() -> None:
    mixer = _native.AudioMixer()
    mixer_input = mixer.add()
    push(mixer_input, 0.1, AHEAD)
    assert mixed(mixer, AHEAD)[-1] == pytest.approx(0.1, abs=0.001)
    assert not mixed(mixer, 2).any()
    assert mixer_input.stats().gaps == 1
    push(mixer_input, 0.1, AHEAD)
    assert not mixed(mixer, 1).any(), "it waits for one frame more than before"
    push(mixer_input, 0.1, 1)
    assert mixed(mixer, 2)[-1] == pytest.approx(0.1, abs=0.001)


def test_what_nobody_takes_is_bounded_and_the_newest_is_played() -> None:
    mixer = _native.AudioMixer()
    mixer_input = mixer.add()
    push(mixer_input, 0.1, 500)
    push(mixer_input, 0.3, 20)
    assert mixer_input.stats().waiting_ms <= 200
    assert mixed(mixer, 2)[-1] == pytest.approx(0.3, abs=0.001)


def test_levels_are_those_of_what_came_since_the_last_look() -> None:
    mixer_input = _native.AudioMixer().add()
    mixer_input.set_gain(0)
    push(mixer_input, 0.1, 5)
    level = mixer_input.level()
    assert (round(level.rms_dbfs), round(level.peak_dbfs), level.voice, level.frames) == (-20, -20, True, 5)
    level = mixer_input.level()
    assert (level.rms_dbfs, level.voice, level.frames) == (-127, False, 0)
