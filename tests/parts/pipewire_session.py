"""A PipeWire of a test's own, with WirePlumber and a bus, and virtual cameras in it."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.parts.waiting import until

START_MS = 20_000
PROGRAMS = ("dbus-daemon", "pipewire", "wireplumber", "pw-dump", "gst-launch-1.0")


def missing() -> list[str]:
    """What this machine lacks for it."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


class PipeWireSession:
    """`async with PipeWireSession() as session:`; the engine finds it by `session.environment`."""

    def __init__(self) -> None:
        # Not in a test's folder: the path of a unix socket has at most 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="pipewire-"))
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    @property
    def environment(self) -> dict[str, str]:
        return {
            "XDG_RUNTIME_DIR": str(self._folder),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self._folder}/bus",
            "PULSE_SERVER": f"unix:{self._folder}/nobody",
            "DISPLAY": "",
            "WAYLAND_DISPLAY": "",
        }

    async def plug_camera(self, name: str, *, pattern: str = "bar") -> None:
        """A virtual camera, of 640x360 at 15 fps; `pattern` is one of videotestsrc's."""
        properties = f"props,media.class=Video/Source,media.role=Camera,node.name={name},node.description={name}"
        pictures = ["videotestsrc", "is-live=true", f"pattern={pattern}"]
        caps = "video/x-raw,format=YUY2,width=640,height=360,framerate=15/1"
        sink = ["pipewiresink", "mode=provide", f"stream-properties={properties}"]
        await self._begin(name, ["gst-launch-1.0", "-q", *pictures, "!", caps, "!", *sink])

    async def unplug_camera(self, name: str) -> None:
        await self._end(name)

    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in sorted(self._folder.glob("*.log")))

    async def __aenter__(self) -> Self:
        try:
            address = f"unix:path={self._folder}/bus"
            await self._begin("dbus", ["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={address}"])
            await until((self._folder / "bus").exists, timeout_ms=START_MS, what="the bus is there")
            await self._begin("pipewire", ["pipewire"])
            await until((self._folder / "pipewire-0").exists, timeout_ms=START_MS, what="PipeWire is there")
            await self._begin("wireplumber", ["wireplumber"])
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in reversed(list(self._processes)):
            await self._end(name)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _begin(self, name: str, command: Sequence[str]) -> None:
        with open(self._folder / f"{name}.log", "ab") as log:  # noqa: ASYNC230 -- its own small file
            self._processes[name] = await asyncio.create_subprocess_exec(
                *command,
                env={**os.environ, **self.environment, "HOME": str(self._folder)},
                cwd=self._folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _end(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
