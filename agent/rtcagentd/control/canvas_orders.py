"""Orders about canvases and the default layout, as edits of the desired state; see control/orders.py."""

from collections.abc import Callable
from typing import TypeAlias

from rtcagent.v1 import canvases_pb2
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control import checks
from rtcagentd.control.errors import Code, OrderError, invalid, not_found
from rtcagentd.control.ids import CANVAS_ID_PATTERN, DEFAULT_SOURCE_ID, matches
from rtcagentd.control.ledger import Edit
from rtcagentd.control.objects import canvas_key, layout_key
from rtcagentd.control.state import State

Edits: TypeAlias = Callable[[Edit], None]

MAX_CANVASES = 64
MAX_PIXELS = 16_384
_VIDEO = (ty.STREAM_KIND_CAMERA, ty.STREAM_KIND_SCREEN, ty.STREAM_KIND_OTHER_VIDEO)


class CanvasOrders:
    """Checks what it can by the displays that are known."""

    def __init__(self, state: State) -> None:
        self._state = state

    def set_local(self, request: canvases_pb2.SetLocalVideoCanvasRequest) -> Edits:
        config = ty.CanvasConfig(source_id=request.source_id or DEFAULT_SOURCE_ID, place=request.place)
        return self._set(request.canvas_id or "local", config, "")

    def set_remote(self, request: canvases_pb2.SetRemoteVideoCanvasRequest) -> Edits:
        remote = ty.ObjectRef.RemoteStream(
            room_id=request.room_id, user_id=request.user_id, kind=request.kind, name=request.name
        )
        return self._set(request.canvas_id or "remote", ty.CanvasConfig(remote=remote, place=request.place), "")

    def set_canvas(self, asked: st.DesiredCanvas) -> Edits:
        """Either, as the desired state has it."""
        if asked.config.WhichOneof("content") is None:
            text = "a canvas shows either a source_id or a remote stream: set one"
            raise invalid("config", "CANVAS_EMPTY", text, canvas_id=asked.canvas_id)
        return self._set(asked.canvas_id, asked.config, "config.")

    def remove(self, request: canvases_pb2.RemoveCanvasRequest) -> Edits:
        canvas_id = _canvas_id(request.canvas_id)

        def edit(edits: Edit) -> None:
            if edits.row(canvas_key(canvas_id)) is None:
                known = ", ".join(key.text for key in edits.keys("canvas")) or "none"
                text = f"there is no canvas {canvas_id!r}; there are: {known}"
                raise not_found("CANVAS_NOT_FOUND", text, canvas_id=canvas_id)
            edits.remove(canvas_key(canvas_id))

        return edit

    def set_layout(self, request: canvases_pb2.SetDefaultLayoutRequest | st.DesiredLayout) -> Edits:
        """Without a mode: no order any more."""
        if request.mode not in ty.LayoutMode.values():
            raise invalid("mode", "VALUE_UNKNOWN", f"this agent knows no layout mode {request.mode}")
        _display(request.display, "display")
        key = layout_key(request.display)
        wanted = st.DesiredLayout(display=request.display, mode=request.mode)

        def edit(edits: Edit) -> None:
            if wanted.mode:
                edits.put(key, wanted)
            else:
                edits.remove(key)

        return edit

    def _set(self, canvas_id: str, asked: ty.CanvasConfig, prefix: str) -> Edits:
        _canvas_id(canvas_id)
        config = ty.CanvasConfig()
        config.CopyFrom(asked)
        if config.WhichOneof("content") == "source_id":
            checks.source_id(config.source_id, f"{prefix}source_id")
        else:
            remote, inner = config.remote, f"{prefix}remote." if prefix else ""
            remote.kind = remote.kind or ty.STREAM_KIND_CAMERA
            checks.room_id(remote.room_id, f"{inner}room_id")
            checks.user_id(remote.user_id, f"{inner}user_id")
            checks.stream_name(remote.name)
            if remote.kind not in _VIDEO:
                text = "a canvas shows streams of kind CAMERA, SCREEN or OTHER_VIDEO"
                raise invalid(f"{inner}kind", "KIND_NOT_VIDEO", text)
        self._check_place(config.place, f"{prefix}place")
        key = canvas_key(canvas_id)

        def edit(edits: Edit) -> None:
            others = [other for other in edits.keys("canvas") if other != key]
            if len(others) >= MAX_CANVASES:
                text = f"there are {MAX_CANVASES} canvases at most: remove one first"
                raise OrderError(Code.RESOURCE_EXHAUSTED, "LIMIT_REACHED", text, field="canvas_id")
            edits.put(key, st.DesiredCanvas(canvas_id=canvas_id, config=config))

        return edit

    def _check_place(self, place: ty.CanvasPlace, field: str) -> None:
        _display(place.display, f"{field}.display")
        if place.fit not in ty.FitMode.values():
            raise invalid(f"{field}.fit", "VALUE_UNKNOWN", f"this agent knows no fit {place.fit}")
        if place.background_rgb > 0xFFFFFF:
            raise invalid(f"{field}.background_rgb", "COLOUR_INVALID", "background_rgb is not 0x000000-0xFFFFFF")
        if not place.HasField("geometry"):
            return
        geometry = place.geometry
        for name in ("width", "height"):
            if not 1 <= getattr(geometry, name) <= MAX_PIXELS:
                text = f"{name} is {getattr(geometry, name)}, not 1-{MAX_PIXELS}"
                raise invalid(f"{field}.geometry.{name}", "SIZE_INVALID", text)
        for name in ("x", "y"):
            if abs(getattr(geometry, name)) > MAX_PIXELS:
                text = f"{name} is {getattr(geometry, name)}, more than {MAX_PIXELS} from the display"
                raise invalid(f"{field}.geometry.{name}", "GEOMETRY_OUTSIDE", text)
        displays = self._state.reported.displays.displays
        known = [one for one in displays if place.display in ("", one.display_id)][:1]
        for display in known:
            right, below = geometry.x + int(geometry.width), geometry.y + int(geometry.height)
            if geometry.x >= int(display.width) or geometry.y >= int(display.height) or right <= 0 or below <= 0:
                text = f"the canvas lies outside of {display.display_id}, which is {display.width}x{display.height}"
                raise invalid(f"{field}.geometry", "GEOMETRY_OUTSIDE", text, display=display.display_id)


def _canvas_id(text: str) -> str:
    if not matches(CANVAS_ID_PATTERN, text):
        raise invalid("canvas_id", "CANVAS_ID_INVALID", "canvas_id is not 1-64 characters of [A-Za-z0-9_.-]")
    return text


def _display(text: str, field: str) -> None:
    if len(text) > 128 or not text.isprintable():
        raise invalid(field, "DISPLAY_INVALID", "a display's id has at most 128 characters: see ListDisplays")
