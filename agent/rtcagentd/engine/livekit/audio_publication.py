"""One own stream of sound, from its first frame path to its end. Used like publications.Publication."""

import logging
import time

from livekit import rtc
from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import capture_pb2 as capture
from rtcagent.v1 import state_pb2 as state
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native
from rtcagentd.engine.audio_sources import AudioSources
from rtcagentd.engine.events import Events
from rtcagentd.engine.gate import Gate, Valve
from rtcagentd.engine.livekit import audio_encoding, ffi
from rtcagentd.engine.media_events import MediaEvents

log = logging.getLogger(__name__)

RATE = 48_000


class AudioPublication:
    """`before`: the stream that this one takes the place of, with another encoding."""

    shows_slate = False

    def __init__(
        self,
        request: contract.PublishRequest,
        gate: Gate,
        sources: AudioSources,
        media_events: MediaEvents,
        events: Events,
        before: "AudioPublication | None",
    ) -> None:
        self.request = request
        self.muted = request.muted
        self.published: rtc.LocalTrackPublication | None = None
        self.media_state: state.MediaState.ValueType = state.MEDIA_STATE_UNSPECIFIED  # kept by the media watch
        self._sources = sources
        self._media_events = media_events
        self._events = events
        self._begun_at: float | None = None  # when its first frame was handed on
        self._gap_began_at = before.last_sent_at() if before is not None and not before.muted else None
        self._encoding = audio_encoding.encoding_of(request.audio_profile)
        self.options = audio_encoding.publish_options(self._encoding, request.kind)
        # Without a queue of its own: each frame goes to the encoder as it comes.
        self._audio_source = rtc.AudioSource(RATE, self._encoding.channels, queue_size_ms=0)
        self.track = rtc.LocalAudioTrack.create_audio_track(request.name or request.source_id, self._audio_source)
        self._key = media_events.listen(f"{request.room_id}/{request.source_id}", self._on_media_event)
        self._sink = _native.AudioSink(
            self._key,
            ffi.load().entry,
            self._audio_source._ffi_handle.handle,
            self._encoding.channels,
            media_events.queue,
        )
        self.valve = Valve(gate, request.room_id, request.source_id, self._sink, muted=request.muted)
        self._is_fed = False

    @property
    def frames_pushed(self) -> int:
        """Frames handed to the encoder so far."""
        return self._sink.stats().frames_pushed

    def last_sent_at(self) -> float | None:
        """When the last frame was handed to the encoder, on the monotonic clock."""
        stats = self._sink.stats()
        return stats.last_pushed_us / 1e6 if stats.last_pushed_us else None

    def is_as(self, request: contract.PublishRequest) -> bool:
        """Whether `request` asks for this very stream, its mute aside."""
        mine = self.request
        return (mine.kind, mine.name, mine.audio_profile) == (request.kind, request.name, request.audio_profile)

    def feed(self) -> None:
        """Let sound come, as far as the valve allows; before publishing, so that the encoder need not wait."""
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
        if muted:  # first the sound, then the news of it
            self.valve.set_muted(True)
            self.track.mute()
        else:
            self.track.unmute()
            self.valve.set_muted(False)

    def close(self) -> None:
        """No sound leaves after this. Any number of times."""
        self.valve.release()
        if self._is_fed:
            self._sources.detach(self.request.source_id, self._sink)
            self._is_fed = False
        self._media_events.forget(self._key)

    def dispose(self) -> None:
        """Give up the SDK's objects, once the room has let go of the track."""
        self.close()
        self._audio_source._ffi_handle.dispose()
        self.track._ffi_handle.dispose()
        if self.published is not None:
            self.published._ffi_handle.dispose()

    def status(self) -> state.PublicationStatus:
        return state.PublicationStatus(
            room_id=self.request.room_id,
            source_id=self.request.source_id,
            state=state.PUBLICATION_STATE_PUBLISHED if self.published else state.PUBLICATION_STATE_PUBLISHING,
            muted=self.muted,
            kind=self.request.kind,
            name=self.request.name or self.request.source_id,
            audio=self._encoding,
            first_frame_sent=self._begun_at is not None,
            media_state=self.media_state,
        )

    def stats(self) -> capture.PublicationStats:
        stats = self._sink.stats()
        return capture.PublicationStats(
            room_id=self.request.room_id,
            source_id=self.request.source_id,
            frames_pushed=stats.frames_pushed,
            frames_gated=stats.frames_gated,
            longest_gap_us=stats.longest_gap_us,
        )

    def _on_media_event(self, event: _native.Event) -> None:
        if event.kind == "first_frame" and self._begun_at is None:
            self._begun_at = time.monotonic()
            self._tell_first_frame()
        elif event.kind == "failed":
            log.warning("sound of %s does not reach the encoder: %s", event.key, event.message)
            cause = types.Cause(reason=types.REASON_INTERNAL, message=event.message)
            self._events.emit(contract.EngineEvent(warning=contract.Warning(cause=cause)))

    def _tell_first_frame(self) -> None:
        # Sound may reach the encoder before the room has the track; then it is sent from then on.
        if self._begun_at is None or self.published is None:
            return
        first = contract.FirstFrameSent(room_id=self.request.room_id, source_id=self.request.source_id)
        self._events.emit(contract.EngineEvent(first_frame_sent=first))
        if self._gap_began_at is not None:
            gap_ms = round((time.monotonic() - self._gap_began_at) * 1000)
            log.info("%s was published anew in %s, after %d ms", first.source_id, first.room_id, gap_ms)
            again = contract.StreamRepublished(room_id=first.room_id, source_id=first.source_id, gap_ms=gap_ms)
            self._events.emit(contract.EngineEvent(stream_republished=again))
            self._gap_began_at = None
