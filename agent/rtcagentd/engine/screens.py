"""The screens of this machine: by which way they are captured, what there is to share, and how one is opened."""

import os
from collections.abc import Mapping

from rtcagent.v1 import screen_pb2 as screen
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native
from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.threads import in_thread

DEFAULT_FPS = {types.CONTENT_HINT_MOTION: 30.0}
STILL_TEXT_FPS = 15.0

Response = screen.ListScreenSourcesResponse


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


def fill(settings: _native.CaptureSettings, asked: types.VideoInput.Screen) -> str:
    """Put the screen into native settings; returns it in words. EngineError."""
    settings.x11_display = x11_display()
    settings.fps = settings.fps or DEFAULT_FPS.get(asked.content_hint, STILL_TEXT_FPS)
    settings.pointer = not asked.hide_cursor
    region = asked.region
    settings.region = _native.Rect(region.x, region.y, region.width, region.height)
    part = f", {region.width}x{region.height}+{region.x}+{region.y} of it" if region.width else ""
    if asked.WhichOneof("target") == "window_id":
        number, _, settings.window_tag = asked.window_id.partition(".")
        settings.window = int(number, 16)
        return f"window {number}{part}"
    settings.monitor = asked.display_id
    return f"{f'display {asked.display_id}' if asked.display_id else 'the primary display'}{part}"
