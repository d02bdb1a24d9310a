"""A person's browser: headless Chromium with livekit-client. It joins rooms, renders what arrives, and can publish."""

import base64
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType

from aiohttp import web
from playwright.async_api import Browser, Page, Playwright, async_playwright

from tests.parts import processes
from tests.parts.picture import Picture, decode
from tests.parts.waiting import until

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS / "e2e" / "page"
BINARY = os.environ.get("RTCAGENT_CHROMIUM", "/usr/bin/chromium")
CLIENT = TESTS / "node_modules" / "livekit-client" / "dist" / "livekit-client.umd.js"
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
]
START_MS = 10_000


class Chromium:
    """One browser with one page, in one room."""

    def __init__(self, *, camera_file: Path | None = None) -> None:
        """`camera_file`: a y4m file that the browser takes for its camera."""
        self.console: list[str] = []
        self._flags = list(FLAGS)
        if camera_file is not None:
            self._flags += [
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-video-capture={camera_file}",
            ]
        self._runner: web.AppRunner | None = None
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._page: Page | None = None
        self._before: set[int] = set()

    @property
    def page(self) -> Page:
        assert self._page is not None, "the browser does not run"
        return self._page

    async def __aenter__(self) -> "Chromium":
        if not CLIENT.exists():
            raise FileNotFoundError(f"no livekit-client at {CLIENT}: run `npm ci` in {TESTS}")
        self._before = set(processes.descendants(os.getpid()))
        try:
            address = await self._serve()
            self._playwright = await async_playwright().start()
            self._browser = await self._playwright.chromium.launch(
                executable_path=BINARY, args=self._flags, chromium_sandbox=False
            )
            self._page = await self._browser.new_page()
            self._page.on("console", lambda message: self.console.append(message.text))
            self._page.on("pageerror", lambda error: self.console.append(str(error)))
            await self._page.goto(address)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def join(self, url: str, token: str, *, subscribe: bool = True) -> None:
        await self.page.evaluate("([url, token, options]) => page.join(url, token, options)", [
            url, token, {"subscribe": subscribe}
        ])  # fmt: skip

    async def publish(self, *, width: int, height: int, fps: float, max_bitrate_bps: int, name: str) -> None:
        """Publish the browser's camera."""
        await self.page.evaluate(
            "(options) => page.publish(options)",
            {"width": width, "height": height, "fps": fps, "maxBitrateBps": max_bitrate_bps, "name": name},
        )

    async def frame_count(self, user_id: str, name: str) -> int:
        """Frames of a stream that were rendered so far."""
        return int(await self.page.evaluate("([user, name]) => page.frames(user, name)", [user_id, name]))

    async def frames(self, user_id: str, name: str, *, count: int = 1, timeout_ms: float = START_MS) -> None:
        """Wait for `count` rendered frames more than there are now."""
        wanted = await self.frame_count(user_id, name) + count

        async def enough() -> bool:
            return await self.frame_count(user_id, name) >= wanted

        await until(
            enough,
            timeout_ms=timeout_ms,
            what=lambda: f"Chromium renders {count} frames of {name!r} of {user_id!r}; console: {self.console}",
        )

    async def picture(self, user_id: str, name: str) -> Picture:
        """What is rendered of a stream now, in the size that arrives."""
        url = str(await self.page.evaluate("([user, name]) => page.picture(user, name)", [user_id, name]))
        return decode(base64.b64decode(url.partition(",")[2]))

    async def screenshot(self, path: Path) -> Picture:
        """The whole page as it is shown, also as a PNG file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return decode(await self.page.screenshot(path=path))

    async def events(self) -> list[dict[str, str]]:
        return list(await self.page.evaluate("() => page.events"))

    def pids(self) -> list[int]:
        """The browser's processes; not those of the tool that drives it."""
        return [
            pid
            for pid in processes.descendants(os.getpid())
            if pid not in self._before and "chromium" in (processes.command(pid) or [""])[0]
        ]

    async def _serve(self) -> str:
        app = web.Application()
        for name, path in {
            "livekit-client.umd.js": CLIENT,
            "page.js": PAGE / "page.js",
            "": PAGE / "index.html",
        }.items():
            app.router.add_get(f"/{name}", _sending(path))
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/"

    async def _close(self) -> None:
        left = [processes.KnownProcess(pid) for pid in self.pids()]
        if self._browser is not None:
            await self._browser.close()
        if self._playwright is not None:
            await self._playwright.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        for process in left:  # a browser that was asked to close and did not is not left running
            if not await process.wait(3000):
                process.signal(signal.SIGKILL)
            process.close()


def _sending(path: Path) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(path)

    return handle
