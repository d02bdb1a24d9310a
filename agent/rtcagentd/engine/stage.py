"""The connection to the display server: made where there is one, made again when it was lost."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from rtcagent.v1 import state_pb2 as state
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native
from rtcagentd.engine.media_events import MediaEvents
from rtcagentd.engine.threads import in_thread

log = logging.getLogger(__name__)

RETRY_S = 3.0  # a display server may start after the engine, and again after it


class Stage:
    """`on_change` is called when displays have come, gone or changed."""

    def __init__(self, wayland: str, x11: str, media_events: MediaEvents, on_change: Callable[[], None]) -> None:
        self._wayland = wayland
        self._x11 = x11
        self._media_events = media_events
        self._on_change = on_change
        self._native: _native.CanvasStage | None = None
        self._key = ""
        self._failure = types.Cause(reason=types.REASON_NO_DISPLAY, message="the display server was not asked yet")
        self._displays: list[_native.DisplayInfo] = []
        self._lost = asyncio.Event()
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="display server")

    async def wait_asked(self, timeout_s: float) -> None:
        """Return when the display server has answered, or not, for the first time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._asked.wait()

    @property
    def displays(self) -> list[_native.DisplayInfo]:
        """From the left, then from the top."""
        return self._displays

    def status(self) -> state.DisplayStatus:
        """The displays, without what is on them."""
        if not self._displays:
            return state.DisplayStatus(cause=self._failure)
        return state.DisplayStatus(displays=[_display(info) for info in self._displays])

    def show(self, canvases: Sequence[_native.CanvasSpec]) -> None:
        """What is to be seen, from the bottom to the top."""
        if self._native is not None:
            self._native.set_scene(list(canvases))

    def stats(self) -> "_native.StageStats | None":
        return self._native.stats() if self._native is not None else None

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._stop()

    async def _run(self) -> None:
        while True:
            await self._connect()
            self._asked.set()
            if self._native is not None:
                await self._lost.wait()
                await self._stop()
                self._on_change()
            await asyncio.sleep(RETRY_S)

    async def _connect(self) -> None:
        self._lost.clear()
        self._key = self._media_events.listen("stage", self._on_event)
        key, queue = self._key, self._media_events.queue
        try:
            self._native = await in_thread(lambda: _native.CanvasStage(key, self._wayland, self._x11, queue))
        except _native.NativeError as error:
            self._media_events.forget(key)
            self._fail(error.args[1])
            return
        self._displays = _sorted(self._native.displays())
        log.info("displays: %s", ", ".join(info.display_id for info in self._displays) or "none")
        self._on_change()

    async def _stop(self) -> None:
        native, self._native, self._displays = self._native, None, []
        if native is not None:
            self._media_events.forget(self._key)
            await in_thread(native.stop)

    def _fail(self, message: str) -> None:
        if self._failure.message != message:
            self._failure = types.Cause(reason=types.REASON_NO_DISPLAY, message=message)
            log.info("no display: %s", message)
            self._on_change()

    def _on_event(self, event: _native.Event) -> None:
        if event.kind == "failed":
            self._failure = types.Cause(reason=types.REASON_NO_DISPLAY, message=event.message)
            log.warning("the displays are gone: %s", event.message)
            self._lost.set()
        elif event.kind == "displays" and self._native is not None:
            self._displays = _sorted(self._native.displays())
            if not self._displays:
                self._failure = types.Cause(
                    reason=types.REASON_NO_DISPLAY, message="the display server has no monitor connected"
                )
            self._on_change()


def _sorted(displays: list[_native.DisplayInfo]) -> list[_native.DisplayInfo]:
    return sorted(displays, key=lambda info: (info.x, info.y, info.display_id))


def _display(info: _native.DisplayInfo) -> state.Display:
    abilities = [state.DISPLAY_ABILITY_FULL_SCREEN]
    if info.has_geometry:
        abilities.append(state.DISPLAY_ABILITY_GEOMETRY)
    if info.has_order:
        abilities.append(state.DISPLAY_ABILITY_ORDER)
    return state.Display(
        display_id=info.display_id,
        kind=state.Display.KIND_WAYLAND if info.kind == "WAYLAND" else state.Display.KIND_X11,
        description=info.description,
        width=info.width,
        height=info.height,
        x=info.x,
        y=info.y,
        abilities=abilities,
        missing=info.missing,
    )
