"""A Wayland desktop of a test's own, without a screen: bus, PipeWire, sway, and the portal with sway's backend."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.parts.waiting import until

WIDTH, HEIGHT = 640, 480
START_MS = 20_000
STOP_S = 3.0
PROGRAMS = ("dbus-daemon", "pipewire", "wireplumber", "sway", "gst-launch-1.0", "gcc")
BACKEND = Path("/usr/libexec/xdg-desktop-portal-wlr")
PORTAL = Path("/usr/libexec/xdg-desktop-portal")
_SWAY = f"""output HEADLESS-1 resolution {WIDTH}x{HEIGHT}
default_border none
"""
_GRANTS = """[screencast]
output_name=HEADLESS-1
max_fps=30
chooser_type={chooser}
"""


def missing() -> list[str]:
    """What this machine lacks for it."""
    return [name for name in PROGRAMS if shutil.which(name) is None] + [
        path.name for path in (BACKEND, PORTAL) if not path.exists()
    ]


class PortalDesktop:
    """`async with PortalDesktop() as desktop:`; the engine finds it by `desktop.environment`.

    The person at the machine allows everything, or (`allows=False`) nothing. Where the test is root's, sway is
    nobody's, for it refuses root. Without `portal` there is a desktop without one.
    """

    def __init__(self, *, allows: bool = True, portal: bool = True) -> None:
        # Not in a test's folder: the path of a unix socket has at most 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="desktop-"))
        self._run = self.folder / "run"
        self._allows = allows
        self._has_portal = portal
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._display = ""
        self._backend = asyncio.create_task(asyncio.sleep(0))

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DISPLAY": "",
            "WAYLAND_DISPLAY": self._display,
            "XDG_RUNTIME_DIR": str(self._run),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self._run}/bus",
            "XDG_STATE_HOME": str(self.folder / "state"),
        }

    @property
    def tokens(self) -> list[Path]:
        """The files in which the engine keeps what was allowed."""
        return sorted((self.folder / "state").glob("rtcagent-portal/*"))

    async def show(self, pattern: str) -> None:
        """A picture over the whole screen: "red", "green", "blue" ...; "" for none."""
        await self._end("picture")
        if pattern:
            source = ["videotestsrc", "is-live=true", f"pattern={pattern}"]
            caps = f"video/x-raw,width={WIDTH},height={HEIGHT},framerate=20/1"
            await self._begin(
                "picture", ["gst-launch-1.0", "-q", *source, "!", caps, "!", "videoconvert", "!", "waylandsink"]
            )

    async def end_backend(self) -> None:
        """The part that reads the screen ends, as in a crash."""
        self._backend.cancel()
        await asyncio.wait([self._backend])
        self._processes["backend"].kill()
        await self._end("backend")

    async def start(self) -> None:
        for folder in (self._run, self.folder / "cfg/sway", self.folder / "cfg/xdg-desktop-portal-wlr"):
            folder.mkdir(parents=True, mode=0o700)
        (self.folder / "cfg/sway/config").write_text(_SWAY)
        chooser = "none" if self._allows else "simple\nchooser_cmd=false"
        (self.folder / "cfg/xdg-desktop-portal-wlr/config").write_text(_GRANTS.format(chooser=chooser))
        library = self.folder / "screencopy_shm.so"
        source = Path(__file__).with_name("screencopy_shm.c")
        compiler = await asyncio.create_subprocess_exec(
            "gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"
        )
        assert await compiler.wait() == 0
        if os.getuid() == 0:
            for path in [self.folder, *self.folder.rglob("*")]:
                shutil.chown(path, "nobody", "nogroup")
        address = f"unix:path={self._run}/bus"
        await self._begin("bus", ["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={address}"])
        await self._appears("bus")
        await self._begin("pipewire", ["pipewire"])
        await self._appears("pipewire-0")
        await self._begin("wireplumber", ["wireplumber"])
        await self._begin("sway", ["sway"], WLR_BACKENDS="headless", WLR_RENDERER="pixman", WLR_LIBINPUT_NO_DEVICES="1")
        await until(lambda: bool(self._sockets()), timeout_ms=START_MS, what=lambda: f"sway starts: {self.log('sway')}")
        self._display = self._sockets()[0].name
        if self._has_portal:
            self._backend = asyncio.create_task(self._keep_backend(library))
            await self._owns("org.freedesktop.impl.portal.desktop.wlr")
            await self._begin("portal", [str(PORTAL), "-r"])
            await self._owns("org.freedesktop.portal.Desktop")

    async def stop(self) -> None:
        self._backend.cancel()
        await asyncio.wait([self._backend])
        for name in reversed(list(self._processes)):
            await self._end(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self, name: str) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / f"{name}.log").read_text(errors="replace")[-4000:]
        return ""

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _keep_backend(self, library: Path) -> None:
        """Run it, and again when it ends, as systemd does: 0.7 may crash when a session is closed."""
        while True:
            await self._begin("backend", [str(BACKEND), "-r", "-l", "INFO"], LD_PRELOAD=str(library))
            await self._processes["backend"].wait()
            await asyncio.sleep(0.1)  # systemd's pause

    def _sockets(self) -> list[Path]:
        return sorted(path for path in self._run.glob("wayland-*") if path.suffix != ".lock")

    async def _appears(self, name: str) -> None:
        await until((self._run / name).exists, timeout_ms=START_MS, what=f"{name} in {self._run}")

    async def _owns(self, name: str) -> None:
        """Until somebody serves this name on the session bus."""

        async def is_owned() -> bool:
            call = ["dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.DBus", "/"]
            call += ["org.freedesktop.DBus.NameHasOwner", f"string:{name}"]
            asking = await asyncio.create_subprocess_exec(
                *call,
                env={**os.environ, **self.environment},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            return b"true" in (await asking.communicate())[0]

        await until(is_owned, timeout_ms=START_MS, what=lambda: f"{name}: {self.log('backend')}{self.log('portal')}")

    async def _begin(self, name: str, command: Sequence[str], **variables: str) -> None:
        is_refused = os.getuid() == 0 and command[0] == "sway"
        as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if is_refused else []
        environment = {**os.environ, **self.environment, "HOME": str(self.folder), **variables}
        environment |= {"XDG_CONFIG_HOME": f"{self.folder}/cfg", "XDG_CURRENT_DESKTOP": "sway"}
        for unwanted in ("PULSE_SERVER", "DISPLAY"):
            environment.pop(unwanted, None)
        if not self._display:
            environment.pop("WAYLAND_DISPLAY", None)
        with open(self.folder / f"{name}.log", "ab") as log:  # noqa: ASYNC230 -- its own small file
            self._processes[name] = await asyncio.create_subprocess_exec(
                *as_nobody, *command,
                env=environment,
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )  # fmt: skip

    async def _end(self, name: str) -> None:
        process = self._processes.pop(name, None)
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
