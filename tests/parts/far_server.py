"""An agent and its room server with a network between them that can be cut, and a listener on the server's side."""

import asyncio
import contextlib
import os
import time
from pathlib import Path

from tests.parts.controller import bars
from tests.parts.daemon import NAME, Daemon
from tests.parts.listener import Listener
from tests.parts.network import CutNetwork
from tests.parts.room_server import RoomServer

ROOM = "lobby"
CAMERA = "camera"
RETRY = {"first_ms": 250, "max_ms": 10_000}  # as in a configuration without [retry]


class FarServer:
    """All of it, running, with the agent in the room and its picture at the listener. Needs root."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "FarServer":
        async with contextlib.AsyncExitStack() as parts:
            self.network = parts.enter_context(CutNetwork())
            # Not of those that the kernel gives to others: while the server is down its ports are nobody's.
            first_port = 20_000 + os.getpid() % 3000 * 4
            host, interface = self.network.server_host, self.network.interface
            self.server = RoomServer(self._folder, host=host, interface=interface, first_port=first_port)
            await parts.enter_async_context(self.server)
            self.daemon = Daemon(
                self._folder, room_server=self.server, settings={"retry": RETRY}, namespace=self.network.namespace
            )
            parts.push_async_callback(self.daemon.close)
            self.listener = Listener()
            parts.push_async_callback(self._close_listener)
            await self.daemon.start()
            await self.listen()
            await self.daemon.control.start_capture(bars())
            await self.daemon.control.join(ROOM)
            await self.listener.frames(NAME, CAMERA, count=30)
            self._parts = parts.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._parts.aclose()

    async def listen(self) -> None:
        """Join as listener, again where the server has forgotten the last one."""
        await self.listener.close()
        self.listener = Listener()
        await self.listener.join(self.server.url, self.server.token(ROOM, "listener"))

    async def frame_after(self, moment: float, *, timeout_ms: float) -> float:
        """When the first frame after `moment` arrived, of the monotonic clock."""
        video = self.listener.video(NAME, CAMERA)
        while not any(at > moment for at in video.arrivals):
            left_ms = timeout_ms - (time.monotonic() - moment) * 1000
            await self.listener.frames(NAME, CAMERA, timeout_ms=max(1.0, left_ms))
        return next(at for at in video.arrivals if at > moment)

    async def _close_listener(self) -> None:
        await self.listener.close()


async def lasts(begin: float, seconds: float) -> None:
    """An outage lasts so long: the one thing that is time itself, and not a fact to wait for."""
    await asyncio.sleep(max(0.0, begin + seconds - time.monotonic()))
