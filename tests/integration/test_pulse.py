"""What the engine knows of the sound server, beside a real one."""

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from rtcagentd.engine.pulse import Pulse, PulseUnreachable

from tests.parts.pulse import Pulse as PulseServer
from tests.parts.waiting import until

WAIT_MS = 15_000


@pytest_asyncio.fixture
async def sound(pulse: PulseServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pulse]:
    """Follows the server `pulse`."""
    for name, value in pulse.environment.items():
        monkeypatch.setenv(name, value)
    following = Pulse()
    following.start()
    await following.wait_listed(WAIT_MS / 1000)
    yield following
    await following.close()


async def test_speakers_and_microphones_are_followed_as_they_come_and_go(pulse: PulseServer, sound: Pulse) -> None:
    assert sound.is_connected, sound.problem
    await pulse.add_speaker("left")
    await pulse.add_speaker("right")
    await pulse.add_microphone("desk")
    await _until(lambda: sorted(sound.snapshot.speakers) == ["desk.mouth", "left", "right"], "the speakers are known")
    await _until(lambda: list(sound.snapshot.microphones) == ["desk"], "the microphone is known, and no monitor")
    assert sound.snapshot.speakers["left"].description == "left"
    assert sound.snapshot.speakers["left"].monitor == "left.monitor"
    await pulse.set_default_speaker("right")
    await _until(lambda: sound.snapshot.default_speaker == "right", "the default is known")
    await pulse.remove("right")
    await _until(lambda: "right" not in sound.snapshot.speakers, "it is known to be gone")


async def test_a_server_that_ends_is_told_and_connected_to_again_when_it_is_back(
    pulse: PulseServer, sound: Pulse
) -> None:
    await pulse.add_speaker("left")
    await _until(lambda: "left" in sound.snapshot.speakers, "the speaker is known")
    await pulse.kill()
    await _until(lambda: not sound.is_connected, "the loss is noticed")
    assert not sound.snapshot.speakers
    with pytest.raises(PulseUnreachable, match="sound server"):
        await sound.move("playback", "left")
    await pulse.start()
    await pulse.add_speaker("left")
    await _until(lambda: "left" in sound.snapshot.speakers, "it is connected to again")


async def test_moving_what_is_not_there_says_so(pulse: PulseServer, sound: Pulse) -> None:
    await pulse.add_speaker("left")
    await _until(lambda: "left" in sound.snapshot.speakers, "the speaker is known")
    with pytest.raises(PulseUnreachable, match="no stream playback"):
        await sound.move("playback", "left")
    with pytest.raises(PulseUnreachable, match="no device right"):
        await sound.move("playback", "right")


async def _until(holds: Callable[[], bool], what: str) -> None:
    async def looks() -> bool:
        return holds()

    await until(looks, timeout_ms=WAIT_MS, what=what)
