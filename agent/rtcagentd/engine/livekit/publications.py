"""The agent's own streams in one room: a video source and a track for each, fed natively through a valve."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from livekit import rtc
from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import capture_pb2 as capture
from rtcagent.v1 import state_pb2 as state
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native
from rtcagentd.engine.audio_sources import AudioSources
from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.events import Events
from rtcagentd.engine.gate import Gate, Valve
from rtcagentd.engine.livekit import audio_encoding, encoding, errors, ffi
from rtcagentd.engine.livekit.audio_publication import AudioPublication
from rtcagentd.engine.media_events import MediaEvents
from rtcagentd.engine.sources import Sources

log = logging.getLogger(__name__)

PUBLISH_DEADLINE_S = 7.0
UNPUBLISH_DEADLINE_S = 4.0


class Publication:
    """One own stream, from its first frame path to its end."""

    def __init__(
        self,
        request: contract.PublishRequest,
        gate: Gate,
        sources: Sources,
        media_events: MediaEvents,
        events: Events,
        before: "Publication | None",
    ) -> None:
        """`before`: the stream that this one takes the place of, with another encoding."""
        self.request = request
        self.muted = request.muted
        self.published: rtc.LocalTrackPublication | None = None
        self.coder, self.is_hardware = "", False  # who encodes, kept by the media watch
        self._gap_began_at = before.last_sent_at() if before is not None and not before.muted else None
        self.media_state: state.MediaState.ValueType = state.MEDIA_STATE_UNSPECIFIED  # kept by the media watch
        self._sources = sources
        self._media_events = media_events
        self._events = events
        self._first_frame: _native.Event | None = None
        size = encoding.complete_format(request.format, sources.format_of(request.source_id))
        is_screen = request.kind == types.STREAM_KIND_SCREEN
        self._size = encoding.room_to_grow(size) if is_screen else size
        self.encoder = encoding.complete_encoder(request.encoder, self._size)
        self.options = encoding.publish_options(self.encoder, request)
        self._video_source = rtc.VideoSource(size.width, size.height, is_screencast=is_screen)
        self.track = rtc.LocalVideoTrack.create_video_track(request.name or request.source_id, self._video_source)
        self._key = media_events.listen(f"{request.room_id}/{request.source_id}", self._on_media_event)
        self._sink = _native.FrameSink(
            self._key, ffi.load().entry, self._video_source._ffi_handle.handle, media_events.queue
        )
        self.valve = Valve(gate, request.room_id, request.source_id, self._sink, muted=request.muted)
        self._is_fed = False

    @property
    def frames_pushed(self) -> int:
        """Frames handed to the encoder so far, those of the slate with them."""
        stats = self._sink.stats()
        return stats.frames_pushed + stats.slate_frames_pushed

    def last_sent_at(self) -> float | None:
        """When the last frame was handed to the encoder, on the monotonic clock."""
        stats = self._sink.stats()
        return stats.last_pushed_us / 1e6 if stats.last_pushed_us else None

    @property
    def shows_slate(self) -> bool:
        """Whether its frames are those of the slate now."""
        return self._sources.slates.is_shown(self.request.source_id)

    def is_as(self, request: contract.PublishRequest) -> bool:
        """Whether `request` asks for this very stream, its mute aside."""
        mine = self.request
        return (mine.kind, mine.name, mine.encoder) == (request.kind, request.name, request.encoder)

    def feed(self) -> None:
        """Let frames come, as far as the valve allows; before publishing, so that the encoder need not wait."""
        if self.muted:
            self.track.mute()
        self._sources.attach(self.request.source_id, self._sink)
        self._is_fed = True
        self.valve.apply()

    def set_published(self, published: rtc.LocalTrackPublication) -> None:
        self.published = published
        self._tell_first_frame()

    def set_muted(self, muted: bool) -> None:
        if muted == self.muted:
            return
        self.muted = muted
        if muted:  # first the frames, then the news of it
            self.valve.set_muted(True)
            self.track.mute()
        else:
            self.track.unmute()
            self.valve.set_muted(False)

    def close(self) -> None:
        """No frame leaves after this. Any number of times."""
        self.valve.release()
        if self._is_fed:
            self._sources.detach(self.request.source_id, self._sink)
            self._is_fed = False
        self._media_events.forget(self._key)

    def dispose(self) -> None:
        """Give up the SDK's objects, once the room has let go of the track."""
        self.close()
        self._video_source._ffi_handle.dispose()
        self.track._ffi_handle.dispose()
        if self.published is not None:
            self.published._ffi_handle.dispose()

    def status(self) -> state.PublicationStatus:
        return state.PublicationStatus(
            room_id=self.request.room_id,
            source_id=self.request.source_id,
            state=state.PUBLICATION_STATE_PUBLISHED if self.published else state.PUBLICATION_STATE_PUBLISHING,
            muted=self.muted,
            kind=self.request.kind or types.STREAM_KIND_CAMERA,
            name=self.request.name or self.request.source_id,
            encoder=self.encoder,
            first_frame_sent=self._first_frame is not None,
            media_state=self.media_state,
            coder=self.coder,
            hardware=self.is_hardware,
            width=self._size.width,
            height=self._size.height,
        )

    def stats(self) -> capture.PublicationStats:
        stats = self._sink.stats()
        return capture.PublicationStats(
            room_id=self.request.room_id,
            source_id=self.request.source_id,
            frames_pushed=stats.frames_pushed,
            frames_gated=stats.frames_gated,
            longest_gap_us=stats.longest_gap_us,
            slate_frames_pushed=stats.slate_frames_pushed,
        )

    def _on_media_event(self, event: _native.Event) -> None:
        if event.kind == "first_frame" and self._first_frame is None:
            self._first_frame = event
            self._tell_first_frame()
        elif event.kind == "failed":
            log.warning("frames of %s do not reach the encoder: %s", event.key, event.message)
            cause = types.Cause(reason=types.REASON_INTERNAL, message=event.message)
            self._events.emit(contract.EngineEvent(warning=contract.Warning(cause=cause)))

    def _tell_first_frame(self) -> None:
        # Frames may reach the encoder before the room has the track; then they are sent from then on.
        if self._first_frame is None or self.published is None:
            return
        event = contract.FirstFrameSent(
            room_id=self.request.room_id,
            source_id=self.request.source_id,
            width=self._first_frame.width,
            height=self._first_frame.height,
        )
        self._events.emit(contract.EngineEvent(first_frame_sent=event))
        if self._gap_began_at is not None:
            gap_ms = round((time.monotonic() - self._gap_began_at) * 1000)
            log.info("%s was published anew in %s, after %d ms", event.source_id, event.room_id, gap_ms)
            again = contract.StreamRepublished(room_id=event.room_id, source_id=event.source_id, gap_ms=gap_ms)
            self._events.emit(contract.EngineEvent(stream_republished=again))
            self._gap_began_at = None


