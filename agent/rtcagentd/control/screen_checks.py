"""Checks orders about screens: what can never work, and what is not there now."""

import re

from rtcagent.v1 import screen_pb2
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control.errors import invalid, not_found

MAX_FPS = 60
MAX_THUMBNAIL = 640
_WINDOW_ID = re.compile(r"0x[0-9a-f]{1,8}(\.[0-9a-f]{8})?|portal-window", re.ASCII)
_DISPLAY_ID = re.compile(r"[\x21-\x7e]{1,64}", re.ASCII)

Source = screen_pb2.ScreenSource


def screen(config: ty.CaptureConfig) -> None:
    """How a screen is to be captured, as far as that can be said without looking at it."""
    asked = config.input.screen
    if config.kind not in (ty.STREAM_KIND_UNSPECIFIED, ty.STREAM_KIND_SCREEN):
        raise invalid("config.kind", "KIND_INVALID", "what is captured from a screen is of kind SCREEN")
    if asked.content_hint not in ty.ContentHint.values():
        text = f"this agent knows no content hint {asked.content_hint}"
        raise invalid("config.input.screen.content_hint", "VALUE_UNKNOWN", text)
    match asked.WhichOneof("target"):
        case "window_id":
            if not _WINDOW_ID.fullmatch(asked.window_id):
                text = f"window_id {asked.window_id[:40]!r} is no window's: `rtcctl screens` lists them"
                raise invalid("config.input.screen.window_id", "WINDOW_ID_INVALID", text)
        case "display_id":
            if not _DISPLAY_ID.fullmatch(asked.display_id):
                text = f"display_id {asked.display_id[:40]!r} is no display's: `rtcctl screens` lists them"
                raise invalid("config.input.screen.display_id", "DISPLAY_ID_INVALID", text)
    region("config.input.screen.region", asked.region)
    fps("config.output.max_fps", config.output.max_fps)


def region(field: str, asked: ty.ScreenRegion) -> None:
    """A region, wherever it is on the screen."""
    if not asked.width and not asked.height:
        if asked.x or asked.y:
            raise invalid(field, "REGION_INVALID", "a region with a place needs a width and a height")
        return
    for name, size, limit in (("width", asked.width, 7680), ("height", asked.height, 4320)):
        if size % 2 or not 16 <= size <= limit:
            text = f"the region's {name} is {size}, not an even number of 16-{limit}"
            raise invalid(f"{field}.{name}", "REGION_INVALID", text)
    if min(asked.x, asked.y) < 0:
        text = "the region's x and y are counted from the upper left corner of what is shared: 0 or more"
        raise invalid(field, "REGION_INVALID", text)


def fps(field: str, asked: float) -> None:
    """A frame rate of a screen."""
    if asked and not 1 <= asked <= MAX_FPS:
        raise invalid(field, "FRAME_RATE_INVALID", f"max_fps of a screen is {asked:g}, not 1-{MAX_FPS}")


def thumbnail_width(asked: int) -> None:
    """How wide thumbnails may be."""
    if asked and not 16 <= asked <= MAX_THUMBNAIL:
        text = f"thumbnail_width is {asked}, not 16-{MAX_THUMBNAIL} (or 0, for none)"
        raise invalid("thumbnail_width", "THUMBNAIL_INVALID", text)


def is_there(asked: ty.VideoInput.Screen, found: screen_pb2.ListScreenSourcesResponse) -> None:
    """That what is to be shared is among what there is now, and the region on it."""
    source = _find(asked, found)
    region, whole = asked.region, source.geometry
    if not region.width or not whole.width:
        return
    seen_width = min(region.x + region.width, whole.width) - region.x
    seen_height = min(region.y + region.height, whole.height) - region.y
    if min(seen_width, seen_height) < 16:
        text = (
            f"the region {region.width}x{region.height}+{region.x}+{region.y} is outside of "
            f"{source.title or source.id!r}, which is {whole.width}x{whole.height}"
        )
        raise invalid("screen.region", "REGION_OUTSIDE", text)


def _find(asked: ty.VideoInput.Screen, found: screen_pb2.ListScreenSourcesResponse) -> Source:
    displays = [source for source in found.sources if source.kind == Source.KIND_DISPLAY]
    if asked.WhichOneof("target") == "window_id":
        for source in found.sources:
            if source.kind == Source.KIND_WINDOW and asked.window_id in (source.id, source.id.partition(".")[0]):
                return source
        text = f"there is no window {asked.window_id!r} (any more): `rtcctl screens` lists those there are"
        raise not_found("WINDOW_NOT_FOUND", text, window_id=asked.window_id)
    for source in displays:
        if source.id == asked.display_id or (not asked.display_id and source.primary):
            return source
    names = ", ".join(source.id for source in displays) or "none"
    text = f"there is no display {asked.display_id!r}; there are: {names}"
    raise not_found("DISPLAY_NOT_FOUND", text, display_id=asked.display_id)
