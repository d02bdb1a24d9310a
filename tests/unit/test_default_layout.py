"""Where the default layout puts everyone: even gaps, one size, nothing over the edge, nothing over another."""

import itertools

import pytest
from rtcagentd.engine.layout import Tile, gap_of, grid, with_screens


def are_apart(tiles: list[Tile]) -> bool:
    return all(
        one.x + one.width <= other.x
        or other.x + other.width <= one.x
        or one.y + one.height <= other.y
        or other.y + other.height <= one.y
        for one, other in itertools.combinations(tiles, 2)
    )


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (800, 480), (1080, 1920), (320, 240)])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 9, 16, 25])
@pytest.mark.parametrize("screens", [0, 1, 2])
def test_tiles_lie_beside_each_other(size: tuple[int, int], count: int, screens: int) -> None:
    width, height = size
    large, faces = with_screens(width, height, screens, count) if screens else ([], grid(width, height, count))
    assert (len(large), len(faces)) == (screens, count)
    assert are_apart([*large, *faces])
    for tile in (*large, *faces):
        assert tile.x >= 0
        assert tile.y >= 0
        assert tile.x + tile.width <= width
        assert tile.y + tile.height <= height
    assert len({(tile.width, tile.height) for tile in faces}) == 1
    if screens == 1:
        assert large[0].width * large[0].height > 0.6 * width * height


def test_gaps_are_even() -> None:
    gap = gap_of(1920, 1080)
    tiles = grid(1920, 1080, 4)
    assert tiles[1].x - (tiles[0].x + tiles[0].width) == gap
    assert tiles[2].y - (tiles[0].y + tiles[0].height) == gap
    assert abs(tiles[0].y - gap) <= 1


def test_the_last_row_is_in_the_middle() -> None:
    tiles = grid(1920, 1080, 3)
    assert abs((tiles[2].x + tiles[2].width / 2) - 960) <= 1
