"""A moving picture of moderate difficulty for an encoder, as a y4m file, and reading such a file frame by frame.

The picture is a large cloudy texture over which the view goes in a circle, with some shapes that move on their own; it
begins anew without a jump. Made of numbers alone, it is the same on every machine.
"""

import math
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from tests.parts.picture import Picture

Plane = npt.NDArray[np.uint8]
_FRAME_MARK = b"FRAME\n"


def make(path: Path, *, width: int, height: int, fps: int, seconds: int) -> Path:
    """Write the file unless it is there already."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    margin = 160
    luma = _cloud(random, width + 2 * margin, height + 2 * margin, 30, 220)
    blue = _cloud(random, luma.shape[1] // 2, luma.shape[0] // 2, 90, 166)
    red = _cloud(random, luma.shape[1] // 2, luma.shape[0] // 2, 90, 166)
    partial = path.with_suffix(".partial")
    count = fps * seconds
    with open(partial, "wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg\n".encode())
        for index in range(count):
            turn = 2 * math.pi * index / count
            x = 2 * round((margin + 150 * math.cos(turn)) / 2)
            y = 2 * round((margin + 75 * math.sin(2 * turn)) / 2)
            frame = luma[y : y + height, x : x + width].copy()
            for shape in range(6):
                around = turn * (1 + shape % 3) + shape
                left = int((width - 120) * (0.5 + 0.48 * math.sin(around)))
                top = int((height - 120) * (0.5 + 0.48 * math.cos(around * 2 + shape)))
                frame[top : top + 120, left : left + 120] = 255 - frame[top : top + 120, left : left + 120]
            file.write(_FRAME_MARK)
            file.write(frame.tobytes())
            half = slice(y // 2, y // 2 + height // 2), slice(x // 2, x // 2 + width // 2)
            file.write(blue[half].tobytes())
            file.write(red[half].tobytes())
    return partial.rename(path)


def make_still(path: Path, picture: Picture, *, fps: int = 30, frames: int = 15) -> Path:
    """Write a file that shows one picture all the time."""
    height, width, _ = picture.shape
    rgb = picture.astype(np.float64)
    luma = rgb @ (0.299, 0.587, 0.114)  # of BT.601, in the range of video: 16 to 235, and colours 16 to 240
    blue, red = (rgb[..., 2] - luma)[::2, ::2], (rgb[..., 0] - luma)[::2, ::2]
    planes = (16 + luma * 219 / 255, 128 + blue * 0.564 * 224 / 255, 128 + red * 0.713 * 224 / 255)
    frame = b"".join(plane.clip(0, 255).astype(np.uint8).tobytes() for plane in planes)
    with open(path, "wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420mpeg2\n".encode())
        file.write((_FRAME_MARK + frame) * frames)
    return path


def _cloud(random: np.random.Generator, width: int, height: int, low: int, high: int) -> Plane:
    """Noise of several sizes, the larger the stronger, as in the pictures of a camera."""
    total = np.zeros((height, width))
    for size in (4, 8, 16, 32, 64, 128):
        coarse = random.random((height // size + 2, width // size + 2))
        rows, columns = np.arange(height) / size, np.arange(width) / size
        row, column = rows.astype(int), columns.astype(int)
        down, right = (rows - row)[:, None], (columns - column)[None, :]
        upper = coarse[row][:, column] * (1 - right) + coarse[row][:, column + 1] * right
        lower = coarse[row + 1][:, column] * (1 - right) + coarse[row + 1][:, column + 1] * right
        total += size**0.7 * (upper * (1 - down) + lower * down)
    total = (total - total.min()) / (total.max() - total.min())
    cloud: Plane = (low + (high - low) * total).astype(np.uint8)
    return cloud


class Y4mReader:
    """Reads the I420 frames of a y4m file, over and over."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = open(path, "rb", buffering=0)  # noqa: SIM115 -- lives as long as the reader
        header = b""
        while not header.endswith(b"\n"):
            header += self._file.read(1)
        fields = {field[:1]: field[1:] for field in header.decode().split()[1:]}
        self.width, self.height = int(fields["W"]), int(fields["H"])
        self.fps = int(fields["F"].partition(":")[0])
        self.frame_bytes = self.width * self.height * 3 // 2
        self._begin = self._file.tell()

    def read_into(self, buffer: memoryview) -> None:
        """The next frame; after the last one the first."""
        if self._file.read(len(_FRAME_MARK)) != _FRAME_MARK:
            self._file.seek(self._begin + len(_FRAME_MARK))
        with memoryview(buffer).cast("B") as plain:
            taken = self._file.readinto(plain)  # type: ignore[attr-defined]
        if taken != self.frame_bytes:
            raise ValueError(f"{self._file.name} ends within a frame")

    def close(self) -> None:
        self._file.close()
