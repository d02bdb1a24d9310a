"""Where the streams of a recording are taken: at the sources, or as they are received from the rooms."""

from collections.abc import Callable

from rtcagent.v1 import state_pb2 as state
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native
from rtcagentd.engine.audio_sources import AudioSources
from rtcagentd.engine.media_events import MediaEvents
from rtcagentd.engine.sources import Sources
from rtcagentd.engine.viewing import StreamId, View, Viewing

VIDEO_KINDS = (types.STREAM_KIND_CAMERA, types.STREAM_KIND_SCREEN, types.STREAM_KIND_OTHER_VIDEO)
StreamKey = tuple[str, str, str, int, str]


def stream_key(stream: state.RecordedTrack) -> StreamKey:
    """What tells one recorded stream from every other."""
    return (stream.source_id, stream.room_id, stream.user_id, stream.kind, stream.name)


class RecordingTap:
    """One stream of a recording. `on_ready` is called at its first frame, and at the first one after a pause."""

    def __init__(
        self,
        recording_id: str,
        stream: state.RecordedTrack,
        sources: Sources,
        audio_sources: AudioSources,
        viewing: Viewing,
        media_events: MediaEvents,
        on_ready: Callable[[], None],
    ) -> None:
        self.stream = stream
        self.is_ready = False  # there is something to begin a track with
        self.is_attached = False
        self._viewer = f"recording {recording_id}"
        self._sources = sources
        self._audio_sources = audio_sources
        self._viewing = viewing
        self._media_events = media_events
        self._on_ready = on_ready
        self._key = media_events.listen(f"{self._viewer} {stream.source_id or stream.user_id}", self._on_event)
        self._video: _native.VideoRecordTap | None = None
        self._audio: _native.AudioRecordTap | None = None
        if stream.kind in VIDEO_KINDS:
            self._video = _native.VideoRecordTap(self._key, media_events.queue)
        else:
            self._audio = _native.AudioRecordTap(self._key, media_events.queue)

    def attach(self) -> None:
        """Frames come from now on."""
        if self.is_attached:
            return
        self.is_attached = True
        stream = self.stream
        if not stream.source_id:
            self._viewing.look(self._remote(), self._viewer, View(self._video or self._audio))
        elif self._video is not None:
            self._sources.attach(stream.source_id, self._video)
        elif self._audio is not None:
            self._audio_sources.attach(stream.source_id, self._audio)

    def detach(self) -> None:
        """No more frames; the last picture does not stand for the stream any more."""
        if not self.is_attached:
            return
        self.is_attached = False
        stream = self.stream
        if not stream.source_id:
            self._viewing.look_away(self._remote(), self._viewer)
        elif self._video is not None:
            self._sources.detach(stream.source_id, self._video)
        elif self._audio is not None:
            self._audio_sources.detach(stream.source_id, self._audio)
        self._forget()

    def source_changed(self) -> None:
        """A source was opened or closed. The last picture of a camera that is closed is not gone on with."""
        source_id = self.stream.source_id
        if source_id and self._video is not None and not self._sources.is_capturing(source_id):
            self._forget()

    def close(self) -> None:
        self.detach()
        self._media_events.forget(self._key)

    def spec(self) -> _native.RecordedTrackSpec:
        """Its track in a file."""
        tap = self._video or self._audio
        assert tap is not None
        stream = self.stream
        kind = types.StreamKind.Name(stream.kind).removeprefix("STREAM_KIND_")
        tags = [("ROOM", stream.room_id), ("USER", stream.user_id), ("KIND", kind), ("NAME", stream.name)]
        tags.append(("SOURCE", stream.source_id))
        return _native.RecordedTrackSpec(tap, title(stream), [(name, value) for name, value in tags if value])

    def _remote(self) -> StreamId:
        stream = self.stream
        return StreamId(stream.room_id, stream.user_id, stream.kind, stream.name)

    def _forget(self) -> None:
        if self._video is not None:
            self.is_ready = False
            self._video.forget_newest()

    def _on_event(self, event: _native.Event) -> None:
        if event.kind == "first_frame" and self.is_attached:
            self.is_ready = True
            self._on_ready()


def title(stream: state.RecordedTrack) -> str:
    """For people: "ann: camera front (room lobby)"."""
    kind = types.StreamKind.Name(stream.kind).removeprefix("STREAM_KIND_").lower().replace("_", " ")
    if not stream.room_id:
        return f"{stream.source_id}: {kind} (this machine)"
    name = "" if stream.name == kind.replace(" ", "_") else f" {stream.name}"
    return f"{stream.user_id}: {kind}{name} (room {stream.room_id})"
