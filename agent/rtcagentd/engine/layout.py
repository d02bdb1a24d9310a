"""The default layout: where everyone goes on a display. Arithmetic only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """A rectangle in pixels of the display."""

    x: int
    y: int
    width: int
    height: int


SHAPE = 16 / 9  # of a face's tile
STRIP_SHARE = 0.2  # of the display, for the faces beside a screen
MAX_TILES = 25


def gap_of(width: int, height: int) -> int:
    """The space between tiles, and to the edges."""
    return max(4, round(min(width, height) * 0.015))


def grid(width: int, height: int, count: int) -> list[Tile]:
    """`count` tiles of one size and the shape of a camera's picture, as large as they fit, in the middle."""
    gap = gap_of(width, height)
    return _grid(Tile(gap, gap, width - 2 * gap, height - 2 * gap), count, gap)


def with_screens(width: int, height: int, screens: int, faces: int) -> tuple[list[Tile], list[Tile]]:
    """Shared screens large, and the faces in a strip beside or beneath them."""
    gap = gap_of(width, height)
    area = Tile(gap, gap, width - 2 * gap, height - 2 * gap)
    if not faces:
        return _split(area, screens, gap), []
    if width >= height:
        strip_width = round(area.width * STRIP_SHARE)
        large = Tile(area.x, area.y, area.width - strip_width - gap, area.height)
        strip = Tile(area.x + area.width - strip_width, area.y, strip_width, area.height)
    else:
        strip_height = round(area.height * STRIP_SHARE)
        large = Tile(area.x, area.y, area.width, area.height - strip_height - gap)
        strip = Tile(area.x, area.y + area.height - strip_height, area.width, strip_height)
    return _split(large, screens, gap), _grid(strip, faces, gap)


def _grid(area: Tile, count: int, gap: int) -> list[Tile]:
    if count < 1:
        return []
    best: tuple[int, int, int] = (0, 0, 1)
    for columns in range(1, count + 1):
        rows = -(-count // columns)
        width = (area.width - (columns - 1) * gap) // columns
        height = (area.height - (rows - 1) * gap) // rows
        width = min(width, int(height * SHAPE))
        height = min(height, int(width / SHAPE))
        if width * height > best[0] * best[1]:
            best = (width, height, columns)
    width, height, columns = max(best[0], 1), max(best[1], 1), best[2]
    rows = -(-count // columns)
    top = area.y + (area.height - rows * height - (rows - 1) * gap) // 2
    tiles = []
    for row in range(rows):
        in_row = min(columns, count - row * columns)
        left = area.x + (area.width - in_row * width - (in_row - 1) * gap) // 2
        tiles += [Tile(left + i * (width + gap), top + row * (height + gap), width, height) for i in range(in_row)]
    return tiles


def _split(area: Tile, count: int, gap: int) -> list[Tile]:
    """Screens fill what they get: their shape is shown as it is."""
    if count <= 1:
        return [area]
    columns = next(n for n in range(1, count + 1) if n * n >= count)
    rows = -(-count // columns)
    tiles = []
    for index in range(count):
        row, column = divmod(index, columns)
        left = area.x + (area.width + gap) * column // columns
        right = area.x + (area.width + gap) * (column + 1) // columns - gap
        top = area.y + (area.height + gap) * row // rows
        bottom = area.y + (area.height + gap) * (row + 1) // rows - gap
        tiles.append(Tile(left, top, right - left, bottom - top))
    return tiles
