"""Received frames: every buffer is given back once, and nothing else is kept from Python.

Each test runs in a process of its own, as there is one taker of frames for a process.
"""

import concurrent.futures
import ctypes
import multiprocessing
import threading
from collections.abc import Callable
from typing import Any

import pytest
from livekit.rtc._proto import ffi_pb2, video_frame_pb2
from rtcagentd.engine import _native

from tests.parts.picture import BARS, bars, decode, turned

CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_size_t)
WIDTH, HEIGHT = 280, 160
# 75 % bars in BT.601: white, yellow, cyan, green, magenta, red, blue.
YUV = [(180, 128, 128), (162, 44, 142), (131, 156, 44), (112, 72, 58), (84, 184, 198), (65, 100, 212), (35, 212, 114)]


class Library:
    """Stands in for LiveKit's library, to see what is given back when."""

    def __init__(self) -> None:
        self.dropped: list[int] = []
        self.passed_on: list[str | None] = []
        self.all_came = threading.Event()  # a "connect" event, the last one of a test
        self._pictures: list[Any] = []
        self._request = ctypes.CFUNCTYPE(
            ctypes.c_uint64, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p
        )(lambda *_: 0)
        self._drop = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_uint64)(self._on_drop)
        self._python = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t)(self._on_event)
        addresses = [ctypes.cast(each, ctypes.c_void_p).value for each in (self._request, self._drop, self._python)]
        self.ffi = _native.Ffi(addresses[0] or 0, addresses[1] or 0)
        self.python_address = addresses[2] or 0
        self.received = _native.ReceivedFrames(self.ffi, self.python_address)
        self._callback = CALLBACK(self.received.callback_address)

    def send(self, event: ffi_pb2.FfiEvent) -> None:
        data = event.SerializeToString()
        self._callback(data, len(data))

    def send_frame(self, stream: int, handle: int, rotation: int = 0) -> None:
        """Colour bars of 280x160 with rows longer than the picture is wide."""
        event = ffi_pb2.FfiEvent()
        event.video_stream_event.stream_handle = stream
        received = event.video_stream_event.frame_received
        received.timestamp_us = 1
        received.rotation = rotation  # type: ignore[assignment]
        received.buffer.handle.id = handle
        info = received.buffer.info
        info.type = video_frame_pb2.VideoBufferType.I420
        info.width, info.height = WIDTH, HEIGHT
        for plane in range(3):
            divisor = 1 if plane == 0 else 2
            row = b"".join(bytes([yuv[plane]]) * (WIDTH // divisor // 7) for yuv in YUV) + b"\0" * 24
            picture = ctypes.create_string_buffer(row * (HEIGHT // divisor))
            self._pictures.append(picture)
            component = info.components.add()
            component.data_ptr = ctypes.addressof(picture)
            component.stride, component.size = len(row), len(row) * (HEIGHT // divisor)
        info.data_ptr = info.components[0].data_ptr
        self.send(event)

    def _on_drop(self, handle: int) -> bool:
        self.dropped.append(handle)
        return True

    def _on_event(self, data: int, size: int) -> None:
        event = ffi_pb2.FfiEvent.FromString(ctypes.string_at(data, size))
        self.passed_on.append(event.WhichOneof("message"))
        if event.HasField("connect"):
            self.all_came.set()


def frames_of_nobody_are_given_back_at_once() -> None:
    library = Library()
    library.send_frame(stream=5, handle=100)
    assert library.dropped == [100]
    assert library.received.stats(5) is None
    assert library.received.snapshot(5, "png") is None
    assert library.passed_on == []


def the_newest_frame_is_kept_and_each_is_given_back_once() -> None:
    library = Library()
    library.received.watch(5)
    assert library.received.snapshot(5, "png") is None
    for handle in (100, 101, 102):
        library.send_frame(stream=5, handle=handle)
    library.received.watch(5)  # again: nothing is lost
    assert library.dropped == [100, 101]
    stats = library.received.stats(5)
    assert stats is not None
    assert (stats.frames_received, stats.width, stats.height) == (3, WIDTH, HEIGHT)
    library.received.unwatch(5)
    library.received.unwatch(5)
    assert library.dropped == [100, 101, 102]
    assert library.received.stats(5) is None


def a_snapshot_shows_the_picture_the_right_way_up() -> None:
    library = Library()
    library.received.watch(5)
    for rotation in range(4):
        library.send_frame(stream=5, handle=100 + rotation, rotation=rotation)
        snapshot = library.received.snapshot(5, "png")
        assert snapshot is not None
        size = (WIDTH, HEIGHT) if rotation in (0, 2) else (HEIGHT, WIDTH)
        assert (snapshot.width, snapshot.height) == size
        assert bars(turned(decode(snapshot.image), (360 - 90 * rotation) % 360)) == BARS
    assert library.dropped == [100, 101, 102]


def all_else_goes_to_python() -> None:
    library = Library()
    event = ffi_pb2.FfiEvent()
    event.logs.records.add(level=ffi_pb2.LogLevel.LOG_INFO, target="x", message="y")
    library.send(event)
    event = ffi_pb2.FfiEvent()
    event.panic.message = "x"
    library.send(event)
    event = ffi_pb2.FfiEvent()
    event.video_stream_event.stream_handle = 5
    event.video_stream_event.eos.SetInParent()
    library.send(event)
    library._callback(b"\x1a\xff\xff", 3)  # a damaged video event: neither a crash nor Python's business
    event = ffi_pb2.FfiEvent()
    event.connect.async_id = 1
    event.connect.error = "x"
    library.send(event)
    assert library.all_came.wait(10)
    assert library.passed_on == ["logs", "panic", "connect"]


def there_is_one_taker_in_a_process() -> None:
    library = Library()
    library.received.watch(5)
    again = _native.ReceivedFrames(library.ffi, library.python_address)
    assert again.callback_address == library.received.callback_address
    assert again.stats(5) is not None
    with pytest.raises(_native.NativeError) as refused:
        _native.ReceivedFrames(library.ffi, library.python_address + 1)
    assert refused.value.args[0] == "INTERNAL"


@pytest.mark.parametrize(
    "check",
    [
        frames_of_nobody_are_given_back_at_once,
        the_newest_frame_is_kept_and_each_is_given_back_once,
        a_snapshot_shows_the_picture_the_right_way_up,
        all_else_goes_to_python,
        there_is_one_taker_in_a_process,
    ],
)
def test_received(check: Callable[[], None]) -> None:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as process:
        process.submit(check).result(timeout=30)
