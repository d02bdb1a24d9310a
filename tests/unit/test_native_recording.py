"""The files of recordings, as the native part writes them: tracks, times, limits, and what breaks off."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rtcagentd.engine import _native

from tests.parts import sound
from tests.parts.recorded import RecordedFile
from tests.parts.waiting import until

HZ = 600.0


class Studio:
    """A test picture and a tone, each with its tap."""

    def __init__(self) -> None:
        self.events = _native.EventQueue()
        settings = _native.CaptureSettings()
        settings.pattern, settings.width, settings.height, settings.fps = "bars", 160, 90, 20
        self.camera = _native.Capture("camera", settings, self.events)
        tone = _native.AudioSettings()
        tone.tone_hz, tone.tone_level_dbfs, tone.channels = HZ, -20, 1
        self.microphone = _native.AudioCapture("microphone", tone, self.events)
        self.picture = _native.VideoRecordTap("picture", self.events)
        self.voice = _native.AudioRecordTap("voice", self.events)
        self.told: dict[str, list[_native.Event]] = {}

    async def start(self) -> None:
        self.camera.attach(self.picture)
        self.microphone.attach(self.voice)
        self.camera.start()
        self.microphone.start()
        for key in ("picture", "voice"):
            await self.event(key)

    async def event(self, key: str) -> _native.Event:
        """The next event of this key."""

        def is_told() -> bool:
            for event in self.events.drain():
                self.told.setdefault(event.key, []).append(event)
            return bool(self.told.get(key))

        await until(is_told, timeout_ms=10_000, what=f"an event of {key}")
        return self.told[key].pop(0)

    def part(self, path: Path, **settings: int) -> _native.RecordingPart:
        limits = {"max_bytes": 0, "max_duration_us": 0, "min_free_bytes": 0} | settings
        tracks = [
            _native.RecordedTrackSpec(self.picture, "ann: camera", [("USER", "ann")]),
            _native.RecordedTrackSpec(self.voice, "ann: microphone", [("USER", "ann")]),
        ]
        return _native.RecordingPart(
            key=path.name,
            path=str(path),
            title="a film",
            is_mp4=path.suffix == ".mp4",
            tracks=tracks,
            events=self.events,
            **limits,
        )

    def stop(self) -> None:
        self.camera.stop()
        self.microphone.stop()


@pytest.fixture
def studio() -> Iterator[Studio]:
    studio = Studio()
    yield studio
    studio.stop()


async def until_long(part: _native.RecordingPart, seconds: float) -> None:
    await until(
        lambda: part.stats().duration_us >= seconds * 1_000_000, timeout_ms=20_000, what=f"{seconds} s are written"
    )


async def test_one_file_after_another(studio: Studio, tmp_path: Path) -> None:
    """The taps go over to the next file; in it the sound pauses, and what comes after is at its time."""
    await studio.start()
    first, second = (studio.part(tmp_path / f"{number}.mkv") for number in (1, 2))
    first.start()
    await until_long(first, 0.5)
    second.start()
    first.stop()
    first.stop()
    frames = first.stats().tracks[0].frames
    await until_long(second, 0.5)
    studio.microphone.detach(studio.voice)
    began = second.stats().duration_us
    await until_long(second, began / 1e6 + 1)
    studio.microphone.attach(studio.voice)
    again = second.stats().duration_us
    await until_long(second, again / 1e6 + 1)
    second.stop()
    for part, path in ((first, tmp_path / "1.mkv"), (second, tmp_path / "2.mkv")):
        file = RecordedFile(path)
        file.decodes_whole()
        assert file.titles() == ["ann: camera", "ann: microphone"]
        assert [track.dropped for track in part.stats().tracks] == [0, 0]
        assert file.frame_count(0) == part.stats().tracks[0].frames
        assert path.stat().st_size == part.stats().bytes
    assert frames == first.stats().tracks[0].frames  # nothing of it went into the file that had ended
    samples = file.samples(1)
    loud = [sound.level(samples[at : at + 4800]) > -40 for at in range(0, len(samples) - 4800, 4800)]
    assert loud[0]
    assert loud[-2]
    silent = loud.count(False) / 10
    assert 0.8 < silent < 4
    assert abs(len(samples) / sound.RATE - max(file.times(0))) < 0.3


async def test_an_end_is_told(studio: Studio, tmp_path: Path) -> None:
    """A limit, and a disk that must be left alone."""
    await studio.start()
    part = studio.part(tmp_path / "short.mkv", max_duration_us=500_000)
    part.start()
    event = await studio.event("short.mkv")
    assert (event.kind, event.message) == ("limit", "duration")
    part.stop()
    RecordedFile(tmp_path / "short.mkv").decodes_whole()
    part = studio.part(tmp_path / "small.mkv", max_bytes=20_000)
    part.start()
    event = await studio.event("small.mkv")
    assert (event.kind, event.message) == ("limit", "bytes")
    part.stop()
    assert (tmp_path / "small.mkv").stat().st_size <= 20_000
    RecordedFile(tmp_path / "small.mkv").decodes_whole()


@pytest.mark.parametrize(
    ("path", "settings", "reason"),
    [
        ("missing/a.mkv", {}, "FOLDER_UNUSABLE"),
        ("there.mkv", {}, "FOLDER_UNUSABLE"),
        ("a.mkv", {"min_free_bytes": 1 << 60}, "DISK_LOW"),
    ],
)
async def test_what_cannot_be_begun(
    studio: Studio, tmp_path: Path, path: str, settings: dict[str, int], reason: str
) -> None:
    (tmp_path / "there.mkv").write_bytes(b"mine")
    await studio.start()
    with pytest.raises(_native.NativeError) as wrong:
        studio.part(tmp_path / path, **settings).start()
    assert wrong.value.args[0] == reason
    assert (tmp_path / "there.mkv").read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["there.mkv"]


async def test_a_stream_without_a_frame_has_no_track(studio: Studio, tmp_path: Path) -> None:
    """And what was begun is taken back."""
    with pytest.raises(_native.NativeError):
        studio.part(tmp_path / "a.mkv").start()
    assert not os.listdir(tmp_path)
    await studio.start()
    studio.camera.detach(studio.picture)
    studio.picture.forget_newest()
    with pytest.raises(_native.NativeError):
        studio.part(tmp_path / "a.mkv").start()
    studio.camera.attach(studio.picture)
    await studio.event("picture")
    part = studio.part(tmp_path / "a.mkv")
    part.start()
    await asyncio.to_thread(part.stop)
    RecordedFile(tmp_path / "a.mkv").decodes_whole()
