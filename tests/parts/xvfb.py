"""An X server of a test's own, without a screen in the room: Xvfb on a free display."""

import asyncio
import contextlib
import os
import select
from typing import Self

from tests.parts.waiting import NotInTime

START_S = 20.0
STOP_S = 5.0


class Xvfb:
    """`async with Xvfb(1280, 720) as server:`; programs find it by `server.environment`.

    It has the extensions RANDR, Composite, Damage, XFixes and MIT-SHM, no window manager, and a background of one
    colour.
    """

    def __init__(self, width: int = 1280, height: int = 720) -> None:
        self.width = width
        self.height = height
        self.display = ""  # ":7"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What to start programs with; also keeps them from a Wayland session of the machine's."""
        return {"DISPLAY": self.display, "WAYLAND_DISPLAY": "", "XAUTHORITY": "", "XDG_SESSION_TYPE": "x11"}

    async def start(self) -> None:
        """Returns when it takes clients. It chooses the first free display by itself, so that two never meet; started
        again, it is the same one.
        """
        reading, writing = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *("Xvfb", *([self.display] if self.display else []), "-displayfd", str(writing)),
                *("-screen", "0", f"{self.width}x{self.height}x24"),
                *("-nolisten", "tcp", "-noreset", "-ac", "+extension", "Composite", "+extension", "RANDR"),
                pass_fds=[writing],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.close(writing)
        try:
            number = await asyncio.to_thread(_read_line, reading)
        finally:
            os.close(reading)
        if not number:
            await self.stop()
            raise NotInTime(f"not within {START_S:g} s: Xvfb starts")
        self.display = f":{number}"

    async def stop(self) -> None:
        """Ends it, and with it every connection of its clients. Any number of times."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def kill(self) -> None:
        """Ends it without a good-bye, as a crash does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await process.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def _read_line(fd: int) -> str:
    """What is written to `fd` up to the end of a line; empty where that does not come in time, or Xvfb has ended."""
    text = b""
    poller = select.poll()
    poller.register(fd, select.POLLIN | select.POLLHUP)
    while not text.endswith(b"\n"):
        if not poller.poll(START_S * 1000):
            return ""
        part = os.read(fd, 16)
        if not part:
            return ""
        text += part
    return text.decode().strip()