AnyPublication: TypeAlias = Publication | AudioPublication


class Publications:
    """Of one room, by source_id. At most one call at a time for each source."""

    def __init__(
        self,
        room: rtc.Room,
        gate: Gate,
        sources: Sources,
        audio_sources: AudioSources,
        media_events: MediaEvents,
        events: Events,
    ) -> None:
        self._room = room
        self._gate = gate
        self._sources = sources
        self._audio_sources = audio_sources
        self._media_events = media_events
        self._events = events
        self._publications: dict[str, AnyPublication] = {}
        loop = asyncio.get_running_loop()
        self._room_over: asyncio.Future[Any] = loop.create_future()
        self._disconnected: asyncio.Future[Any] = loop.create_future()
        self._calls: set[asyncio.Future[Any]] = set()  # to the room, under way
        self._withdrawing: set[asyncio.Task[None]] = set()  # of what the agent gave up
        self.on_change: Callable[[], None] = lambda: None  # what is published, or muted
        self.changed_at = -math.inf  # when a track was last added or removed, on the event loop's clock

    async def publish(self, request: contract.PublishRequest) -> state.PublicationStatus:
        """Send the source into the room; another encoder, kind or name than before publishes again."""
        with self._call():
            return await self._publish(request)

    async def _publish(self, request: contract.PublishRequest) -> state.PublicationStatus:
        encoding.track_source(request.kind)
        current = self._publications.get(request.source_id)
        if current is not None and current.published and current.is_as(request) and not request.anew:
            current.set_muted(request.muted)
            return current.status()
        self._check_permission(request)
        await self.unpublish(request.source_id)
        if self._room_over.done():
            raise EngineError(types.REASON_ROOM_NOT_JOINED, "the room ended while publishing")
        publication = self._make(request, current)
        self._publications[request.source_id] = publication
        publishing: asyncio.Future[Any] = asyncio.ensure_future(
            self._room.local_participant.publish_track(publication.track, publication.options)
        )
        try:
            publication.feed()
            done, _ = await asyncio.wait(
                [publishing, self._room_over], timeout=PUBLISH_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if publishing in done:
                publication.set_published(publishing.result())
            elif self._room_over in done:
                raise EngineError(types.REASON_ROOM_NOT_JOINED, "the room ended while publishing")
            else:
                raise EngineError(types.REASON_TIMEOUT, f"the room did not take it within {PUBLISH_DEADLINE_S:g} s")
        except rtc.participant.PublishTrackError as error:
            self._drop(publication)
            raise errors.publish_error(error.message) from None
        except BaseException:
            publication.close()
            await self._undo(publication, publishing)
            raise
        finally:
            self.changed_at = asyncio.get_running_loop().time()
        log.info("%s is published in %s", request.source_id, request.room_id)
        self.on_change()
        return publication.status()

    async def unpublish(self, source_id: str) -> None:
        """Take the stream out of the room. Its frames have stopped before the room is asked."""
        publication = self._publications.pop(source_id, None)
        if publication is None:
            return
        publication.close()
        with self._call():
            await self._withdraw(publication)
        publication.dispose()
        log.info("%s is no longer published in %s", source_id, publication.request.room_id)
        self.on_change()

    def set_muted(self, source_id: str, muted: bool) -> None:
        publication = self._publications.get(source_id)
        if publication is None or publication.published is None:
            raise EngineError(types.REASON_STREAM_NOT_PUBLISHED, f"{source_id} is not published in this room")
        publication.set_muted(muted)
        self.on_change()

    def on_unpublished(self, published: rtc.LocalTrackPublication) -> None:
        """The room says that a track of ours is gone. What we withdrew ourselves is not in the table any more."""
        for source_id, publication in list(self._publications.items()):
            if publication.published is published and not self._room_over.done():
                self._drop(publication)
                error = EngineError(types.REASON_SERVER_ERROR, f"the room ended the stream {source_id}")
                event = contract.PublicationEnded(
                    room_id=publication.request.room_id, source_id=source_id, failure=error.failure()
                )
                self._events.emit(contract.EngineEvent(publication_ended=event))

    def published(self) -> set[AnyPublication]:
        """Those that the room has taken."""
        return {publication for publication in self._publications.values() if publication.published is not None}

    def give_up(self, publication: AnyPublication) -> None:
        """End a stream whose frames do not get through: publishing it anew makes a new encoder and a new track."""
        source_id = publication.request.source_id
        if self._publications.get(source_id) is not publication or self._room_over.done():
            return
        del self._publications[source_id]
        publication.close()
        task = asyncio.create_task(self._withdraw_given_up(publication), name=f"withdraw {source_id}")
        self._withdrawing.add(task)
        task.add_done_callback(self._withdrawing.discard)

    async def _withdraw_given_up(self, publication: AnyPublication) -> None:
        source_id = publication.request.source_id
        with self._call():
            await self._withdraw(publication)
        publication.dispose()
        if self._room_over.done():
            return
        error = EngineError(types.REASON_MEDIA_STALLED, f"frames of {source_id} do not get through; it is sent anew")
        event = contract.PublicationEnded(
            room_id=publication.request.room_id, source_id=source_id, failure=error.failure()
        )
        self._events.emit(contract.EngineEvent(publication_ended=event))

    def on_muted_by_room(self, published: rtc.TrackPublication) -> None:
        """An administrator muted a stream of ours. It stays so until a controller orders otherwise."""
        for source_id, publication in self._publications.items():
            if publication.published is published and not publication.muted:
                publication.set_muted(True)
                message = f"the room's administrator muted {source_id} in {publication.request.room_id}"
                cause = types.Cause(reason=types.REASON_NO_PERMISSION, message=message)
                self._events.emit(contract.EngineEvent(warning=contract.Warning(cause=cause)))

    def statuses(self) -> list[state.PublicationStatus]:
        return [publication.status() for _, publication in sorted(self._publications.items()) if publication.published]

    def stats(self) -> list[capture.PublicationStats]:
        return [publication.stats() for _, publication in sorted(self._publications.items())]

    def close_frames(self) -> None:
        """No frame goes into this room after this; publishing that is under way fails."""
        if not self._room_over.done():
            self._room_over.set_result(None)
        for publication in self._publications.values():
            publication.close()

    async def withdraw_all(self) -> None:
        """Take everything out of the room, also what is being published. After `close_frames`, before disconnecting.

        A track whose publishing ends after that has handles in the SDK that nobody knows, and a room that is left with
        a track in it soon after publishing keeps its threads and encoders for ever (livekit 1.2.1: 1 MB, 5 threads).
        """
        while self._calls:
            await asyncio.wait(set(self._calls))
        await asyncio.gather(*(self._withdraw(publication) for publication in self._publications.values()))

    def dispose(self) -> None:
        """Once the room is disconnected."""
        if not self._disconnected.done():
            self._disconnected.set_result(None)
        for publication in list(self._publications.values()):
            self._drop(publication)

    def _make(self, request: contract.PublishRequest, before: AnyPublication | None) -> AnyPublication:
        if not audio_encoding.is_audio(request.kind):
            video = before if isinstance(before, Publication) else None
            return Publication(request, self._gate, self._sources, self._media_events, self._events, video)
        before = before if isinstance(before, AudioPublication) else None
        return AudioPublication(request, self._gate, self._audio_sources, self._media_events, self._events, before)

    def _check_permission(self, request: contract.PublishRequest) -> None:
        permission = self._room.local_participant.permissions
        allowed = list(permission.can_publish_sources)
        if permission.can_publish and (not allowed or encoding.track_source(request.kind) in allowed):
            return
        raise EngineError(types.REASON_NO_PERMISSION, "the room token does not allow publishing this kind of stream")

    async def _undo(self, publication: AnyPublication, publishing: asyncio.Future[Any]) -> None:
        # The SDK cannot take a publish request back: let it end, then withdraw the track.
        done, _ = await asyncio.wait(
            [publishing, self._disconnected], timeout=UNPUBLISH_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED
        )
        if publishing in done and not publishing.cancelled() and publishing.exception() is None:
            publication.published = publishing.result()
            await self._withdraw(publication)
        publishing.cancel()
        self._drop(publication)

    async def _withdraw(self, publication: AnyPublication) -> None:
        if publication.published is None or self._disconnected.done():
            return
        try:
            async with asyncio.timeout(UNPUBLISH_DEADLINE_S):
                await self._room.local_participant.unpublish_track(publication.published.sid)
        except (rtc.participant.UnpublishTrackError, TimeoutError) as error:
            # Without frames in any case, and the room forgets it when the agent leaves.
            log.warning("%s was not withdrawn cleanly: %r", publication.request.source_id, error)
        self.changed_at = asyncio.get_running_loop().time()

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        """Marks a block with calls to the room: a room that answers is not disconnected before they are over."""
        under_way: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls.add(under_way)
        try:
            yield
        finally:
            self._calls.discard(under_way)
            under_way.set_result(None)

    def _drop(self, publication: AnyPublication) -> None:
        if self._publications.get(publication.request.source_id) is publication:
            del self._publications[publication.request.source_id]
        publication.dispose()
