"""The events of native media, as a test waits for them."""

import asyncio
from collections.abc import Callable

from rtcagentd.engine import _native

from tests.parts.waiting import Changes


class MediaEvents:
    """Drains a queue when its descriptor says so, and keeps every event. For use inside `async with`."""

    def __init__(self) -> None:
        self.queue = _native.EventQueue()
        self.seen: list[_native.Event] = []
        self._changes = Changes()

    async def __aenter__(self) -> "MediaEvents":
        asyncio.get_running_loop().add_reader(self.queue.fd, self._drain)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self.queue.fd)

    async def first(self, kind: str, *, timeout_ms: float = 10_000) -> _native.Event:
        """The first event of a kind."""
        return await self.where(lambda event: event.kind == kind, timeout_ms=timeout_ms, what=kind)

    async def where(
        self, wanted: Callable[[_native.Event], bool], *, timeout_ms: float = 10_000, what: str
    ) -> _native.Event:
        """The first event for which `wanted` holds."""

        def found() -> list[_native.Event]:
            return [event for event in self.seen if wanted(event)]

        await self._changes.until(
            lambda: bool(found()), timeout_ms=timeout_ms, what=lambda: f"event {what}; seen: {self.told()}"
        )
        return found()[0]

    def told(self) -> list[tuple[str, str, str, str]]:
        return [(event.key, event.kind, event.reason, event.message) for event in self.seen]

    def _drain(self) -> None:
        self.seen += self.queue.drain()
        self._changes.tell()


def settings_of(**fields: object) -> _native.CaptureSettings:
    """Settings with these fields, small and quick unless they say otherwise."""
    settings = _native.CaptureSettings()
    for name, value in ({"width": 320, "height": 180, "fps": 30.0} | fields).items():
        setattr(settings, name, value)
    return settings
