"""Watches one room's media: whether anything comes back from the server, and how far each own stream's frames get.

The SDK by itself takes about 15 s to notice a dead link, and never looks whether frames arrive. What is to be done
about it is the daemon's to decide.
"""

import asyncio
import logging
from collections.abc import Callable

from livekit import rtc
from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import state_pb2 as state

from rtcagentd.engine.events import Events
from rtcagentd.engine.livekit import media_stats
from rtcagentd.engine.livekit.media_judges import LinkJudge, StreamJudge
from rtcagentd.engine.livekit.publications import AnyPublication, Publication, Publications

log = logging.getLogger(__name__)

LOOK_S = 0.4
LATE_S = 1.0  # a look so much later than planned says that this process, or the whole machine, stood still
STREAM_LOOKS = 2  # every so many looks, streams are looked at too


class MediaWatch:
    """Of one joined room, until `close`. `on_link` is told each change: whether the connection carries anything."""

    def __init__(
        self, room_id: str, room: rtc.Room, publications: Publications, events: Events, on_link: Callable[[bool], None]
    ) -> None:
        self._room_id = room_id
        self._room = room
        self._publications = publications
        self._events = events
        self._on_link = on_link
        self._streams: dict[AnyPublication, _WatchedStream] = {}
        self._is_alive = True
        self._task = asyncio.create_task(self._run(), name=f"media watch {room_id}")

    @property
    def is_alive(self) -> bool:
        """Whether the connection carries something, as far as is known."""
        return self._is_alive

    def close(self) -> None:
        """No look at the SDK's objects after this."""
        self._task.cancel()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        judge = LinkJudge(loop.time())
        looks = 0
        while True:
            planned = loop.time() + LOOK_S
            await asyncio.sleep(LOOK_S)
            now = loop.time()
            if now - planned > LATE_S:
                log.info("the engine stood still for %.1f s", now - planned)
                judge.pause(now)
                self._streams.clear()
            looks += 1
            try:
                await self._look_at_link(judge, now)
                if looks % STREAM_LOOKS == 0:
                    await self._look_at_streams()
            except Exception:
                log.exception("looking at the media of %s failed; it is looked at again", self._room_id)

    async def _look_at_link(self, judge: LinkJudge, now: float) -> None:
        handle = self._room._ffi_handle
        reading = await media_stats.read_room(handle.handle) if handle is not None else None
        if reading is not None:
            self._tell_link(judge.observe(now, reading))

    def _tell_link(self, is_alive: bool) -> None:
        if is_alive != self._is_alive:
            self._is_alive = is_alive
            for publication, watched in self._streams.items():
                if not is_alive and watched.told in (
                    state.MEDIA_STATE_LIVE,
                    state.MEDIA_STATE_SLATE,
                ):
                    self._tell_stream(publication, watched, state.MEDIA_STATE_STALLED)
            self._on_link(is_alive)

    async def _look_at_streams(self) -> None:
        published = self._publications.published()
        for gone in self._streams.keys() - published:
            del self._streams[gone]
        now = asyncio.get_running_loop().time()
        for publication in published:
            if publication not in self._publications.published():
                continue  # it ended while another one was looked at
            watched = self._streams.setdefault(publication, _WatchedStream(now))
            if not self._is_alive:  # the streams are not what is to be repaired
                watched.judge = StreamJudge(now)
                continue
            if publication.muted:
                watched.judge = StreamJudge(now)
                self._tell_stream(publication, watched, state.MEDIA_STATE_UNSPECIFIED)
                continue
            reading = await media_stats.read_publication(publication.track._ffi_handle.handle)
            found = watched.judge.observe(now, publication.frames_pushed, reading)
            if reading is not None and isinstance(publication, Publication):
                self._tell_coder(publication, reading.coder, reading.is_hardware)
            if found == state.MEDIA_STATE_LIVE and publication.shows_slate:
                found = state.MEDIA_STATE_SLATE
            if found != state.MEDIA_STATE_UNSPECIFIED:
                self._tell_stream(publication, watched, found)
            if found == state.MEDIA_STATE_STALLED:
                self._publications.give_up(publication)

    def _tell_stream(
        self, publication: AnyPublication, watched: "_WatchedStream", found: state.MediaState.ValueType
    ) -> None:
        if found == watched.told:
            return
        watched.told = publication.media_state = found
        event = contract.MediaStateChanged(
            room_id=self._room_id, source_id=publication.request.source_id, media_state=found
        )
        self._events.emit(contract.EngineEvent(media_state_changed=event))

    def _tell_coder(self, publication: Publication, coder: str, is_hardware: bool) -> None:
        if not coder or coder == publication.coder:
            return
        publication.coder, publication.is_hardware = coder, is_hardware
        source_id = publication.request.source_id
        event = contract.EncoderChanged(room_id=self._room_id, source_id=source_id, coder=coder, hardware=is_hardware)
        self._events.emit(contract.EngineEvent(encoder_changed=event))


class _WatchedStream:
    def __init__(self, now: float) -> None:
        self.judge = StreamJudge(now)
        self.told: state.MediaState.ValueType = state.MEDIA_STATE_UNSPECIFIED
