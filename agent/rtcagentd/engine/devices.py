"""The cameras of this machine, followed as they come and go: V4L2's, and those that PipeWire has beside them."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable

from asyncinotify import Inotify, Mask
from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native
from rtcagentd.engine.events import Events
from rtcagentd.engine.pipewire_cameras import PipeWireCameras
from rtcagentd.engine.threads import in_thread

log = logging.getLogger(__name__)

# One camera makes several nodes, and udev changes their owner a moment later: look once they are quiet.
_QUIET_S = 0.3
_NODE = re.compile(r"video\d+")


class Devices:
    """Watches /dev itself, so that it works where there has never been a camera. On the event loop only."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._devices: dict[str, types.Device] = {}
        self._in_dev: dict[str, types.Device] = {}
        self._pipewire = PipeWireCameras(self._changed)
        self._on_gone: Callable[[types.Device], None] = lambda _: None
        self._task: asyncio.Task[None] | None = None
        self._listed = asyncio.Event()

    def start(self) -> None:
        self._task = asyncio.create_task(self._follow(), name="devices")
        self._task.add_done_callback(_tell_failure)
        self._pipewire.start()

    def on_gone(self, listener: Callable[[types.Device], None]) -> None:
        """Call `listener` when a device has gone away."""
        self._on_gone = listener

    async def wait_listed(self, timeout_s: float) -> None:
        """Until the first listing is there, or the time is over; what it finds later comes as events."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._listed.wait()

    def find(self, device_id: str) -> types.Device | None:
        return self._devices.get(device_id)

    def all(self) -> list[types.Device]:
        return [device for _, device in sorted(self._devices.items())]

    async def close(self) -> None:
        await self._pipewire.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _follow(self) -> None:
        with Inotify() as inotify:
            inotify.add_watch("/dev", Mask.CREATE | Mask.DELETE | Mask.MOVED_TO | Mask.ATTRIB)
            while True:
                await self._list()
                await self._wait_for_change(inotify)

    async def _wait_for_change(self, inotify: Inotify) -> None:
        changed = False
        while True:
            try:
                async with asyncio.timeout(_QUIET_S if changed else None):
                    event = await inotify.get()
            except TimeoutError:
                return
            if event.name is not None and _NODE.fullmatch(str(event.name)):
                changed = True

    async def _list(self) -> None:
        try:
            cameras = await in_thread(_native.list_cameras)
        except _native.NativeError as error:
            log.warning("the cameras cannot be listed: %s", error)
            self._listed.set()
            return
        self._in_dev = {camera.device_id: _device(camera) for camera in cameras}
        self._changed()
        self._listed.set()

    def _changed(self) -> None:
        """Tell what is new, and what is gone."""
        found = self._pipewire.cameras() | self._in_dev
        for device_id in self._devices.keys() - found.keys():
            log.info("camera %s is gone", device_id)
            self._on_gone(self._devices[device_id])
            self._events.emit(contract.EngineEvent(device_gone=contract.DeviceGone(device_id=device_id)))
        for device_id, device in found.items():
            if self._devices.get(device_id) != device:
                log.info("camera %s (%s) is at %s", device_id, device.name, device.path)
                self._events.emit(contract.EngineEvent(device_changed=contract.DeviceChanged(device=device)))
        self._devices = found


def _tell_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("cameras are no longer followed: %r", task.exception())


def _device(camera: _native.Camera) -> types.Device:
    return types.Device(
        device_id=camera.device_id,
        kind=types.Device.KIND_CAMERA,
        name=camera.name,
        path=camera.path,
        present=True,
        usb_port=camera.usb_port,
        serial=camera.serial,
        driver=camera.driver,
        formats=[
            types.CameraFormat(
                pixel_format=types.PixelFormat.Value(f"PIXEL_FORMAT_{format_.pixel_format}"),
                fourcc=format_.fourcc,
                width=format_.width,
                height=format_.height,
                fps=format_.fps,
            )
            for format_ in camera.formats
        ],
    )
