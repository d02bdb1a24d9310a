"""A participant that is heard: publishes sound by the LiveKit SDK."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from livekit import rtc

from tests.parts import sound
from tests.parts.sound import RATE, Samples

FRAME = RATE // 100


class Speaking:
    """Says the same sound again and again, until it is closed. Leads the wall clock by 200 ms: a loaded machine that is
    late with some frames leaves no gap.
    """

    def __init__(self, url: str, token: str, samples: Samples, *, name: str = "microphone") -> None:
        self._url = url
        self._token = token
        self._samples = samples
        self._name = name
        self._room = rtc.Room()
        self._source = rtc.AudioSource(RATE, 1, queue_size_ms=200)
        self._feeding: asyncio.Task[None] | None = None
        self._track: rtc.LocalTrackPublication | None = None

    async def __aenter__(self) -> Self:
        await self._room.connect(self._url, self._token)
        await self.publish()
        self._feeding = asyncio.create_task(self._feed(), name="speaking")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def publish(self) -> None:
        track = rtc.LocalAudioTrack.create_audio_track(self._name, self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
        self._track = await self._room.local_participant.publish_track(track, options)

    async def unpublish(self) -> None:
        assert self._track is not None
        await self._room.local_participant.unpublish_track(self._track.sid)

    def say(self, samples: Samples) -> None:
        """Something else from now on."""
        self._samples = samples

    async def close(self) -> None:
        """Leave. Any number of times."""
        if self._feeding is not None:
            self._feeding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._feeding
            self._feeding = None
            await self._room.disconnect()
            await self._source.aclose()

    async def _feed(self) -> None:
        while True:
            samples = self._samples
            for start in range(0, len(samples) - FRAME + 1, FRAME):
                data = sound.to_s16(samples[start : start + FRAME])
                await self._source.capture_frame(rtc.AudioFrame(data, RATE, 1, FRAME))
                if samples is not self._samples:
                    break
