"""Publishes video through the bare LiveKit SDK, as a Python program without this project would.

The tests prove themselves with it, and the measurements compare with it. As a program (`python -m
tests.parts.bare_publisher`) it takes one JSON list of orders per line on stdin and answers each with one JSON line.
"""

import asyncio
import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from livekit import rtc

from tests.parts.picture import Picture, make_bars
from tests.parts.y4m import Y4mReader

FillFrame = Callable[[], rtc.VideoFrame]


def still(picture: Picture) -> FillFrame:
    """The same frame each time, as I420, so that sending it costs no conversion."""
    height, width, _ = picture.shape
    rgb = rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, picture.tobytes())
    frame = rgb.convert(rtc.VideoBufferType.I420)
    return lambda: frame


def from_file(path: Path) -> FillFrame:
    """The frames of a y4m file over and over, read one by one into the same memory."""
    reader = Y4mReader(path)
    buffer = bytearray(reader.frame_bytes)
    frame = rtc.VideoFrame(reader.width, reader.height, rtc.VideoBufferType.I420, buffer)

    def fill() -> rtc.VideoFrame:
        reader.read_into(frame.data)
        return frame

    return fill


class BarePublisher:
    """One participant that can send one video."""

    def __init__(self, name: str = "camera") -> None:
        self._name = name
        self._room: rtc.Room | None = None
        self._source: rtc.VideoSource | None = None
        self._feeding: asyncio.Task[None] | None = None
        self._track: rtc.LocalVideoTrack | None = None

    async def capture(self, fill: FillFrame, fps: float = 30.0) -> None:
        """Begin to make frames."""
        first = fill()
        self._source = rtc.VideoSource(first.width, first.height)
        self._feeding = asyncio.get_running_loop().create_task(self._feed(self._source, fill, fps))

    async def join(self, url: str, token: str) -> None:
        self._room = rtc.Room()
        await self._room.connect(url, token, options=rtc.RoomOptions(auto_subscribe=False))

    async def publish(self, max_bitrate_bps: int = 2_000_000, fps: float = 30.0) -> None:
        """Send what is captured into the room: VP8, one layer."""
        assert self._room is not None
        assert self._source is not None
        self._track = rtc.LocalVideoTrack.create_video_track(self._name, self._source)
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_CAMERA,
            video_codec=rtc.VideoCodec.VP8,
            simulcast=False,
            video_encoding=rtc.VideoEncoding(max_bitrate=max_bitrate_bps, max_framerate=fps),
            degradation_preference=rtc.DegradationPreference.MAINTAIN_RESOLUTION.value,
        )
        await self._room.local_participant.publish_track(self._track, options)

    def mute(self, muted: bool) -> None:
        assert self._track is not None
        if muted:
            self._track.mute()
        else:
            self._track.unmute()

    async def close(self) -> None:
        if self._feeding is not None:
            self._feeding.cancel()
            await asyncio.gather(self._feeding, return_exceptions=True)
            self._feeding = None
        if self._room is not None:
            await self._room.disconnect()
            self._room = None
        if self._source is not None:
            await self._source.aclose()
            self._source = None

    async def _feed(self, source: rtc.VideoSource, fill: FillFrame, fps: float) -> None:
        due = time.monotonic()
        while True:
            source.capture_frame(fill(), timestamp_us=time.monotonic_ns() // 1000)
            due += 1 / fps
            await asyncio.sleep(max(0.0, due - time.monotonic()))


@functools.cache
def _bars(width: int, height: int) -> FillFrame:
    """Drawn and converted once: that is no part of what is compared."""
    return still(make_bars(width, height))


async def obey(publisher: BarePublisher, order: dict[str, Any]) -> None:
    """Carry out one order of the program."""
    match order.pop("do"):
        case "capture_bars":
            await publisher.capture(_bars(order["width"], order["height"]))
        case "capture_file":
            await publisher.capture(from_file(Path(order["path"])))
        case "join":
            await publisher.join(order["url"], order["token"])
        case "publish":
            await publisher.publish()
        case "close":
            await publisher.close()
        case other:
            raise ValueError(f"no such order: {other!r}")


async def main() -> None:
    publisher = BarePublisher()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    rtc.VideoSource(16, 16)  # loads and starts the native library before time is taken
    print(json.dumps({"ready": True}), flush=True)
    while line := await reader.readline():
        for order in json.loads(line):
            await obey(publisher, order)
        print(json.dumps({"done_at": time.monotonic()}), flush=True)
    await publisher.close()


if __name__ == "__main__":
    asyncio.run(main())
