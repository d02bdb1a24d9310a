"""The way of a frame into LiveKit: the gate, the first frame, and an interpreter that is held."""

import asyncio
import ctypes
import threading
import time
from collections.abc import Callable

import pytest
from livekit import rtc
from livekit.rtc._ffi_client import FfiClient
from rtcagentd.engine import _native

from tests.parts.media_events import MediaEvents, settings_of
from tests.parts.waiting import until


def address_of(function: object) -> int:
    address = ctypes.cast(function, ctypes.c_void_p).value  # type: ignore[arg-type]
    assert address
    return address


@pytest.fixture
def ffi() -> _native.Ffi:
    """The real one."""
    library = FfiClient.instance._ffi_lib
    return _native.Ffi(address_of(library.livekit_ffi_request), address_of(library.livekit_ffi_drop_handle))


class SlowFfi:
    """Stands in for LiveKit where the moment of a push must be held: it waits in each request until told."""

    def __init__(self, answer: int = 1) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()
        self.dropped: list[int] = []
        self._answer = answer
        request_type = ctypes.CFUNCTYPE(
            ctypes.c_uint64, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p
        )
        drop_type = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_uint64)
        self._request = request_type(self._on_request)
        self._drop = drop_type(self._on_drop)
        self.entry = _native.Ffi(address_of(self._request), address_of(self._drop))

    def _on_request(self, *_: object) -> int:
        self.entered.set()
        assert self.leave.wait(10)
        return self._answer

    def _on_drop(self, handle: int) -> bool:
        self.dropped.append(handle)
        return True


async def in_thread(function: Callable[[], object]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, function)


async def test_frames_go_only_through_an_open_gate(ffi: _native.Ffi) -> None:
    source = rtc.VideoSource(320, 180)
    async with MediaEvents() as events:
        sink = _native.FrameSink("room/camera", ffi, source._ffi_handle.handle, events.queue)
        capture = _native.Capture("camera", settings_of(pattern="bars_and_clock", fps=60.0), events.queue)
        capture.attach(sink)
        capture.start()
        await until(lambda: sink.stats().frames_gated >= 5, timeout_ms=5_000, what="frames at the closed gate")
        assert sink.stats().frames_pushed == 0

        sink.set_open(True)
        first = await events.where(lambda event: event.key == "room/camera", what="first frame sent")
        assert (first.kind, first.width, first.height) == ("first_frame", 320, 180)
        await until(lambda: sink.stats().frames_pushed >= 10, timeout_ms=5_000, what="frames through the open gate")

        sink.set_open(False)
        pushed, gated = sink.stats().frames_pushed, sink.stats().frames_gated
        await until(lambda: sink.stats().frames_gated >= gated + 10, timeout_ms=5_000, what="more frames")
        assert sink.stats().frames_pushed == pushed

        closed_for_s = time.monotonic()
        await until(lambda: time.monotonic() > closed_for_s + 0.5, timeout_ms=2_000, what="half a second")
        sink.set_open(True)
        await until(lambda: sink.stats().frames_pushed > pushed + 5, timeout_ms=5_000, what="frames again")
        assert sink.stats().longest_gap_us < 400_000, "the time while the gate was closed is no gap"
        assert [event.kind for event in events.seen if event.key == "room/camera"] == ["first_frame"]
        capture.stop()


async def test_a_detached_sink_gets_nothing(ffi: _native.Ffi) -> None:
    source = rtc.VideoSource(320, 180)
    async with MediaEvents() as events:
        sinks = [_native.FrameSink(f"r{n}/camera", ffi, source._ffi_handle.handle, events.queue) for n in range(2)]
        capture = _native.Capture("camera", settings_of(pattern="bars", fps=60.0), events.queue)
        for sink in sinks:
            sink.set_open(True)
            capture.attach(sink)
            capture.attach(sink)  # twice is once
        capture.start()
        await until(lambda: sinks[0].stats().frames_pushed >= 5, timeout_ms=5_000, what="frames")
        capture.detach(sinks[0])
        capture.detach(sinks[0])
        pushed = [sink.stats().frames_pushed for sink in sinks]
        await until(lambda: sinks[1].stats().frames_pushed >= pushed[1] + 5, timeout_ms=5_000, what="frames")
        captured = capture.stats().frames_captured
        assert sinks[0].stats().frames_pushed == pushed[0]
        assert abs(captured - sinks[1].stats().frames_pushed) <= 2
        capture.stop()


@pytest.mark.parametrize("closing", ["set_open", "detach", "stop"])
async def test_closing_waits_for_the_frame_that_is_on_its_way(closing: str) -> None:
    slow = SlowFfi()
    async with MediaEvents() as events:
        sink = _native.FrameSink("room/camera", slow.entry, 7, events.queue)
        sink.set_open(True)
        capture = _native.Capture("camera", settings_of(pattern="bars"), events.queue)
        capture.attach(sink)
        capture.start()
        await in_thread(lambda: slow.entered.wait(10))
        close = {
            "set_open": lambda: sink.set_open(False),
            "detach": lambda: capture.detach(sink),
            "stop": capture.stop,
        }[closing]
        closed = asyncio.ensure_future(in_thread(close))
        done, _ = await asyncio.wait([closed], timeout=0.2)
        assert not done, "closed while a frame was on its way"
        slow.leave.set()
        await asyncio.wait_for(closed, 5)
        pushed = sink.stats().frames_pushed
        if closing != "stop":  # which lets the source come to its end; nothing follows once it returned
            assert pushed == 1
        assert slow.dropped == [1] * pushed, "the handles of the answers were not given back"
        capture.stop()


async def test_a_refusal_is_told_once() -> None:
    refusing = SlowFfi(answer=0)
    refusing.leave.set()
    async with MediaEvents() as events:
        sink = _native.FrameSink("room/camera", refusing.entry, 7, events.queue)
        sink.set_open(True)
        capture = _native.Capture("camera", settings_of(pattern="bars", fps=60.0), events.queue)
        capture.attach(sink)
        capture.start()
        failed = await events.where(lambda event: event.key == "room/camera", what="failed")
        frames = capture.stats().frames_captured
        await until(lambda: capture.stats().frames_captured > frames + 10, timeout_ms=5_000, what="more frames")
        capture.stop()
        assert (failed.kind, failed.reason) == ("failed", "INTERNAL")
        assert [event.kind for event in events.seen if event.key == "room/camera"] == ["failed"]
        assert sink.stats().frames_pushed == 0
        assert refusing.dropped == []


async def test_frames_go_on_while_the_interpreter_is_held(ffi: _native.Ffi) -> None:
    source = rtc.VideoSource(640, 360)
    async with MediaEvents() as events:
        sink = _native.FrameSink("room/camera", ffi, source._ffi_handle.handle, events.queue)
        sink.set_open(True)
        capture = _native.Capture("camera", settings_of(pattern="bars_and_clock", width=640, height=360), events.queue)
        capture.attach(sink)
        capture.start()
        await until(lambda: sink.stats().frames_pushed >= 10, timeout_ms=5_000, what="frames")
        before = sink.stats().frames_pushed
        ctypes.PyDLL(None).usleep(900_000)
        pushed_meanwhile = sink.stats().frames_pushed - before
        stats = sink.stats()
        capture.stop()
    assert pushed_meanwhile >= 24
    assert stats.longest_gap_us < 150_000
