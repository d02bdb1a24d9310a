"""The monitors of an X server: another size, and several in place of one, as xrandr does it."""

import asyncio
import os
import subprocess

OUTPUT = "screen"  # as Xvfb calls its own


async def resize(display: str, width: int, height: int) -> None:
    """Set another mode, at most as large as the first one was."""
    name = f"test-{width}x{height}"
    timings = (width, width + 10, width + 20, width + 30, height, height + 1, height + 2, height + 10)
    await _xrandr(display, "--newmode", name, "6", *map(str, timings))
    await _xrandr(display, "--addmode", OUTPUT, name)
    await _xrandr(display, "--output", OUTPUT, "--mode", name)


async def split(display: str, width: int, height: int) -> None:
    """Make "LEFT" and "RIGHT" of the one monitor; "LEFT" is the primary one."""
    half = width // 2
    await _xrandr(display, "--setmonitor", "*LEFT", f"{half}/100x{height}/100+0+0", OUTPUT)
    await add(display, "RIGHT", half, height, half)


async def add(display: str, name: str, width: int, height: int, x: int) -> None:
    """One monitor more, which no output belongs to."""
    await _xrandr(display, "--setmonitor", name, f"{width}/100x{height}/100+{x}+0", "none")


async def remove(display: str, name: str) -> None:
    """Take one away."""
    await _xrandr(display, "--delmonitor", name)


async def _xrandr(display: str, *arguments: str) -> None:
    environment = {**os.environ, "DISPLAY": display}
    await asyncio.to_thread(
        subprocess.run, ["xrandr", *arguments], check=True, env=environment, timeout=20, capture_output=True
    )
