"""Checks on pictures: which colour is where, colour bars, PNG files."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Picture = npt.NDArray[np.uint8]  # height, width, RGB

BARS = ("white", "yellow", "cyan", "green", "magenta", "red", "blue")
_NAMES = {
    (0, 0, 0): "black",
    (1, 1, 1): "white",
    (1, 1, 0): "yellow",
    (0, 1, 1): "cyan",
    (0, 1, 0): "green",
    (1, 0, 1): "magenta",
    (1, 0, 0): "red",
    (0, 0, 1): "blue",
}
_RGB = {name: tuple(255 * each for each in rgb) for rgb, name in _NAMES.items()}
_HALF = 100  # between a dark channel and a bright one, with bars of 75 % and of 100 % alike


def colour_at(picture: Picture, x: float, y: float) -> str:
    """The name of the colour around a place, given in parts of the width and of the height."""
    height, width, _ = picture.shape
    column, row = int(x * width), int(y * height)
    reach = max(1, min(width, height) // 50)
    patch = picture[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach]
    red, green, blue = (int(channel > _HALF) for channel in patch.reshape(-1, 3).mean(axis=0))
    return _NAMES[(red, green, blue)]


def bars(picture: Picture, *, y: float = 0.35) -> tuple[str, ...]:
    """The colours of seven upright bars from left to right."""
    return tuple(colour_at(picture, (index + 0.5) / 7, y) for index in range(7))


def turned(picture: Picture, degrees: int) -> Picture:
    """The picture turned clockwise."""
    return np.ascontiguousarray(np.rot90(picture, k=-degrees // 90))


def mirrored(picture: Picture) -> Picture:
    return np.ascontiguousarray(picture[:, ::-1])


def shows_bars(picture: Picture) -> bool:
    """Whether the colour bars are in the right order at the right places."""
    return bars(picture) == BARS and bars(picture, y=0.5) == BARS


def shows_made_bars(picture: Picture) -> bool:
    """Whether it is a picture of make_bars(): bars above, black below. It tells mirrored from turned by half."""
    return shows_bars(picture) and set(bars(picture, y=0.85)) == {"black"}


def make_bars(width: int, height: int) -> Picture:
    """Colour bars over a black lower third."""
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    for index, name in enumerate(BARS):
        picture[: height * 2 // 3, width * index // 7 : width * (index + 1) // 7] = _RGB[name]
    return picture


def difference(one: Picture, other: Picture) -> float:
    """Mean absolute difference of two pictures of one size, 0 to 255."""
    return float(np.abs(one.astype(np.int16) - other.astype(np.int16)).mean())


def save_png(picture: Picture, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def decode(image: bytes) -> Picture:
    """A PNG or JPEG file as a picture."""
    return np.asarray(Image.open(io.BytesIO(image)).convert("RGB"), dtype=np.uint8)
