"""Uses the native module in the test machine. Every line of output is a JSON object.

native.py list                                   the cameras
native.py capture PATH PIXEL_FORMAT FRAME_COUNT  captures at 320x240 until so many frames have come
native.py follow PATH                            captures at 320x240, tells each event, and ends with the capture
"""

import json
import select
import sys
import time
from typing import Any

from rtcagentd.engine import _native

WIDTH, HEIGHT, FPS = 320, 240, 15.0
TIMEOUT_S = 30.0
POLL_S = 0.05


def tell(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def list_cameras() -> None:
    for camera in _native.list_cameras():
        tell(
            device_id=camera.device_id,
            name=camera.name,
            path=camera.path,
            usb_port=camera.usb_port,
            serial=camera.serial,
            driver=camera.driver,
            formats=[[each.pixel_format, each.width, each.height, list(each.fps)] for each in camera.formats],
        )


def open_camera(path: str, pixel_format: str = "") -> tuple[_native.Capture, _native.EventQueue]:
    settings = _native.CaptureSettings()
    settings.device_path = path
    settings.pixel_format = pixel_format
    settings.width, settings.height, settings.fps = WIDTH, HEIGHT, FPS
    events = _native.EventQueue()
    return _native.Capture("camera", settings, events), events


def capture(path: str, pixel_format: str, frame_count: int) -> None:
    """Counters tell nobody of their changes, hence the polling."""
    camera, events = open_camera(path, pixel_format)
    try:
        camera.start()
    except _native.NativeError as error:
        tell(refused=error.args[0], message=error.args[1])
        return
    end = time.monotonic() + TIMEOUT_S
    while camera.stats().frames_captured < frame_count and time.monotonic() < end:
        select.select([], [], [], POLL_S)
    stats, snapshot = camera.stats(), camera.snapshot("png")
    camera.stop()
    tell(
        frames=stats.frames_captured,
        width=stats.width,
        height=stats.height,
        picture=[snapshot.width, snapshot.height] if snapshot else None,
        events=[event.kind for event in events.drain()],
    )


def follow(path: str) -> None:
    camera, events = open_camera(path)
    camera.start()
    while True:
        select.select([events.fd], [], [])
        for event in events.drain():
            tell(kind=event.kind, reason=event.reason, message=event.message)
            if event.kind in ("failed", "ended"):
                camera.stop()
                return


def main(step: str, *arguments: str) -> None:
    match step, arguments:
        case "list", ():
            list_cameras()
        case "capture", (path, pixel_format, frame_count):
            capture(path, pixel_format, int(frame_count))
        case "follow", (path,):
            follow(path)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
