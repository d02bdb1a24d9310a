"""A second participant: joins by the LiveKit SDK, subscribes, decodes, and tells what it sees."""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from livekit import rtc

from tests.parts import sound
from tests.parts.picture import Picture, save_png
from tests.parts.waiting import Changes, NotInTime

START_MS = 10_000
NO_EVENT = 0.0
SILENT_DBFS = -45.0  # a decoder whose stream ends unheard says 10 ms of -57, long after
BLANK_PIXELS = 8  # livekit-server ends a VP8 or H.264 stream with black frames of 8x8 or 2x2


@dataclass
class Seen:
    """An event of the room as it was told to the listener. `at` is of the monotonic clock, in seconds."""

    at: float
    kind: str  # the SDK's name of it
    user_id: str = ""
    name: str = ""  # of the stream


@dataclass
class Video:
    """The frames that arrived of one user's stream, over all its publications."""

    arrivals: list[float] = field(default_factory=list)  # monotonic clock, seconds
    blank: int = 0  # frames that the room server made itself when a stream ended or was muted; in no other number
    frame: rtc.VideoFrame | None = None
    sid: str = ""

    def size(self) -> tuple[int, int]:
        assert self.frame is not None, "no frame has arrived"
        return self.frame.width, self.frame.height

    def count_since(self, at: float) -> int:
        return sum(1 for arrival in self.arrivals if arrival >= at)

    def longest_gap_ms(self, begin: float, end: float) -> float:
        """The longest time without a frame between two moments; those moments count as frames."""
        times = [begin, *(at for at in self.arrivals if begin < at < end), end]
        return max(later - earlier for earlier, later in itertools.pairwise(times)) * 1000

    def fps(self, begin: float, end: float) -> float:
        return sum(1 for at in self.arrivals if begin <= at < end) / (end - begin)


