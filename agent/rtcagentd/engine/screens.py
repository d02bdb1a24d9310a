"""The screens of this machine: by which way they are captured, what there is to share, and how one is opened."""

import os
from collections.abc import Mapping

from rtcagent.v1 import screen_pb2 as screen
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native, portal
from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.threads import in_thread

DEFAULT_FPS = {types.CONTENT_HINT_MOTION: 30.0}
STILL_TEXT_FPS = 15.0
# What is shared where the desktop's portal asks the person at the machine.
PORTAL_DISPLAY = "portal-display"
PORTAL_WINDOW = "portal-window"

Response = screen.ListScreenSourcesResponse


def is_wayland(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether it is a Wayland desktop: its X server, if it has one, shows nothing of the others' windows."""
    return bool(environment.get("WAYLAND_DISPLAY"))


def x11_display(environment: Mapping[str, str] = os.environ) -> str:
    """The X server to capture from; EngineError NO_DISPLAY where there is none."""
    display = environment.get("DISPLAY", "")
    if not display:
        raise EngineError(
            types.REASON_NO_DISPLAY,
            "there is no display: the engine has neither $DISPLAY nor $WAYLAND_DISPLAY; run it in the desktop session",
        )
    return display


async def list_sources(thumbnail_width: int) -> Response:
    """Every display and window, with pictures where they are wanted. EngineError."""
    if is_wayland():
        return await _portal_sources()
    display = x11_display()
    try:
        entries = await in_thread(lambda: _native.list_screens(display, thumbnail_width))
    except _native.NativeError as error:
        raise EngineError.from_native(*error.args) from error
    response = Response(backend=Response.BACKEND_X11)
    for entry in entries:
        area = entry.area
        response.sources.add(
            kind=screen.ScreenSource.KIND_WINDOW if entry.is_window else screen.ScreenSource.KIND_DISPLAY,
            id=entry.id,
            title=entry.title,
            application=entry.application,
            geometry=types.ScreenRegion(x=area.x, y=area.y, width=area.width, height=area.height),
            primary=entry.is_primary,
            minimised=entry.is_minimised,
            thumbnail=entry.thumbnail,
        )
    return response


async def _portal_sources() -> Response:
    """What the portal lets the person at the machine choose from."""
    offered = await portal.targets()
    response = Response(backend=Response.BACKEND_PORTAL)
    if offered & portal.DISPLAY:
        response.sources.add(
            kind=screen.ScreenSource.KIND_DISPLAY,
            id=PORTAL_DISPLAY,
            title="a display, chosen at the machine",
            primary=True,
            chosen_by_person=True,
        )
    if offered & portal.WINDOW:
        response.sources.add(
            kind=screen.ScreenSource.KIND_WINDOW,
            id=PORTAL_WINDOW,
            title="a window, chosen at the machine",
            chosen_by_person=True,
        )
    return response


def fill(settings: _native.CaptureSettings, asked: types.VideoInput.Screen) -> tuple[str, portal.Asked | None]:
    """Put the screen into native settings; returns it in words, and on Wayland what to ask the portal for: the stream
    that it gives belongs into the settings, too. EngineError.
    """
    settings.fps = settings.fps or DEFAULT_FPS.get(asked.content_hint, STILL_TEXT_FPS)
    settings.pointer = not asked.hide_cursor
    region = asked.region
    settings.region = _native.Rect(region.x, region.y, region.width, region.height)
    part = f", {region.width}x{region.height}+{region.x}+{region.y} of it" if region.width else ""
    is_window = asked.WhichOneof("target") == "window_id"
    if is_wayland():
        target = portal.WINDOW if is_window else portal.DISPLAY
        words = f"{'a window' if is_window else 'a display'} chosen at the machine{part}"
        return words, portal.Asked(target, asked.hide_cursor)
    settings.x11_display = x11_display()
    if is_window and asked.window_id == PORTAL_WINDOW:
        raise EngineError(types.REASON_WINDOW_CLOSED, "windows are chosen at the machine on Wayland only")
    if is_window:
        number, _, settings.window_tag = asked.window_id.partition(".")
        settings.window = int(number, 16)
        return f"window {number}{part}", None
    settings.monitor = asked.display_id
    return f"{f'display {asked.display_id}' if asked.display_id else 'the primary display'}{part}", None
