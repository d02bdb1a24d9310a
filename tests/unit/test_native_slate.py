"""The slate: what it shows and when, without Python's help."""

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rtcagentd.engine import _native

from tests.parts.media_events import MediaEvents, settings_of
from tests.parts.picture import Picture
from tests.parts.slate import shows_slate
from tests.parts.waiting import until
from tests.parts.y4m import make_still

WIDTH, HEIGHT = 320, 180


class Frames:
    """Stands in for LiveKit: keeps the luma of the newest frame that it is handed."""

    def __init__(self) -> None:
        self.newest: Picture | None = None
        self.count = 0
        self._lock = threading.Lock()
        self._request = ctypes.CFUNCTYPE(
            ctypes.c_uint64, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p
        )(self._on_request)
        self._drop = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_uint64)(lambda _: True)
        self.entry = _native.Ffi(_address(self._request), _address(self._drop))

    def _on_request(self, data: int, size: int, *_: object) -> int:
        from livekit.rtc._proto import ffi_pb2

        buffer = ffi_pb2.FfiRequest.FromString(ctypes.string_at(data, size)).capture_video_frame.buffer
        luma = ctypes.string_at(buffer.data_ptr, buffer.components[0].stride * buffer.height)
        rows = np.frombuffer(luma, dtype=np.uint8).reshape(buffer.height, buffer.components[0].stride)
        with self._lock:
            self.newest = np.repeat(rows[:, : buffer.width, None], 3, axis=2).copy()
            self.count += 1
        return 1


def _address(function: object) -> int:
    address = ctypes.cast(function, ctypes.c_void_p).value  # type: ignore[arg-type]
    assert address
    return address


def slate_settings(**fields: object) -> _native.SlateSettings:
    settings = _native.SlateSettings()
    given = {"title": "Front door", "text": "camera not connected", "width": WIDTH, "height": HEIGHT, **fields}
    for name, value in given.items():
        setattr(settings, name, value)
    return settings


def sink_of(frames: Frames, events: MediaEvents) -> _native.FrameSink:
    sink = _native.FrameSink("room/camera", frames.entry, 1, events.queue)
    sink.set_open(True)
    return sink


def seen(frames: Frames, fits: Callable[[Picture], bool]) -> Callable[[], bool]:
    return lambda: frames.newest is not None and fits(frames.newest)


async def test_it_shows_name_text_and_the_time_that_passes() -> None:
    frames = Frames()
    async with MediaEvents() as events:
        slate = _native.Slate("slate", slate_settings(), events.queue)
        sink = sink_of(frames, events)
        slate.attach(sink)
        slate.show()
        await until(seen(frames, shows_slate), timeout_ms=5_000, what="the slate")
        first = frames.newest
        assert first is not None
        assert first.shape == (HEIGHT, WIDTH, 3)
        clock = slice(HEIGHT * 2 // 3, HEIGHT * 11 // 12)
        await until(seen(frames, lambda one: bool((one[clock] != first[clock]).any())), timeout_ms=5_000, what="time")
        assert frames.newest is not None
        assert (frames.newest[: HEIGHT // 2] == first[: HEIGHT // 2]).all(), "name and text stand still"
        assert sink.stats().slate_frames_pushed > 0
        assert sink.stats().frames_pushed == 0, "frames of the slate are told apart"

        slate.hide()
        count = frames.count
        assert not slate.is_shown
        slate.show()
        await until(lambda: frames.count > count, timeout_ms=5_000, what="shown again")
        slate.close()


async def test_a_capture_that_ends_shows_it_and_the_next_one_hides_it(tmp_path: Path) -> None:
    film = make_still(tmp_path / "film.y4m", np.full((HEIGHT, WIDTH, 3), 255, dtype=np.uint8))
    frames = Frames()
    async with MediaEvents() as events:
        slate = _native.Slate("slate", slate_settings(width=640, height=480), events.queue)
        sink = sink_of(frames, events)
        slate.attach(sink)
        capture = _native.Capture("camera", settings_of(file_path=str(film), pattern=""), events.queue)
        capture.set_slate(slate)
        capture.attach(sink)
        capture.start()
        await events.where(lambda event: event.kind == "ended", what="the end")
        assert slate.is_shown
        await until(seen(frames, shows_slate), timeout_ms=5_000, what="the slate")
        assert frames.newest is not None
        assert frames.newest.shape[:2] == (HEIGHT, WIDTH), "in the size of the film"
        capture.stop()

        following = _native.Capture("camera", settings_of(pattern="bars", fps=30.0), events.queue)
        following.set_slate(slate)
        following.attach(sink)
        following.start()
        await until(lambda: not slate.is_shown, timeout_ms=5_000, what="the next frames")
        slates, live = sink.stats().slate_frames_pushed, sink.stats().frames_pushed
        await until(lambda: sink.stats().frames_pushed > live + 20, timeout_ms=5_000, what="20 frames")
        assert sink.stats().slate_frames_pushed == slates, "no frame of the slate between those of the source"
        following.stop()
        assert not slate.is_shown, "what is stopped by order has no slate"
        slate.close()


@pytest.mark.parametrize("suffix", ["png", "jpg"])
async def test_the_integrators_picture_is_fitted_in(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.new("RGB", (100, 100), (255, 255, 255)).save(path)
    frames = Frames()
    async with MediaEvents() as events:
        slate = _native.Slate("slate", slate_settings(picture_path=str(path)), events.queue)
        slate.attach(sink_of(frames, events))
        slate.show()
        await until(lambda: frames.newest is not None, timeout_ms=5_000, what="the picture")
        slate.close()
    assert frames.newest is not None
    luma = frames.newest[HEIGHT // 2, :, 0]
    assert luma[WIDTH // 2] > 200
    assert max(luma[10], luma[-10]) < 40, "edges where the shape differs"


async def test_a_picture_that_cannot_be_shown_is_told_and_words_stand_in(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nand then nothing")
    frames = Frames()
    async with MediaEvents() as events:
        slate = _native.Slate("slate", slate_settings(picture_path=str(broken)), events.queue)
        slate.attach(sink_of(frames, events))
        slate.show()
        failed = await events.where(lambda event: event.kind == "failed", what="the failure")
        assert failed.reason == "FILE_INVALID"
        assert "broken.png" in failed.message
        await until(seen(frames, shows_slate), timeout_ms=5_000, what="the slate of words")
        slate.close()
