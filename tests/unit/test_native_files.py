"""Captures of media files: their end, their beginning again, and files that are none."""

import subprocess
import time
from pathlib import Path

import pytest
from rtcagentd.engine import _native

from tests.parts import y4m
from tests.parts.media_events import MediaEvents, settings_of
from tests.parts.waiting import until

FRAME_COUNT = 20
FPS = 20


@pytest.fixture(scope="session")
def raw_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of raw video."""
    return y4m.make(tmp_path_factory.mktemp("media") / "moving.y4m", width=320, height=180, fps=FPS, seconds=1)


@pytest.fixture(scope="session")
def encoded_file(tmp_path_factory: pytest.TempPathFactory, raw_file: Path) -> Path:
    """The same, encoded, in a container."""
    path = tmp_path_factory.mktemp("media") / "moving.mkv"
    step = ["filesrc", f"location={raw_file}", "!", "y4mdec", "!", "jpegenc", "!", "matroskamux", "!"]
    subprocess.run(["gst-launch-1.0", "-q", *step, "filesink", f"location={path}"], check=True, timeout=30)
    return path


@pytest.fixture(params=["raw_file", "encoded_file"])
def media_file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


async def test_a_file_plays_in_its_time_and_ends(media_file: Path) -> None:
    settings = settings_of(file_path=str(media_file), width=0, height=0, fps=0.0)
    async with MediaEvents() as events:
        capture = _native.Capture("file", settings, events.queue)
        begin = time.monotonic()
        capture.start()
        ended = await events.first("ended")
        elapsed_s = time.monotonic() - begin
        stats = capture.stats()
        capture.stop()
        assert [event.kind for event in events.seen] == ["first_frame", "ended"]
    assert ended.reason == "END_OF_MEDIA"
    assert (stats.frames_captured, stats.width, stats.height) == (FRAME_COUNT, 320, 180)
    assert 0.8 < elapsed_s < 2.0


async def test_a_looped_file_goes_on_without_a_gap(media_file: Path) -> None:
    settings = settings_of(file_path=str(media_file), loop=True)
    async with MediaEvents() as events:
        capture = _native.Capture("file", settings, events.queue)
        begin = time.monotonic()
        capture.start()
        await until(lambda: capture.stats().frames_captured > 3.5 * FRAME_COUNT, timeout_ms=10_000, what="three rounds")
        elapsed_s = time.monotonic() - begin
        stats = capture.stats()
        capture.stop()
        assert [event.kind for event in events.seen] == ["first_frame"]
    assert stats.longest_gap_us < 250_000
    assert 3.0 < elapsed_s < 5.0


async def test_a_lower_rate_is_reached_by_leaving_out(raw_file: Path) -> None:
    async with MediaEvents() as events:
        capture = _native.Capture("file", settings_of(file_path=str(raw_file), fps=15.0), events.queue)
        capture.start()
        await events.first("ended")
        assert (await events.first("first_frame")).fps == 15.0
        assert capture.stats().frames_captured in (15, 16)
        assert capture.stats().frames_dropped == 0
        capture.stop()


async def test_files_that_cannot_be_opened_are_refused_at_once(tmp_path: Path) -> None:
    queue = _native.EventQueue()
    for path in (tmp_path / "missing.mp4", tmp_path):
        with pytest.raises(_native.NativeError) as refused:
            _native.Capture("file", settings_of(file_path=str(path)), queue).start()
        assert refused.value.args[0] == "URL_INVALID"
        assert str(path) in refused.value.args[1]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"no media, just words\n" * 50),
        ("empty.mp4", b""),
        ("damaged.y4m", b"YUV4MPEG2 W320 H180 F30:1\nFRAME\ntoo short"),
        ("nonsense.y4m", b"YUV4MPEG2 W0 H-1 F0:0 \n"),
        ("strange.y4m", b"YUV4MPEG2 W320 H180 F30:1 C420p10\n"),
    ],
)
@pytest.mark.parametrize("loop", [False, True])
async def test_files_that_are_no_media_fail(tmp_path: Path, name: str, content: bytes, loop: bool) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    async with MediaEvents() as events:
        capture = _native.Capture("file", settings_of(file_path=str(path), loop=loop), events.queue)
        try:
            capture.start()
        except _native.NativeError as refused:
            reason, message = refused.args
        else:
            failed = await events.first("failed")
            reason, message = failed.reason, failed.message
        capture.stop()
    assert reason == "URL_INVALID"
    assert str(path) in message
