"""The queue of events from media threads."""

import select

import pytest
from rtcagentd.engine import _native

from tests.parts.media_events import settings_of


def is_readable(queue: _native.EventQueue, timeout_s: float) -> bool:
    return bool(select.select([queue.fd], [], [], timeout_s)[0])


def test_the_descriptor_is_readable_while_events_wait() -> None:
    queue = _native.EventQueue()
    assert not is_readable(queue, 0)
    assert queue.drain() == []
    capture = _native.Capture("camera-7", settings_of(pattern="bars"), queue)
    capture.start()
    assert is_readable(queue, 10)
    capture.stop()
    assert is_readable(queue, 0)
    (event,) = queue.drain()
    assert (event.key, event.kind, event.reason, event.message) == ("camera-7", "first_frame", "", "")
    assert not is_readable(queue, 0)


def test_a_queue_outlives_its_python_object_while_a_capture_uses_it() -> None:
    queue = _native.EventQueue()
    capture = _native.Capture("camera", settings_of(pattern="bars", fps=240.0), queue)
    del queue
    capture.start()
    capture.stop()


def test_native_error_is_reason_and_message() -> None:
    with pytest.raises(_native.NativeError) as refused:
        _native.Capture("file", settings_of(file_path="/nowhere.mp4"), _native.EventQueue()).start()
    reason, message = refused.value.args
    assert (reason, message) == ("URL_INVALID", "/nowhere.mp4: No such file or directory")


def test_everything_that_capturing_needs_is_installed() -> None:
    assert _native.missing_elements() == []
    assert _native.gstreamer_version().startswith("1.")