@dataclass
class Sound:
    """What arrived of one user's stream of sound, over all its publications: two channels at 48 kHz."""

    chunks: list[sound.Samples] = field(default_factory=list)  # each of 2 rows
    sample_count: int = 0
    sid: str = ""
    loud_at: list[float] = field(default_factory=list)  # when what is no silence came: monotonic clock, seconds

    def last(self, seconds: float) -> sound.Samples:
        """The newest of it, as two rows."""
        wanted = int(seconds * sound.RATE)
        return np.concatenate(self.chunks[-(wanted // 480 + 2) :], axis=1)[:, -wanted:]


class Listener:
    """One participant of one room. Names its peers' streams by (user_id, name)."""

    def __init__(self, *, decode: bool = True) -> None:
        self.events: list[Seen] = []
        self._decode = decode
        self._room: rtc.Room | None = None
        self._videos: dict[tuple[str, str], Video] = {}
        self._sounds: dict[tuple[str, str], Sound] = {}
        self._tracks: dict[tuple[str, str], rtc.Track] = {}
        self._muted: dict[tuple[str, str], bool] = {}
        self._readers: dict[str, tuple[rtc.VideoStream | rtc.AudioStream, asyncio.Task[None]]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._changes = Changes()

    @property
    def room(self) -> rtc.Room:
        assert self._room is not None, "the listener has not joined"
        return self._room

    async def join(self, url: str, token: str) -> None:
        """Join a room and subscribe to everything in it."""
        room = self._room = rtc.Room()
        room.on("track_published", self._on("track_published", self._published))
        room.on("track_unpublished", self._on("track_unpublished"))
        room.on("track_muted", lambda who, publication: self._mute(who, publication, True))
        room.on("track_unmuted", lambda who, publication: self._mute(who, publication, False))
        room.on("track_subscribed", self._subscribed)
        room.on("track_unsubscribed", self._unsubscribed)
        room.on("participant_connected", lambda who: self._saw("participant_connected", who.identity))
        room.on("participant_disconnected", lambda who: self._saw("participant_disconnected", who.identity))
        room.on("participant_metadata_changed", lambda who, *_: self._saw("metadata_changed", who.identity))
        room.on("disconnected", lambda *_: self._saw("disconnected"))
        await room.connect(url, token, options=rtc.RoomOptions(auto_subscribe=self._decode))
        for participant in room.remote_participants.values():
            for publication in participant.track_publications.values():
                self._published(publication, participant)

    async def frames(self, user_id: str, name: str, *, count: int = 1, timeout_ms: float = START_MS) -> Video:
        """Wait for `count` frames more than have arrived until now."""
        video = self.video(user_id, name)
        wanted = len(video.arrivals) + count
        await self._changes.until(
            lambda: len(video.arrivals) >= wanted,
            timeout_ms=timeout_ms,
            what=lambda: (
                f"{count} frames of {name!r} of {user_id!r}; "
                f"{count - wanted + len(video.arrivals)} arrived. Seen: {self.account()}"
            ),
        )
        return video

    async def picture(
        self, user_id: str, name: str, *, until: Callable[[Picture], bool] | None = None, timeout_ms: float = START_MS
    ) -> Picture:
        """The next picture that arrives, or the first one for which `until` holds."""
        end = time.monotonic() + timeout_ms / 1000
        while True:
            await self.frames(user_id, name, timeout_ms=max(100.0, (end - time.monotonic()) * 1000))
            picture = self.newest(user_id, name)
            if until is None or until(picture):
                return picture
            if time.monotonic() > end:
                path = Path(tempfile.gettempdir()) / f"not-as-expected-{user_id}-{name}.png"
                save_png(picture, path)
                raise NotInTime(f"{name!r} of {user_id!r} does not show what it should; its last picture is {path}")

    def newest(self, user_id: str, name: str) -> Picture:
        """The newest picture as RGB."""
        frame = self.video(user_id, name).frame
        assert frame is not None, f"no frame of {name!r} of {user_id!r} has arrived"
        rgb = frame.convert(rtc.VideoBufferType.RGB24)
        return np.frombuffer(rgb.data, dtype=np.uint8).reshape(rgb.height, rgb.width, 3).copy()

    def video(self, user_id: str, name: str) -> Video:
        return self._videos.setdefault((user_id, name), Video())

    def heard(self, user_id: str, name: str) -> Sound:
        return self._sounds.setdefault((user_id, name), Sound())

    async def hear(
        self,
        user_id: str,
        name: str,
        *,
        seconds: float = 0.5,
        until: Callable[[sound.Samples], bool] | None = None,
        timeout_ms: float = START_MS,
    ) -> sound.Samples:
        """So many seconds of the sound that arrives from now on, or the first ones of it for which `until` holds; its
        two channels as rows.
        """
        heard = self.heard(user_id, name)
        end = time.monotonic() + timeout_ms / 1000
        wanted = heard.sample_count + int(seconds * sound.RATE)
        while True:
            await self._changes.until(
                lambda wanted=wanted: heard.sample_count >= wanted,  # type: ignore[misc]
                timeout_ms=max(100.0, (end - time.monotonic()) * 1000),
                what=lambda: (
                    f"{seconds:g} s of sound {name!r} of {user_id!r}; {heard.sample_count} samples have come in all. "
                    f"Seen: {self.account()}"
                ),
            )
            samples = heard.last(seconds)
            if until is None or until(samples):
                return samples
            if time.monotonic() > end:
                mono = samples.mean(axis=0)
                raise NotInTime(
                    f"{name!r} of {user_id!r} does not sound as it should: {sound.level(mono):.1f} dBFS, strongest at "
                    f"{sound.frequency(mono):.0f} Hz"
                )
            wanted = heard.sample_count + sound.RATE // 20

    async def event(
        self, kind: str, user_id: str = "", name: str = "", *, after: float = NO_EVENT, timeout_ms: float = START_MS
    ) -> Seen:
        """Wait for an event that was, or will be, told later than `after`."""

        def found() -> Seen | None:
            return next(
                (
                    seen
                    for seen in self.events
                    if seen.kind == kind
                    and seen.at > after
                    and user_id in ("", seen.user_id)
                    and name in ("", seen.name)
                ),
                None,
            )

        await self._changes.until(
            lambda: found() is not None,
            timeout_ms=timeout_ms,
            what=lambda: f"{kind} {user_id} {name}. Seen: {self.account()}",
        )
        seen = found()
        assert seen is not None
        return seen

    def muted(self, user_id: str, name: str) -> bool | None:
        """Whether a stream is muted as the room says; None: there is no such stream."""
        return self._muted.get((user_id, name))

    async def until_muted(self, user_id: str, name: str, muted: bool, *, timeout_ms: float = START_MS) -> None:
        await self._changes.until(
            lambda: self.muted(user_id, name) is muted,
            timeout_ms=timeout_ms,
            what=f"{name!r} of {user_id!r} is {'muted' if muted else 'not muted'}",
        )

    def extra_info(self, user_id: str) -> str:
        """What a user shows to the others."""
        return self.room.remote_participants[user_id].metadata

    async def codec(self, user_id: str, name: str) -> str:
        """The codec that arrives, as in 'VP8'."""
        return (await self._inbound(user_id, name))[0]

    async def bytes_received(self, user_id: str, name: str) -> int:
        """Bytes of video that arrived of the stream's present publication."""
        return (await self._inbound(user_id, name))[1]

    async def _inbound(self, user_id: str, name: str) -> tuple[str, int]:
        stats = await self._tracks[(user_id, name)].get_stats()
        mime_types = {each.codec.rtc.id: each.codec.codec.mime_type for each in stats if each.HasField("codec")}
        for each in stats:
            if each.HasField("inbound_rtp"):
                mime_type = mime_types.get(each.inbound_rtp.stream.codec_id, "/")
                return mime_type.partition("/")[2], each.inbound_rtp.inbound.bytes_received
        return "", 0

    def account(self) -> str:
        """All that was seen, for messages of failed tests."""
        return ", ".join(f"{seen.kind}({seen.user_id} {seen.name})" for seen in self.events) or "nothing"

    async def close(self) -> None:
        """Leave the room and stop decoding. Any number of times."""
        for sid in list(self._readers):
            self._stop_reader(sid)
        for task in list(self._closing):
            await task
        if self._room is not None:
            await self._room.disconnect()
            self._room = None

    def _saw(self, kind: str, user_id: str = "", name: str = "") -> None:
        self.events.append(Seen(time.monotonic(), kind, user_id, name))
        self._changes.tell()

    def _on(self, kind: str, then: Callable[[Any, Any], None] | None = None) -> Callable[[Any, Any], None]:
        def handle(publication: Any, participant: Any) -> None:
            if then is not None:
                then(publication, participant)
            else:
                self._muted.pop((participant.identity, publication.name), None)
            self._saw(kind, participant.identity, publication.name)

        return handle

    def _published(self, publication: Any, participant: Any) -> None:
        self._muted[(participant.identity, publication.name)] = publication.muted

    def _mute(self, participant: Any, publication: Any, muted: bool) -> None:
        self._muted[(participant.identity, publication.name)] = muted
        self._saw("track_muted" if muted else "track_unmuted", participant.identity, publication.name)

    def _subscribed(self, track: Any, publication: Any, participant: Any) -> None:
        key = (participant.identity, publication.name)
        self._tracks[key] = track
        self._muted[key] = publication.muted
        if track.kind == rtc.TrackKind.KIND_VIDEO:
            stream = rtc.VideoStream(track)
            video = self.video(*key)
            video.sid = track.sid
            task = asyncio.get_running_loop().create_task(self._read(stream, video))
            self._readers[track.sid] = (stream, task)
        else:
            heard = self.heard(*key)
            heard.sid = track.sid
            audio = rtc.AudioStream(track, sample_rate=sound.RATE, num_channels=2)
            self._readers[track.sid] = (audio, asyncio.get_running_loop().create_task(self._listen(audio, heard)))
        self._saw("track_subscribed", *key)

    def _unsubscribed(self, track: Any, publication: Any, participant: Any) -> None:
        if track is not None:  # else it ended before it came
            self._stop_reader(track.sid)
        self._saw("track_unsubscribed", participant.identity, publication.name)

    def _stop_reader(self, sid: str) -> None:
        stream, task = self._readers.pop(sid, (None, None))
        if stream is not None and task is not None:

            async def close() -> None:
                await stream.aclose()
                task.cancel()

            closing = asyncio.get_running_loop().create_task(close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _read(self, stream: rtc.VideoStream, video: Video) -> None:
        async for event in stream:
            if event.frame.width <= BLANK_PIXELS:
                video.blank += 1
                continue
            video.arrivals.append(time.monotonic())
            video.frame = event.frame
            self._changes.tell()

    async def _listen(self, stream: rtc.AudioStream, heard: Sound) -> None:
        async for event in stream:
            heard.chunks.append(sound.from_s16(bytes(event.frame.data), channels=2))
            heard.sample_count += event.frame.samples_per_channel
            if sound.level(heard.chunks[-1][0]) > SILENT_DBFS:
                heard.loud_at.append(time.monotonic())
            self._changes.tell()
