"""A private PipeWire with WirePlumber and pipewire-pulse, used like the PulseAudio of pulse.py: with speakers and
microphones made of null devices, in a runtime folder of its own.
"""

import asyncio
import contextlib
import os
import shutil
from pathlib import Path

from tests.parts.pulse import START_MS, Pulse
from tests.parts.waiting import until

PROGRAMS = ("dbus-daemon", "pipewire", "wireplumber", "pipewire-pulse")
STOP_S = 3.0


def missing() -> list[str]:
    """What this machine lacks for it."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


class PipeWire(Pulse):
    """One server. What is to use it gets `environment`."""

    def __init__(self) -> None:
        super().__init__()
        self._run = self.folder / "run"
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PULSE_SERVER": f"unix:{self._run}/pulse/native",
            "PULSE_RUNTIME_PATH": str(self._run / "pulse"),
            "PULSE_STATE_PATH": str(self.folder),
            "PULSE_COOKIE": str(self.folder / "cookie"),
            "PIPEWIRE_RUNTIME_DIR": str(self._run),
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        }

    async def start(self) -> None:
        self._run.mkdir(mode=0o700, exist_ok=True)
        bus = f"unix:path={self._run}/bus"
        await self._begin("bus", "dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={bus}")
        await self._appears("bus")
        await self._begin("pipewire", "pipewire")
        await self._appears("pipewire-0")
        await self._begin("wireplumber", "wireplumber")
        await self._begin("pipewire-pulse", "pipewire-pulse")

        async def answers() -> bool:
            for name, process in self._processes.items():
                if process.returncode is not None:
                    raise RuntimeError(f"{name} ended with {process.returncode}:\n{self.log()}")
            return (await self._pactl("info", check=False)) is not None

        await until(answers, timeout_ms=START_MS, what=lambda: f"pipewire-pulse answers:\n{self.log()}")

    async def kill(self) -> None:
        """End the server, as a crash would; its devices are gone with it."""
        for playing in list(self._playing):
            await playing.stop()
        self._modules.clear()
        for process in reversed(self._processes.values()):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        self._processes.clear()
        shutil.rmtree(self._run, ignore_errors=True)

    def log(self) -> str:
        return "\n".join(
            f"{path.stem}: {path.read_text(errors='replace')[-2000:]}" for path in sorted(self.folder.glob("*.log"))
        )

    async def _appears(self, name: str) -> None:
        await until((self._run / name).exists, timeout_ms=START_MS, what=f"{name} in {self._run}")

    async def _begin(self, name: str, *command: str) -> None:
        environment = {**os.environ, **self.environment, "HOME": str(self.folder)}
        environment |= {"XDG_RUNTIME_DIR": str(self._run), "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self._run}/bus"}
        for unwanted in ("DISPLAY", "WAYLAND_DISPLAY", "PULSE_SERVER", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            environment.pop(unwanted, None)
        with open(Path(self.folder, f"{name}.log"), "ab") as log:  # noqa: ASYNC230 -- its own small file
            self._processes[name] = await asyncio.create_subprocess_exec(
                *command, env=environment, cwd=self.folder, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
