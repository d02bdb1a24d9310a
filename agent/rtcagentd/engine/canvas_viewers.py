"""The taps between streams and canvases: one for each canvas and tile, kept for as long as it shows the same stream."""

from collections.abc import Callable, Collection
from typing import NamedTuple

from rtcagent.engine.v1 import engine_pb2 as contract

from rtcagentd.engine import _native
from rtcagentd.engine.events import Events
from rtcagentd.engine.media_events import MediaEvents
from rtcagentd.engine.sources import Sources
from rtcagentd.engine.viewing import StreamId, View, Viewing


class Local(NamedTuple):
    """An own source."""

    source_id: str


Content = Local | StreamId


class Viewer:
    """One who looks at a stream."""

    def __init__(self, content: Content, tap: _native.VideoTap, key: str, canvas_id: str) -> None:
        self.content = content
        self.tap = tap
        self.key = key
        self.canvas_id = canvas_id
        self.is_shown = False  # a picture of it has come onto a display
        self.size = (0, 0)  # of its pictures

    def clear(self) -> None:
        """There is nothing to show now."""
        if self.is_shown:
            self.is_shown = False
            self.tap.clear()


class Viewers:
    """All viewers by name. `on_shown` is called when one has its first picture on a display."""

    def __init__(
        self,
        sources: Sources,
        viewing: Viewing,
        media_events: MediaEvents,
        events: Events,
        on_shown: Callable[[], None],
    ) -> None:
        self._sources = sources
        self._viewing = viewing
        self._media_events = media_events
        self._events = events
        self._on_shown = on_shown
        self._viewers: dict[str, Viewer] = {}
        self._sizes: dict[StreamId, tuple[int, int]] = {}

    def look(self, name: str, content: Content, width: int, height: int, *, canvas_id: str = "") -> Viewer:
        """The viewer of this name, which looks at `content` from now on."""
        viewer = self._viewers.get(name)
        if viewer is not None and viewer.content != content:
            self._drop(name)
            viewer = None
        if viewer is None:
            viewer = self._make(name, content, canvas_id)
        if isinstance(content, StreamId):
            self._viewing.look(content, name, View(viewer.tap, width, height))
        return viewer

    def keep(self, names: Collection[str]) -> None:
        """Let all others go."""
        for name in [name for name in self._viewers if name not in names]:
            self._drop(name)

    def _make(self, name: str, content: Content, canvas_id: str) -> Viewer:
        key = self._media_events.listen(f"canvas {name}", lambda event: self._on_event(name, event))
        viewer = Viewer(content, _native.VideoTap(key, self._media_events.queue), key, canvas_id)
        self._viewers[name] = viewer
        if isinstance(content, Local):
            self._sources.attach(content.source_id, viewer.tap)
        return viewer

    def _drop(self, name: str) -> None:
        viewer = self._viewers.pop(name)
        self._media_events.forget(viewer.key)
        if isinstance(viewer.content, Local):
            self._sources.detach(viewer.content.source_id, viewer.tap)
        else:
            self._viewing.look_away(viewer.content, name)
            if not self._viewing.views(viewer.content):
                self._sizes.pop(viewer.content, None)

    def _on_event(self, name: str, event: _native.Event) -> None:
        viewer = self._viewers[name]
        viewer.size = (event.width, event.height)
        if isinstance(viewer.content, StreamId):
            self._tell(viewer, viewer.content, event)
        if event.kind == "first_frame":
            viewer.is_shown = True
            self._on_shown()

    def _tell(self, viewer: Viewer, stream: StreamId, event: _native.Event) -> None:
        room_id, user_id, kind, name = stream
        known = self._sizes.get(stream)
        self._sizes[stream] = (event.width, event.height)
        if event.kind == "first_frame":
            first = contract.FirstRemoteFrame(
                room_id=room_id, user_id=user_id, kind=kind, name=name, canvas_id=viewer.canvas_id
            )
            first.width, first.height = event.width, event.height
            self._events.emit(contract.EngineEvent(first_remote_frame=first))
        elif known != (event.width, event.height):
            changed = contract.RemoteSizeChanged(room_id=room_id, user_id=user_id, kind=kind, name=name)
            changed.width, changed.height = event.width, event.height
            self._events.emit(contract.EngineEvent(remote_size_changed=changed))
