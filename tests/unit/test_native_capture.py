"""Captures of test pictures: rate, geometry, snapshots, starting and stopping."""

import gc
import threading
import time
from pathlib import Path

import pytest
from rtcagentd.engine import _native

from tests.parts.media_events import MediaEvents, settings_of
from tests.parts.picture import BARS, bars, colour_at, decode, mirrored, turned
from tests.parts.waiting import until


async def frames(capture: _native.Capture, count: int) -> _native.CaptureStats:
    await until(lambda: capture.stats().frames_captured >= count, timeout_ms=10_000, what=f"{count} frames")
    return capture.stats()


async def picture_of(capture: _native.Capture, events: MediaEvents) -> _native.Snapshot:
    await events.first("first_frame")
    snapshot = capture.snapshot("png")
    assert snapshot is not None
    return snapshot


@pytest.mark.parametrize("pattern", ["bars_and_clock", "bars", "ball", "noise"])
async def test_patterns_come_at_their_rate(pattern: str) -> None:
    async with MediaEvents() as events:
        capture = _native.Capture("camera", settings_of(pattern=pattern, fps=20.0), events.queue)
        begin = time.monotonic()
        capture.start()
        stats = await frames(capture, 30)
        elapsed_s = time.monotonic() - begin
        first = await events.first("first_frame")
        capture.stop()
        assert (first.key, first.width, first.height, first.fps) == ("camera", 320, 180, 20.0)
        assert (stats.width, stats.height, stats.frames_dropped) == (320, 180, 0)
        assert 1.3 < elapsed_s < 2.5
        assert 17 < stats.fps < 23
        assert 50_000 <= stats.longest_gap_us < 500_000


@pytest.mark.parametrize(
    ("rotation", "mirror"), [(rotation, mirror) for rotation in (0, 90, 180, 270) for mirror in (False, True)]
)
async def test_the_picture_is_turned_clockwise_and_then_mirrored(rotation: int, mirror: bool) -> None:
    sideways = rotation in (90, 270)
    width, height = (180, 320) if sideways else (320, 180)
    settings = settings_of(pattern="bars", rotation=rotation, mirror=mirror, width=width, height=height)
    async with MediaEvents() as events:
        capture = _native.Capture("camera", settings, events.queue)
        capture.start()
        snapshot = await picture_of(capture, events)
        capture.stop()
    assert (snapshot.width, snapshot.height) == (width, height)
    picture = decode(snapshot.image)
    assert picture.shape == (height, width, 3)
    upright = turned(mirrored(picture) if mirror else picture, (360 - rotation) % 360)
    assert bars(upright) == BARS


async def test_the_clock_and_the_box_are_drawn_on_the_bars() -> None:
    async with MediaEvents() as events:
        capture = _native.Capture("camera", settings_of(pattern="bars_and_clock", width=640, height=360), events.queue)
        capture.start()
        one = decode((await picture_of(capture, events)).image)
        await frames(capture, capture.stats().frames_captured + 10)
        newest = capture.snapshot("jpeg")
        capture.stop()
    assert newest is not None
    other = decode(newest.image)
    assert bars(one, y=0.2) == bars(other, y=0.2) == BARS
    assert (one[160:200, 174:466] != other[160:200, 174:466]).any(), "the clock stands still"
    assert (one[270:315] != other[270:315]).any(), "the box stands still"
    assert abs(newest.captured_at_us / 1e6 - time.time()) < 5


async def test_a_shape_that_differs_gets_black_edges(tmp_path: Path) -> None:
    path = tmp_path / "grey.y4m"
    path.write_bytes(
        b"YUV4MPEG2 W320 H180 F30:1 A1:1 C420jpeg\n" + 30 * (b"FRAME\n" + bytes([235]) * 57_600 + bytes([128]) * 28_800)
    )
    async with MediaEvents() as events:
        capture = _native.Capture("file", settings_of(file_path=str(path), width=320, height=320), events.queue)
        capture.start()
        picture = decode((await picture_of(capture, events)).image)
        capture.stop()
    assert [colour_at(picture, 0.5, y) for y in (0.1, 0.5, 0.9)] == ["black", "white", "black"]


async def test_settings_that_cannot_be_are_refused() -> None:
    queue = _native.EventQueue()
    for settings, named in [
        (settings_of(), "exactly one"),
        (settings_of(pattern="bars", file_path="/x"), "exactly one"),
        (settings_of(pattern="videotestsrc ! fakesink"), "pattern"),
        (settings_of(pattern="bars", rotation=45), "rotation"),
        (settings_of(pattern="bars", fps=-1.0), "fps"),
        (settings_of(pattern="bars", width=-2), "width"),
    ]:
        with pytest.raises(ValueError, match=named):
            _native.Capture("camera", settings, queue)


async def test_no_snapshot_before_the_first_frame_and_none_of_another_kind() -> None:
    async with MediaEvents() as events:
        capture = _native.Capture("camera", settings_of(pattern="bars"), events.queue)
        assert capture.snapshot("png") is None
        capture.start()
        await events.first("first_frame")
        with pytest.raises(ValueError, match="image_format"):
            capture.snapshot("bmp")
        capture.stop()
        assert capture.snapshot("png") is None


async def test_starting_and_stopping_leaves_nothing_behind() -> None:
    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async with MediaEvents() as events:
        capture = _native.Capture("camera", settings_of(pattern="bars_and_clock", fps=120.0), events.queue)
        for _ in range(3):  # GStreamer's own thread pool comes with the first use
            capture.start()
            await frames(capture, capture.stats().frames_captured + 1)
            capture.stop()
        before = threads(), descriptors()
        for _ in range(50):
            capture.start()
            await frames(capture, capture.stats().frames_captured + 1)
            capture.stop()
            capture.stop()
        await until(lambda: (threads(), descriptors()) <= before, timeout_ms=5_000, what="threads and files gone")
        count = capture.stats().frames_captured
        assert [event.kind for event in events.seen].count("first_frame") == 53
        assert capture.stats().frames_captured == count


@pytest.mark.timeout(60)
async def test_dropping_a_running_capture_does_not_hang() -> None:
    async with MediaEvents() as events:
        for _ in range(20):
            capture = _native.Capture("camera", settings_of(pattern="bars", fps=240.0), events.queue)
            capture.start()
            await frames(capture, 2)
            del capture
            gc.collect()


@pytest.mark.timeout(60)
async def test_starting_stopping_and_asking_at_once_from_many_threads() -> None:
    async with MediaEvents() as events:
        capture = _native.Capture("camera", settings_of(pattern="bars_and_clock", fps=240.0), events.queue)

        def use() -> None:
            for _ in range(30):
                capture.start()
                capture.stats()
                capture.snapshot("jpeg")
                capture.stop()

        users = [threading.Thread(target=use) for _ in range(3)]
        for user in users:
            user.start()
        await until(lambda: not any(user.is_alive() for user in users), timeout_ms=15_000, what="the threads ended")
        assert "failed" not in [event.kind for event in events.seen]
