"""A headless Wayland compositor of a test's own: sway, which has wlr-layer-shell, or cage, which has not."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Literal, Self

from tests.parts.waiting import until

NOBODY = 65534  # sway refuses root
START_MS = 20_000
STOP_S = 5.0
CONFIG = "output * resolution {size} bg #000000 solid_color\n"


class Compositor:
    """`async with Compositor("sway", 640, 480) as compositor:`; programs find it by `compositor.environment`."""

    def __init__(self, kind: Literal["sway", "cage"], width: int = 1280, height: int = 720) -> None:
        self._kind = kind
        self._size = f"{width}x{height}"
        self._folder = Path(tempfile.mkdtemp(prefix="compositor-"))
        self._process: asyncio.subprocess.Process | None = None
        self.address = ""  # of its socket

    @property
    def environment(self) -> dict[str, str]:
        """What to start programs with."""
        return {
            "WAYLAND_DISPLAY": self.address,
            "XDG_RUNTIME_DIR": str(self._folder),
            "DISPLAY": "",
            "XDG_SESSION_TYPE": "wayland",
        }

    async def start(self) -> None:
        """Returns when it takes clients."""
        config = self._folder / "config"
        config.write_text(CONFIG.format(size=self._size))
        self._folder.chmod(0o700)
        if os.getuid() == 0:
            os.chown(self._folder, NOBODY, NOBODY)
        command = ["sway", "--config", str(config)] if self._kind == "sway" else ["cage", "--", "sleep", "infinity"]
        environment = {
            **{name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")},
            "XDG_RUNTIME_DIR": str(self._folder),
            "HOME": str(self._folder),
            "WLR_BACKENDS": "headless",
            "WLR_LIBINPUT_NO_DEVICES": "1",
            "WLR_RENDERER": "pixman",
        }
        self._process = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            user=NOBODY if os.getuid() == 0 else None,
            group=NOBODY if os.getuid() == 0 else None,
            extra_groups=[] if os.getuid() == 0 else None,
        )

        def has_socket() -> bool:
            sockets = [path for path in self._folder.glob("wayland-*") if path.is_socket()]
            self.address = str(sockets[0]) if sockets else ""
            return bool(sockets)

        await until(has_socket, timeout_ms=START_MS, what=f"{self._kind} starts")

    async def stop(self) -> None:
        """End it, with what it has started. Any number of times."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
