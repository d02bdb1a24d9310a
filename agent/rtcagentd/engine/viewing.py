"""Which remote video somebody looks at, and how large: shared by what shows or records it and what receives it.

On the event loop only. Whoever shows asks with `look`; the engine receives what is looked at, in the layer that fits,
and hands the pictures to the taps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native


class StreamId(NamedTuple):
    """A stream of another user."""

    room_id: str
    user_id: str
    kind: "types.StreamKind.ValueType"
    name: str


@dataclass(frozen=True)
class RemoteVideo:
    """A video stream of another user, as its room has it now."""

    stream: StreamId
    is_subscribed: bool
    is_wanted: bool  # it is to be subscribed, by an order or by the room
    is_muted: bool


@dataclass(frozen=True)
class RemoteUser:
    """Another user of a room that the agent is in."""

    room_id: str
    user_id: str
    name: str  # to be shown
    is_speaking: bool
    videos: tuple[RemoteVideo, ...]


@dataclass(frozen=True)
class View:
    """One who looks: where the pictures go, and in which size they are shown."""

    tap: _native.VideoTap | _native.VideoRecordTap | _native.AudioRecordTap | None  # the last one of a stream of sound
    width: int = 0  # 0: as large as there is
    height: int = 0


class Viewing:
    """Listeners are called once for each change, and may not look themselves."""

    def __init__(self) -> None:
        self._views: dict[StreamId, dict[str, View]] = {}
        self._on_views: list[Callable[[StreamId], None]] = []
        self._on_streams: list[Callable[[], None]] = []

    def on_views(self, listener: Callable[[StreamId], None]) -> Callable[[], None]:
        """Call `listener` when who looks at a stream has changed; returns what ends that."""
        self._on_views.append(listener)
        return lambda: self._on_views.remove(listener)

    def on_streams(self, listener: Callable[[], None]) -> None:
        """Call `listener` when users or their streams may have changed."""
        self._on_streams.append(listener)

    def streams_changed(self) -> None:
        for listener in self._on_streams:
            listener()

    def look(self, stream: StreamId, viewer: str, view: View) -> None:
        """From now on `viewer` looks at the stream, whether it is there or not."""
        views = self._views.setdefault(stream, {})
        if views.get(viewer) != view:
            views[viewer] = view
            self._tell(stream)

    def look_away(self, stream: StreamId, viewer: str) -> None:
        views = self._views.get(stream, {})
        if views.pop(viewer, None) is not None:
            if not views:
                del self._views[stream]
            self._tell(stream)

    def views(self, stream: StreamId) -> Mapping[str, View]:
        return self._views.get(stream, {})

    def _tell(self, stream: StreamId) -> None:
        for listener in list(self._on_views):
            listener(stream)
