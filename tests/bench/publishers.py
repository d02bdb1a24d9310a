"""Three ways to publish the same video: this project, the bare LiveKit SDK in Python, Chromium with livekit-client."""

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any, Protocol

from rtcagent.v1 import types_pb2 as ty

from tests.parts import y4m
from tests.parts.chromium import Chromium
from tests.parts.daemon import Daemon
from tests.parts.room_server import RoomServer

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT, FPS, BITRATE_BPS = 1280, 720, 30, 2_000_000
STREAM = "camera"


def moving_picture() -> Path:
    """The y4m file that all of them publish; made at the first call."""
    path = ROOT / "build" / "bench" / "moving-720p30.y4m"
    return y4m.make(path, width=WIDTH, height=HEIGHT, fps=FPS, seconds=5)


def encoder() -> ty.VideoEncoderConfig:
    return ty.VideoEncoderConfig(codec=ty.VIDEO_CODEC_VP8, max_bitrate_bps=BITRATE_BPS, max_fps=FPS)


class Publisher(Protocol):
    """Publishes the moving picture as `camera` while the context lasts."""

    user_id: str

    async def __aenter__(self) -> "Publisher": ...
    async def __aexit__(self, *_: object) -> None: ...
    def pids(self) -> list[int]: ...


class BareProcess:
    """The bare SDK in a process of its own, which takes orders."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def __aenter__(self) -> "BareProcess":
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.parts.bare_publisher",
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        await self._answer()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def obey(self, *orders: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(orders).encode() + b"\n")
        await self._process.stdin.drain()
        await self._answer()

    async def _answer(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        if not await self._process.stdout.readline():
            raise RuntimeError(f"the bare publisher ended with {await self._process.wait()}")


class BarePublishing:
    """The bare SDK in Python."""

    def __init__(self, server: RoomServer, room_id: str) -> None:
        self.user_id = "bare"
        self._server, self._room_id = server, room_id
        self._process = BareProcess()

    async def __aenter__(self) -> "BarePublishing":
        await self._process.__aenter__()
        await self._process.obey(
            {"do": "capture_file", "path": str(moving_picture())},
            {"do": "join", "url": self._server.url, "token": self._server.token(self._room_id, self.user_id)},
            {"do": "publish"},
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._process.__aexit__(*error)

    def pids(self) -> list[int]:
        return [self._process.pid]


class ChromiumPublishing:
    """Chromium with livekit-client; the file is its camera."""

    def __init__(self, server: RoomServer, room_id: str) -> None:
        self.user_id = "chromium"
        self._server, self._room_id = server, room_id
        self._browser = Chromium(camera_file=moving_picture())

    async def __aenter__(self) -> "ChromiumPublishing":
        await self._browser.__aenter__()
        token = self._server.token(self._room_id, self.user_id)
        await self._browser.join(self._server.url, token, subscribe=False)
        await self._browser.publish(width=WIDTH, height=HEIGHT, fps=FPS, max_bitrate_bps=BITRATE_BPS, name=STREAM)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._browser.__aexit__(None, None, None)

    def pids(self) -> list[int]:
        return self._browser.pids()


class AgentPublishing:
    """This project: daemon and engine; the file is the source."""

    def __init__(self, server: RoomServer, room_id: str, folder: Path) -> None:
        self.user_id = "agent"
        self._room_id = room_id
        folder.mkdir(parents=True)
        self.daemon = Daemon(folder, room_server=server, settings=agent_settings())

    async def __aenter__(self) -> "AgentPublishing":
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self.daemon.close)
            await self.daemon.start()
            control = self.daemon.control
            await control.join(self._room_id, user_id=self.user_id, auto_publish=False, auto_subscribe_video=False)
            file = ty.VideoInput.File(path=str(moving_picture()), loop=True)
            await control.start_capture(ty.CaptureConfig(input=ty.VideoInput(file=file)))
            await control.publish(self._room_id, encoder=encoder())
            undo.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.daemon.close()

    def pids(self) -> list[int]:
        return self.daemon.pids()


def agent_settings() -> dict[str, Any]:
    """As in production, with the folder of the moving picture allowed."""
    return {"log_level": "info", "media": {"folders": [str(moving_picture().parent)]}}
