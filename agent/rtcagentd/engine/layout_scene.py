"""The default layout as a scene: which tile shows whom, with which name."""

import zlib
from dataclasses import dataclass

from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native
from rtcagentd.engine.canvas_viewers import Viewers
from rtcagentd.engine.layout import MAX_TILES, Tile, grid, with_screens
from rtcagentd.engine.viewing import RemoteUser, StreamId

BACKGROUND = 0x15181E
SCREEN_BACKGROUND = 0x000000
SPEAKING = 0x3DDC84
# Of users without a picture: dark enough for white letters, and far enough apart.
_COLOURS = (0x3B5B92, 0x7A4E8A, 0x2F7A6B, 0x8A5A3B, 0x5B6B2F, 0x8A3B54, 0x3B7A92, 0x5D5A9E)


@dataclass(frozen=True)
class _Face:
    name: str
    user_id: str
    stream: StreamId | None
    is_speaking: bool


def scene(
    info: _native.DisplayInfo, users: list[RemoteUser], viewers: Viewers
) -> tuple[list[_native.CanvasSpec], set[str]]:
    """The tiles from the bottom to the top, and the names of the viewers that they need."""
    faces, screens = _sorted(users)
    rest = len(faces) - MAX_TILES
    if rest > 0:
        faces = [*sorted(faces, key=lambda face: not face.is_speaking)[: MAX_TILES - 1]]
        faces.append(_Face(f"{rest + 1} more", "", None, is_speaking=False))
    screens = screens[:4]
    if screens:
        screen_tiles, face_tiles = with_screens(info.width, info.height, len(screens), len(faces))
    else:
        screen_tiles, face_tiles = [], grid(info.width, info.height, len(faces))
    specs = [_spec(info, "layout", Tile(0, 0, info.width, info.height), BACKGROUND)]
    needed = set()
    for (name, stream), tile in zip(screens, screen_tiles, strict=True):
        spec = _spec(info, f"layout {stream}", tile, SCREEN_BACKGROUND)
        spec.label = f"{name} · screen"
        viewer_name = f"layout {info.display_id} {stream}"
        spec.tap = viewers.look(viewer_name, stream, tile.width, tile.height).tap
        needed.add(viewer_name)
        specs.append(spec)
    for face, tile in zip(faces, face_tiles, strict=True):
        spec = _spec(info, f"layout {face}", tile, _colour(face.user_id))
        spec.fit = "auto"
        spec.label, spec.title = (face.name, _initials(face.name)) if face.user_id else ("", face.name)
        if face.is_speaking:
            spec.border, spec.border_rgb = max(3, round(min(tile.width, tile.height) * 0.012)), SPEAKING
        if face.stream is not None:
            viewer_name = f"layout {info.display_id} {face.stream}"
            viewer = viewers.look(viewer_name, face.stream, tile.width, tile.height)
            spec.tap = viewer.tap
            if viewer.is_shown:
                spec.background_rgb = SCREEN_BACKGROUND  # of the bars beside an upright picture
            needed.add(viewer_name)
        specs.append(spec)
    return specs, needed


def _sorted(users: list[RemoteUser]) -> tuple[list[_Face], list[tuple[str, StreamId]]]:
    """Faces, with one for whoever has no picture, and shared screens; in an order that does not change."""
    faces: list[_Face] = []
    screens: list[tuple[str, StreamId]] = []
    for user in sorted(users, key=lambda user: (user.room_id, user.user_id.lower())):
        shown = [
            video.stream
            for video in sorted(user.videos, key=lambda video: video.stream)
            if video.is_subscribed and not video.is_muted
        ]
        screens += [(user.name, stream) for stream in shown if stream.kind == types.STREAM_KIND_SCREEN]
        cameras: list[StreamId | None] = [stream for stream in shown if stream.kind != types.STREAM_KIND_SCREEN]
        faces += [_Face(user.name, user.user_id, stream, user.is_speaking) for stream in cameras or [None]]
    return faces, screens


def _spec(info: _native.DisplayInfo, canvas_id: str, tile: Tile, background: int) -> _native.CanvasSpec:
    spec = _native.CanvasSpec()
    spec.canvas_id, spec.display, spec.background_rgb = canvas_id, info.display_id, background
    spec.set_rect(tile.x, tile.y, tile.width, tile.height)
    return spec


def _colour(user_id: str) -> int:
    """The same for a user on every machine."""
    return _COLOURS[zlib.crc32(user_id.encode()) % len(_COLOURS)] if user_id else BACKGROUND


def _initials(name: str) -> str:
    words = [word for word in name.replace("_", " ").replace("-", " ").replace(".", " ").split() if word]
    return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words[:1])).upper()
