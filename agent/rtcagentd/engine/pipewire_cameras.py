"""The cameras that PipeWire has and V4L2 has not: virtual ones, and those of libcamera. Followed by `pw-dump`.

A process of its own: PipeWire's library in GStreamer's device monitor has been seen to abort the program at its end.
"""

import asyncio
import contextlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rtcagent.v1 import types_pb2 as types

log = logging.getLogger(__name__)

PATH_PREFIX = "pipewire:"
_LOOK_S = 2.0  # for a PipeWire that is started later, or again
_LINE_BYTES = 1 << 20
# It is not left behind, however this process ends.
_COMMAND = ("setpriv", "--pdeathsig", "KILL", "pw-dump", "--monitor", "--no-colors")


class PipeWireCameras:
    """`on_change` is called, on the event loop, whenever `cameras` has changed."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._nodes: dict[int, types.Device] = {}  # by PipeWire's number of the object
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._follow(), name="pipewire cameras")

    def cameras(self) -> dict[str, types.Device]:
        """Those that are there, by device_id."""
        return {device.device_id: device for _, device in sorted(self._nodes.items(), reverse=True)}

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _follow(self) -> None:
        while True:
            if _socket().exists():
                try:
                    await self._follow_once()
                except OSError as error:
                    log.info("PipeWire's cameras are not followed: %s", error)
                    return  # it is not installed
                if self._nodes:
                    self._nodes.clear()
                    self._on_change()
            await asyncio.sleep(_LOOK_S)

    async def _follow_once(self) -> None:
        """Until PipeWire ends."""
        dump = await asyncio.create_subprocess_exec(
            *_COMMAND,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE_BYTES,
        )
        assert dump.stdout is not None
        try:
            lines: list[bytes] = []
            async for line in dump.stdout:
                lines.append(line)
                if line.startswith(b"]"):  # the end of one list of objects
                    self.take(json.loads(b"".join(lines)))
                    lines.clear()
        except ValueError as error:
            log.warning("pw-dump says what is not understood: %s", error)
        finally:
            with contextlib.suppress(ProcessLookupError):
                dump.kill()
            await dump.wait()

    def take(self, objects: Iterable[dict[str, Any]]) -> None:
        """What has changed: objects as pw-dump writes them, those that are gone without `info`."""
        before = dict(self._nodes)
        for each in objects:
            properties = (each.get("info") or {}).get("props") or {}
            if _is_camera(properties):
                self._nodes[each["id"]] = _device(properties)
            else:
                self._nodes.pop(each["id"], None)
        if self._nodes != before:
            self._on_change()


def _is_camera(properties: dict[str, Any]) -> bool:
    """Of the role Camera: what a portal makes of a screen is a source, too. V4L2's are found without PipeWire."""
    return (
        properties.get("media.class") == "Video/Source"
        and properties.get("media.role") == "Camera"
        and properties.get("device.api") != "v4l2"
        and bool(properties.get("node.name"))
    )


def _device(properties: dict[str, Any]) -> types.Device:
    name = str(properties["node.name"])
    return types.Device(
        device_id="pipewire-" + re.sub(r"[^A-Za-z0-9_.:-]", "_", name)[:200],
        kind=types.Device.KIND_CAMERA,
        name=str(properties.get("node.description") or properties.get("node.nick") or name),
        path=PATH_PREFIX + name,
        present=True,
        driver=str(properties.get("device.api") or "pipewire"),
    )


def _socket() -> Path:
    """Where PipeWire is to be found; not there where it does not run."""
    folder = os.environ.get("PIPEWIRE_RUNTIME_DIR") or os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent"
    return Path(folder, os.environ.get("PIPEWIRE_REMOTE") or "pipewire-0")
