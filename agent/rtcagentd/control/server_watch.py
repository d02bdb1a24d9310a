"""Decides by looking at the room server when a lost room is given up, and when the next join is worth trying.

A join into a dead network hangs for seconds, also when the network is back meanwhile; so nothing is joined before the
server has answered a small request. Rooms that are being restored are left to the engine as long as that can still
work: a short outage keeps its session, and with it what the room sent meanwhile.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable

from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control.events import cause
from rtcagentd.control.objects import Key
from rtcagentd.control.progress import Progress, ProgressTable
from rtcagentd.control.server_probe import Answer, Sighting, sightings

log = logging.getLogger(__name__)

# A server that serves has restored the media by then (a second, mostly), or does not know the session any more.
RESTORE_S = 2.0
REFUSALS = 2  # in a row: one may be a server that is just opening its port
GIVE_UP_S = 10.0  # the server forgets a user that is silent for longer
LONG_OUTAGE_S = 3.0

# Failures after which only an answer of the server makes another try worth while.
GATED = frozenset({ty.REASON_SERVER_UNREACHABLE, ty.REASON_NETWORK_LOST, ty.REASON_TIMEOUT})


class ServerWatch:
    """One look-out per room that is lost or waits for its server; it ends by itself when the room needs it no more.

    What it finds goes into the room's progress: `drop`, or `retry_at`. On the event loop only.
    """

    def __init__(self, progress: ProgressTable, spread_s: float, wake: Callable[[], None]) -> None:
        self._progress = progress
        self._spread_s = spread_s
        self._wake = wake
        self._tasks: dict[Key, tuple[str, asyncio.Task[None]]] = {}

    def lost(self, key: Key, server_url: str) -> None:
        """The engine is restoring the connection of a room."""
        item = self._progress.of(key)
        if item.lost_at is None:
            item.lost_at = asyncio.get_running_loop().time()
        self._look_out(key, server_url)

    def restored(self, key: Key) -> None:
        item = self._progress.of(key)
        item.lost_at = item.drop = None

    def gate(self, key: Key, server_url: str) -> None:
        """A join failed, or a room ended, for want of its server."""
        self._progress.await_server(key, asyncio.get_running_loop().time())
        self._look_out(key, server_url)

    async def close(self) -> None:
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _look_out(self, key: Key, server_url: str) -> None:
        url, task = self._tasks.get(key, ("", None))
        if task is not None and not task.done():
            if url == server_url:
                return
            task.cancel()
        self._tasks[key] = server_url, asyncio.create_task(self._run(key, server_url), name=f"look-out {key.text}")

    async def _run(self, key: Key, server_url: str) -> None:
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        was_away = False
        lost = _Lost(server_url)
        async with contextlib.aclosing(sightings(server_url)) as seen:
            async for sighting in seen:
                item = self._progress.peek(key)
                now = loop.time()
                was_away = was_away or sighting.answer is not Answer.SERVES
                if item.lost_at is not None:
                    item.drop = lost.verdict(sighting, now, item.lost_at)
                    if item.drop is not None:
                        item.lost_at = None
                        self._wake()
                elif item.awaits_server:
                    if sighting.answer is Answer.SERVES:
                        self._let_join(item, now, prompt=was_away, outage_s=now - begun_at)
                        return
                elif item.drop is None and not item.in_flight:
                    return

    def _let_join(self, item: Progress, now: float, *, prompt: bool, outage_s: float) -> None:
        """`prompt`: the server was away; else it serves, and the failure is not to be repeated faster for that."""
        item.awaits_server = False
        item.retry_at = now if prompt or item.failures <= 1 else max(now, item.backed_off_until)
        if outage_s > LONG_OUTAGE_S:  # others wait for the same server
            item.retry_at += random.uniform(0, self._spread_s)
        self._wake()


class _Lost:
    """Judges a room whose connection is being restored."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._refusals = 0
        self._serves_since: float | None = None

    def verdict(self, sighting: Sighting, now: float, lost_at: float) -> ty.Cause | None:
        """Why the connection is to be given up; None: not now."""
        self._refusals = self._refusals + 1 if sighting.answer is Answer.REFUSED else 0
        if self._refusals >= REFUSALS:
            return cause(ty.REASON_SERVER_UNREACHABLE, f"{self._server_url} refuses connections: no server runs there")
        if sighting.answer is Answer.SERVES:
            self._serves_since = self._serves_since or now
            if now - max(self._serves_since, lost_at) >= RESTORE_S:
                text = f"{self._server_url} answers, and the connection to the room does not come back; it is made anew"
                return cause(ty.REASON_NETWORK_LOST, text)
        if now - lost_at >= GIVE_UP_S:
            return cause(ty.REASON_NETWORK_LOST, f"{self._server_url} does not answer; joined again when it does")
        return None
