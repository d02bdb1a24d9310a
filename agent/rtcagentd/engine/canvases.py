"""What the displays show: the canvases that were ordered, and the default layout where there are none.

Each change of orders, displays, streams or sources leads to the same computation: which canvas has what it needs, and
what the scene is. Drawing is native, see bindings/media/canvas_stage.h.
"""

import asyncio
import logging
from collections.abc import Callable, Collection

from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import state_pb2 as state
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native, screens
from rtcagentd.engine.canvas_viewers import Local, Viewers
from rtcagentd.engine.events import Events
from rtcagentd.engine.layout_scene import scene
from rtcagentd.engine.media_events import MediaEvents
from rtcagentd.engine.shared_displays import shared_displays
from rtcagentd.engine.sources import Sources
from rtcagentd.engine.stage import Stage
from rtcagentd.engine.viewing import RemoteUser, RemoteVideo, StreamId, Viewing

log = logging.getLogger(__name__)

_FIT = {
    types.FIT_MODE_UNSPECIFIED: "fit",
    types.FIT_MODE_FIT: "fit",
    types.FIT_MODE_FILL: "fill",
    types.FIT_MODE_STRETCH: "stretch",
}

Judged = tuple[state.CanvasStatus, "_native.CanvasSpec | None"]


class Canvases:
    """On the event loop only."""

    def __init__(
        self,
        wayland: str,
        x11: str,
        sources: Sources,
        viewing: Viewing,
        users: Callable[[], list[RemoteUser]],
        media_events: MediaEvents,
        events: Events,
    ) -> None:
        self._sources = sources
        self._users = users
        self._events = events
        self._stage = Stage(wayland, x11, media_events, self._changed)
        self._viewers = Viewers(sources, viewing, media_events, events, self._changed)
        self._canvases: dict[str, types.CanvasConfig] = {}
        self._told: dict[str, state.CanvasStatus] = {}
        self._displays_told = state.DisplayStatus()
        self._layout = contract.SetLayoutRequest()
        self._with_layout: set[str] = set()
        self._shared: dict[str, str] = {}  # displays that would have it, were they not shared, and by which source
        self._due: asyncio.Handle | None = None
        viewing.on_streams(self._changed)
        sources.on_change(self._changed)

    def start(self) -> None:
        self._stage.start()

    async def wait_known(self, timeout_s: float) -> None:
        """Return when it is known which displays there are."""
        await self._stage.wait_asked(timeout_s)

    def displays(self) -> state.DisplayStatus:
        """The displays as last told."""
        self._displays_told = self._display_status()
        return self._displays_told

    def set(self, canvas_id: str, config: types.CanvasConfig) -> state.CanvasStatus:
        """Show the canvas so; its state as of now."""
        self._canvases[canvas_id] = config
        self._told.pop(canvas_id, None)
        self._refresh()
        return self._told[canvas_id]

    def remove(self, canvas_id: str) -> None:
        if self._canvases.pop(canvas_id, None) is not None:
            self._told.pop(canvas_id, None)
            self._refresh()

    def set_layout(self, request: contract.SetLayoutRequest) -> None:
        self._layout = request
        self._refresh()

    def stats(self) -> "_native.StageStats | None":
        return self._stage.stats()

    async def close(self) -> None:
        self._canvases.clear()
        self._layout = contract.SetLayoutRequest()
        self._viewers.keep(set())
        await self._stage.close()
        if self._due is not None:
            self._due.cancel()

    def _changed(self) -> None:
        """Look at everything anew, once for all that happens in this turn of the loop."""
        if self._due is None:
            self._due = asyncio.get_running_loop().call_soon(self._refresh)

    def _refresh(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        users = self._users()
        videos = {video.stream: video for user in users for video in user.videos}
        room_ids = {user.room_id for user in users}
        wanted: set[str] = set()
        specs: list[_native.CanvasSpec] = []
        taken: set[str] = set()
        for canvas_id, config in sorted(self._canvases.items(), key=lambda item: (item[1].place.z, item[0])):
            status, spec = self._judge(canvas_id, config, videos, room_ids)
            if status.display:
                taken.add(status.display)
            if spec is not None:
                specs.append(spec)
                wanted.add(canvas_id)
            if canvas_id not in self._told:
                self._told[canvas_id] = status
            elif self._told[canvas_id] != status:
                self._told[canvas_id] = status
                self._events.emit(contract.EngineEvent(canvas_changed=contract.CanvasChanged(canvas=status)))
        self._with_layout = set()
        self._shared = {}
        shared = shared_displays(self._stage.displays, self._sources.opened(), is_chosen_by_person=screens.is_wayland())
        for info in self._stage.displays:
            if users and info.display_id not in taken and self._may_lay_out(info.display_id):
                if source_id := shared.get(info.display_id):
                    self._shared[info.display_id] = source_id
                    continue
                self._with_layout.add(info.display_id)
                tiles, viewers = scene(info, users, self._viewers)
                specs += tiles
                wanted |= viewers
        self._viewers.keep(wanted)
        self._stage.show(specs)
        displays = self._display_status()
        if displays != self._displays_told:
            self._displays_told = displays
            self._events.emit(contract.EngineEvent(displays_changed=contract.DisplaysChanged(displays=displays)))

    def _display_status(self) -> state.DisplayStatus:
        status = self._stage.status()
        for display in status.displays:
            display.has_layout = display.display_id in self._with_layout
            if source_id := self._shared.get(display.display_id):
                display.layout_cause.reason = types.REASON_DISPLAY_SHARED
                display.layout_cause.message = f"source {source_id!r} shares this display"
        return status

    def _may_lay_out(self, display_id: str) -> bool:
        if display_id in self._layout.displays_off:
            return False
        return self._layout.on or display_id in self._layout.displays_on

    def _judge(
        self,
        canvas_id: str,
        config: types.CanvasConfig,
        videos: dict[StreamId, RemoteVideo],
        room_ids: Collection[str],
    ) -> Judged:
        """How a canvas is, and how to draw it where it can be."""
        place = config.place
        info = self._find(place.display)
        if info is None:
            return _waiting(canvas_id, "", types.REASON_NO_DISPLAY, self._why_no_display(place.display)), None
        rect = (0, 0, info.width, info.height)
        if place.HasField("geometry"):
            geometry = place.geometry
            rect = (geometry.x, geometry.y, geometry.width, geometry.height)
            if not info.has_geometry:
                text = f"display {info.display_id!r} shows canvases on its whole area only: {info.missing}"
                return _refused(canvas_id, info.display_id, text), None
            if not _overlaps(rect, info):
                text = f"the canvas lies outside of display {info.display_id!r}, which is {info.width}x{info.height}"
                return _refused(canvas_id, info.display_id, text), None
        spec = _native.CanvasSpec()
        spec.canvas_id, spec.display = canvas_id, info.display_id
        spec.set_rect(*rect)
        spec.fit, spec.mirror, spec.background_rgb = _FIT.get(place.fit, "fit"), place.mirror, place.background_rgb
        if config.WhichOneof("content") == "source_id" and self._sources.is_view_turned_round(config.source_id):
            spec.mirror = not spec.mirror
        missing: types.Cause | None
        if config.WhichOneof("content") == "source_id":
            missing = self._missing_source(config.source_id)
            viewer = self._viewers.look(canvas_id, Local(config.source_id), rect[2], rect[3])
        else:
            stream, missing = _resolve(config.remote, videos, room_ids)
            viewer = self._viewers.look(canvas_id, stream, rect[2], rect[3], canvas_id=canvas_id)
        if missing is not None:
            viewer.clear()
        spec.tap = viewer.tap
        if missing is None and viewer.is_shown:
            status = state.CanvasStatus(canvas_id=canvas_id, state=state.CANVAS_STATE_SHOWN, display=info.display_id)
        else:
            missing = missing or types.Cause(reason=types.REASON_ORDERED, message="its first picture has not come yet")
            status = _waiting(canvas_id, info.display_id, missing.reason, missing.message)
        return status, spec

    def _find(self, display_id: str) -> "_native.DisplayInfo | None":
        displays = self._stage.displays
        if not display_id:
            return displays[0] if displays else None
        return next((info for info in displays if info.display_id == display_id), None)

    def _why_no_display(self, display_id: str) -> str:
        known = ", ".join(info.display_id for info in self._stage.displays)
        if known:
            return f"the machine has no display {display_id!r} now; it has: {known}"
        return f"the machine has no display now: {self._stage.status().cause.message}"

    def _missing_source(self, source_id: str) -> types.Cause | None:
        if self._sources.is_capturing(source_id):
            return None
        text = f"source {source_id!r} delivers no pictures now"
        return types.Cause(reason=types.REASON_SOURCE_NOT_CAPTURED, message=text)


def _resolve(
    remote: types.ObjectRef.RemoteStream, videos: dict[StreamId, RemoteVideo], room_ids: Collection[str]
) -> tuple[StreamId, types.Cause | None]:
    """The stream that is meant now, and why it cannot be shown."""
    asked = StreamId(remote.room_id, remote.user_id, remote.kind, remote.name)
    found = [video for stream, video in sorted(videos.items()) if stream[:3] == asked[:3]]
    if remote.name:
        found = [video for video in found if video.stream.name == remote.name]
    if not found:
        where = f"user {remote.user_id!r} publishes no such stream in room {remote.room_id!r} now"
        return asked, types.Cause(reason=types.REASON_STREAM_NOT_PUBLISHED, message=where)
    video = next((video for video in found if video.is_subscribed and not video.is_muted), found[0])
    if not video.is_subscribed and video.is_wanted:
        return video.stream, types.Cause(reason=types.REASON_ORDERED, message="the stream is being subscribed to")
    if not video.is_subscribed:
        text = f"the stream of user {remote.user_id!r} is not subscribed: subscribe to it"
        return video.stream, types.Cause(reason=types.REASON_STREAM_NOT_SUBSCRIBED, message=text)
    if video.is_muted:
        text = f"user {remote.user_id!r} has muted the stream"
        return video.stream, types.Cause(reason=types.REASON_STREAM_NOT_PUBLISHED, message=text)
    return video.stream, None


def _overlaps(rect: tuple[int, int, int, int], info: "_native.DisplayInfo") -> bool:
    x, y, width, height = rect
    return x < info.width and y < info.height and x + width > 0 and y + height > 0


def _waiting(canvas_id: str, display: str, reason: types.Reason.ValueType, message: str) -> state.CanvasStatus:
    cause = types.Cause(reason=reason, message=message)
    return state.CanvasStatus(canvas_id=canvas_id, state=state.CANVAS_STATE_WAITING, cause=cause, display=display)


def _refused(canvas_id: str, display: str, message: str) -> state.CanvasStatus:
    cause = types.Cause(reason=types.REASON_DISPLAY_UNABLE, message=message)
    return state.CanvasStatus(canvas_id=canvas_id, state=state.CANVAS_STATE_REFUSED, cause=cause, display=display)
