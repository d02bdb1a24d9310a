"""Brings what happens on media threads to the event loop, each to the one that made the object."""

import asyncio
import itertools
import logging
from collections.abc import Callable

from rtcagentd.engine import _native

log = logging.getLogger(__name__)

Listener = Callable[[_native.Event], None]


class MediaEvents:
    """Owner of the native event queue. Keys are never used twice, so what an old object still says reaches nobody."""

    def __init__(self) -> None:
        self.queue = _native.EventQueue()
        self._listeners: dict[str, Listener] = {}
        self._numbers = itertools.count(1)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.queue.fd, self._drain)

    def listen(self, name: str, listener: Listener) -> str:
        """The key to make a native object with; its events go to `listener` until `forget`."""
        key = f"{name}#{next(self._numbers)}"
        self._listeners[key] = listener
        return key

    def forget(self, key: str) -> None:
        self._listeners.pop(key, None)

    def close(self) -> None:
        self._loop.remove_reader(self.queue.fd)
        self._listeners.clear()

    def _drain(self) -> None:
        for event in self.queue.drain():
            listener = self._listeners.get(event.key)
            if listener is None:
                continue
            try:
                listener(event)
            except Exception:
                log.exception("handling the media event %s of %s failed", event.kind, event.key)
