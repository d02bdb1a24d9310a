"""Captures of sound without a sound server: tones and files, their levels, volume and end."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rtcagentd.engine import _native

from tests.parts import sound

WAIT_S = 10


def until(fact: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_S
    while not fact():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def tone(level_dbfs: float = -20, channels: int = 1) -> _native.AudioSettings:
    settings = _native.AudioSettings()
    settings.tone_hz, settings.tone_level_dbfs, settings.channels = 500, level_dbfs, channels
    return settings


def kinds(events: _native.EventQueue) -> list[str]:
    return [event.kind for event in events.drain()]


@pytest.mark.parametrize("channels", [1, 2])
def test_a_tone_has_its_level_and_the_volume_changes_it(channels: int) -> None:
    """RMS is 3 dB below the peaks of a sine; 255 would be full scale."""
    events = _native.EventQueue()
    capture = _native.AudioCapture("tone", tone(channels=channels), events)
    capture.start()
    try:
        until(lambda: abs(capture.level().rms_dbfs + 23) < 0.3, "the tone's level")
        level = capture.level()
        assert level.peak_dbfs == pytest.approx(-20, abs=0.3)
        assert level.linear == pytest.approx(255 * 10 ** (-23 / 20), abs=1)
        for percent, expected in ((200, -14), (400, -8), (50, -26)):
            capture.set_volume(percent)
            until(lambda wanted=expected: abs(capture.level().peak_dbfs - wanted) < 0.3, f"{percent} %")  # type: ignore[misc]
        capture.set_volume(0)
        until(lambda: capture.level().rms_dbfs == -127, "silence")
        assert capture.stats().frames_captured > 20
    finally:
        capture.stop()
    assert kinds(events) == ["first_frame"]


def test_what_is_too_loud_is_cut_off_at_full_scale() -> None:
    capture = _native.AudioCapture("tone", tone(-6), _native.EventQueue())
    capture.set_volume(400)
    capture.start()
    try:
        until(lambda: capture.level().peak_dbfs > -0.1, "full scale")
        assert -3 < capture.level().rms_dbfs <= 0
    finally:
        capture.stop()


def test_it_stops_and_starts_again_any_number_of_times() -> None:
    events = _native.EventQueue()
    capture = _native.AudioCapture("tone", tone(), events)
    for _ in range(3):
        capture.stop()
        capture.stop()
        capture.start()
        capture.start()
        count = capture.stats().frames_captured
        until(lambda before=count: capture.stats().frames_captured > before, "frames")  # type: ignore[misc]
    capture.stop()
    count = capture.stats().frames_captured
    time.sleep(0.05)  # five frames' time
    assert capture.stats().frames_captured == count
    assert kinds(events) == ["first_frame"] * 3


def test_a_file_ends_or_begins_again(tmp_path: Path) -> None:
    """A tenth of a second of sound at another rate: once it ends with an event, and in a loop it does not."""
    path = tmp_path / "short.wav"
    sound.save_wav(path, sound.tone(440, -20, 0.1), sound.tone(440, -20, 0.1))
    settings = _native.AudioSettings()
    settings.file_path = str(path)
    events = _native.EventQueue()
    seen: list[str] = []

    def has_ended() -> bool:
        seen.extend(kinds(events))
        return "ended" in seen

    once = _native.AudioCapture("once", settings, events)
    once.start()
    try:
        until(has_ended, "the end")
        assert seen == ["first_frame", "ended"]
    finally:
        once.stop()
    settings.loop = True
    again = _native.AudioCapture("again", settings, events)
    again.start()
    try:
        until(lambda: again.stats().frames_captured > 60, "half a second of it")
        assert kinds(events) == ["first_frame"]
    finally:
        again.stop()


def test_what_is_no_sound_says_so(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound at all")
    settings = _native.AudioSettings()
    settings.file_path = str(tmp_path / "text.wav")
    events = _native.EventQueue()
    capture = _native.AudioCapture("text", settings, events)
    found: list[_native.Event] = []

    def has_failed() -> bool:
        found.extend(events.drain())
        return bool(found)

    try:
        capture.start()
        until(has_failed, "the failure")
        assert (found[0].kind, found[0].reason) == ("failed", "URL_INVALID")
    finally:
        capture.stop()


def test_settings_that_cannot_be() -> None:
    for channels, hz in ((0, 0), (3, 0), (1, 30_000)):
        settings = tone()
        settings.channels, settings.tone_hz = channels, hz
        with pytest.raises(ValueError, match=r"channels|frequency"):
            _native.AudioCapture("x", settings, _native.EventQueue())
    both = tone()
    both.device = "desk"
    with pytest.raises(ValueError, match="more than one"):
        _native.AudioCapture("x", both, _native.EventQueue())
