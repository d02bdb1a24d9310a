"""What stands in for sources without pictures: one slate for each source whose configuration wants one."""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native
from rtcagentd.engine.capture_settings import DEFAULT_FORMAT
from rtcagentd.engine.events import Events
from rtcagentd.engine.media_events import MediaEvents
from rtcagentd.engine.threads import in_thread

log = logging.getLogger(__name__)

DEFAULT_TEXT = "camera not connected"
_SHOWN_BY_DEFAULT = ("camera", "rtsp")


def is_wanted(config: types.CaptureConfig) -> bool:
    """Whether a source of this configuration has a slate."""
    if config.slate.mode == types.Slate.MODE_UNSPECIFIED:
        return config.input.WhichOneof("input") in _SHOWN_BY_DEFAULT
    return config.slate.mode == types.Slate.MODE_SHOWN


class Slates:
    """Owner of the native slates, by source_id. On the event loop only. A slate outlasts the captures of its source;
    captures show and hide it themselves.
    """

    def __init__(self, media_events: MediaEvents, events: Events, media_folders: Sequence[Path]) -> None:
        self._media_events = media_events
        self._events = events
        self._media_folders = media_folders
        self._slates: dict[str, _Slate] = {}
        self._reasons: dict[str, str] = {}
        self._closing: set[asyncio.Future[None]] = set()
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever a slate may have been shown or hidden."""
        self._listeners.append(listener)

    def forget_listener(self, listener: Callable[[], None]) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    def prepare(
        self, source_id: str, config: types.CaptureConfig, sinks: Sequence[_native.FrameSink]
    ) -> _native.Slate | None:
        """The slate of the source as it is configured now; None where it wants none."""
        if not is_wanted(config):
            self.drop(source_id)
            return None
        current = self._slates.get(source_id)
        spec = (config.slate.SerializeToString(), config.output.SerializeToString())
        if current is not None and current.spec == spec:
            return current.native
        was_shown = current is not None and current.native.is_shown
        self.drop(source_id)
        settings = self._settings(source_id, config)
        key = self._media_events.listen(f"slate of {source_id}", self._on_media_event)
        slate = self._slates[source_id] = _Slate(key, spec, _native.Slate(key, settings, self._media_events.queue))
        for sink in sinks:
            slate.native.attach(sink)
        if was_shown:
            slate.native.show()
        return slate.native

    def show(self, source_id: str, reason: types.Reason.ValueType) -> None:
        """Show the source's slate, if it has one; `reason`: why it has no pictures."""
        if slate := self._slates.get(source_id):
            slate.native.show()
            self._reasons[source_id] = types.Reason.Name(reason).removeprefix("REASON_")
        self.tell()

    def reason(self, source_id: str) -> str:
        """Why the source's slate is shown: the name of a Reason without its prefix; empty where it is not shown."""
        return self._reasons.get(source_id, "") if self.is_shown(source_id) else ""

    def is_shown(self, source_id: str) -> bool:
        slate = self._slates.get(source_id)
        return slate is not None and slate.native.is_shown

    def format_of(self, source_id: str) -> types.VideoFormat:
        """The size of the source's slate; empty where it is not shown."""
        slate = self._slates.get(source_id)
        if slate is None or not slate.native.is_shown:
            return types.VideoFormat()
        width, height = slate.native.size
        return types.VideoFormat(width=width, height=height)

    def attach(self, source_id: str, sink: _native.FrameSink) -> None:
        if slate := self._slates.get(source_id):
            slate.native.attach(sink)

    def detach(self, source_id: str, sink: _native.FrameSink) -> None:
        if slate := self._slates.get(source_id):
            slate.native.detach(sink)

    def drop(self, source_id: str) -> None:
        """No slate of this source is sent after this."""
        slate = self._slates.pop(source_id, None)
        if slate is None:
            return
        slate.native.hide()
        self._media_events.forget(slate.key)
        closing = in_thread(slate.native.close)
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self.tell()

    def source_ids(self) -> list[str]:
        return list(self._slates)

    async def close(self) -> None:
        """Drop all of them."""
        for source_id in self.source_ids():
            self.drop(source_id)
        if self._closing:
            await asyncio.wait(self._closing)

    def tell(self) -> None:
        """Something has happened that shows or hides slates."""
        for listener in self._listeners:
            listener()

    def _settings(self, source_id: str, config: types.CaptureConfig) -> _native.SlateSettings:
        settings = _native.SlateSettings()
        settings.title = config.slate.title or source_id
        settings.text = config.slate.text or DEFAULT_TEXT
        settings.width = config.output.width or DEFAULT_FORMAT.width
        settings.height = config.output.height or DEFAULT_FORMAT.height
        if config.slate.picture:
            real = Path(os.path.realpath(config.slate.picture))  # a link must not lead out of the folders
            if any(real.is_relative_to(os.path.realpath(folder)) for folder in self._media_folders):
                settings.picture_path = str(real)
            else:
                self._warn(f"the slate's picture {config.slate.picture} is in none of the folders allowed for media")
        return settings

    def _on_media_event(self, event: _native.Event) -> None:
        # A slate of words is better than none, and than a camera that is not captured for want of a picture.
        self._warn(f"the slate's picture cannot be used: {event.message}")

    def _warn(self, message: str) -> None:
        log.warning("%s", message)
        cause = types.Cause(reason=types.REASON_FILE_INVALID, message=message)
        self._events.emit(contract.EngineEvent(warning=contract.Warning(cause=cause)))


@dataclass(frozen=True)
class _Slate:
    key: str
    spec: tuple[bytes, bytes]  # what it was made of
    native: _native.Slate
