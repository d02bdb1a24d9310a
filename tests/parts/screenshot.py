"""What is seen on a display, as a picture."""

import asyncio
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageGrab

from tests.parts.picture import Picture
from tests.parts.waiting import until


async def of_x11(display: str) -> Picture:
    """The whole screen of an X server."""
    image = await asyncio.to_thread(ImageGrab.grab, xdisplay=display)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


async def of_wayland(environment: Mapping[str, str], output: str = "") -> Picture:
    """An output of a compositor with wlr-screencopy, by grim."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "screen.png"
        command = ["grim", *(["-o", output] if output else []), str(path)]
        await asyncio.to_thread(subprocess.run, command, check=True, env=dict(environment), timeout=20)
        return np.asarray(Image.open(path).convert("RGB"), dtype=np.uint8)


async def until_seen(take: "Callable[[], object]", wanted: Callable[[Picture], bool], what: str) -> Picture:
    """Take screenshots until one shows what is wanted; that one."""
    seen: list[Picture] = []

    async def is_so() -> bool:
        seen[:] = [await take()]  # type: ignore[misc]
        return wanted(seen[0])

    await until(is_so, timeout_ms=15_000, what=what)
    return seen[0]
