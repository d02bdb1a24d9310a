"""Captures from RTSP servers, and from what only looks like one."""

import socket
import time

import pytest
from rtcagentd.engine import _native

from tests.parts.media_events import MediaEvents, settings_of
from tests.parts.picture import BARS, bars, decode
from tests.parts.rtsp import rtsp_server


async def failure_of(url: str) -> tuple[str, str, float]:
    """Reason, message, and the seconds until they came."""
    async with MediaEvents() as events:
        capture = _native.Capture("rtsp", settings_of(rtsp_url=url), events.queue)
        begin = time.monotonic()
        try:
            capture.start()
        except _native.NativeError as refused:
            return *refused.args, time.monotonic() - begin
        failed = await events.first("failed", timeout_ms=15_000)
        elapsed_s = time.monotonic() - begin
        capture.stop()
        return failed.reason, failed.message, elapsed_s


async def test_a_camera_on_the_network_is_captured() -> None:
    async with rtsp_server() as port, MediaEvents() as events:
        url = f"rtsp://user:secret@127.0.0.1:{port}/camera"
        capture = _native.Capture("rtsp", settings_of(rtsp_url=url, rtsp_latency_ms=100), events.queue)
        capture.start()
        first = await events.first("first_frame")
        snapshot = capture.snapshot("png")
        capture.stop()
    assert (first.width, first.height) == (320, 180)
    assert snapshot is not None
    assert bars(decode(snapshot.image)) == BARS


async def test_an_unknown_path_is_told_without_the_password() -> None:
    async with rtsp_server() as port:
        reason, message, _ = await failure_of(f"rtsp://user:secret@127.0.0.1:{port}/nothing")
    assert reason == "URL_INVALID"
    assert f"127.0.0.1:{port}/nothing" in message
    assert "secret" not in message


async def test_a_port_where_nobody_listens() -> None:
    with socket.socket() as taken:  # bound, not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        reason, _, _ = await failure_of(f"rtsp://127.0.0.1:{taken.getsockname()[1]}/camera")
    assert reason == "SERVER_UNREACHABLE"


async def test_a_server_that_never_answers_fails_after_five_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reason, _, elapsed_s = await failure_of(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/camera")
    assert reason == "SERVER_UNREACHABLE"
    assert 4 < elapsed_s < 8


async def test_stopping_does_not_wait_for_a_silent_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/camera"
        capture = _native.Capture("rtsp", settings_of(rtsp_url=url), _native.EventQueue())
        capture.start()
        silent.accept()[0].close()
        begin = time.monotonic()
        capture.stop()
        assert time.monotonic() - begin < 1


@pytest.mark.parametrize("url", ["http://127.0.0.1/camera", "camera", "rtsp://", "rtsp:///camera"])
async def test_addresses_that_are_none(url: str) -> None:
    reason, _, _ = await failure_of(url)
    assert reason == "URL_INVALID"
