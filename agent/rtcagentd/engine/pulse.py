"""The sound server of this machine (PulseAudio, or PipeWire, which speaks its protocol): the devices that it has,
followed as they come and go, and this engine's own streams moved between them.
"""

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

log = logging.getLogger(__name__)

# One device makes several events: look once they are quiet, and at once where a stream of ours may have lost its own.
_QUIET_S = 0.05
_RETRY_S = 1.0  # a local socket is asked
_ANSWER_S = 5.0

_DUMMY = "auto_null"  # what the server plays to, unheard, while it has no speaker

_USB_PORT = re.compile(r"/(\d+-[\d.]+):\d+\.\d+/")

Kind = Literal["speaker", "microphone"]

# The property by which streams of this engine are found again: set it, to a name of your own, where one is made.
STREAM_PROPERTY = "rtcagent.stream"


@dataclass(frozen=True)
class SoundDevice:
    """A speaker or microphone. Its name is made by the server of stable properties: card, USB port, serial number."""

    kind: Kind
    name: str  # "alsa_output.usb-…": what streams are opened on, and the device_id
    description: str
    index: int  # of the server, for as long as the device is there
    monitor: str = ""  # of a speaker: the name of the source of what is played on it
    is_hardware: bool = False
    serial: str = ""
    bus_path: str = ""
    driver: str = ""
    usb_port: str = ""  # "1-2.3"
    alsa_card: str = ""  # the kernel's id of the card


@dataclass(frozen=True)
class Snapshot:
    """What the server has at one moment; the same from one change to the next."""

    speakers: dict[str, SoundDevice] = field(default_factory=dict)
    microphones: dict[str, SoundDevice] = field(default_factory=dict)
    default_speaker: str = ""
    default_microphone: str = ""
    server: str = ""  # its own name and version
    # Streams of this process by their STREAM_PROPERTY, and the device that each is on now; "" where that is not known.
    streams: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PlayedStream:
    """A stream of some program on its way to a speaker."""

    properties: Mapping[str, str]  # as the program gave them: "application.name", "media.name"
    speaker: str
    is_muted: bool
    is_paused: bool


class PulseUnreachable(Exception):
    """There is no sound server, or it did not do what it was asked to."""


class Pulse:
    """One connection to the server, made again whenever it is lost. On the event loop only; never blocks it."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.problem = "the sound server was not asked yet"  # why there is no connection; empty where there is one
        self._listeners: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._client: Any = None  # pulsectl_asyncio.PulseAsync while connected
        self._listed = asyncio.Event()
        self._asking = asyncio.Lock()

    @property
    def is_connected(self) -> bool:
        return not self.problem

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever `snapshot` or `problem` has changed."""
        self._listeners.append(listener)

    def start(self) -> None:
        self._task = asyncio.create_task(self._follow(), name="sound server")

    async def wait_listed(self, timeout_s: float) -> None:
        """Until it is known what there is, or that there is no server; or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._listed.wait()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def device(self, name: str) -> SoundDevice | None:
        return self.snapshot.speakers.get(name) or self.snapshot.microphones.get(name)

    async def move(self, stream: str, device: str) -> None:
        """Move the stream of this process with that STREAM_PROPERTY; it goes on there without being opened anew.

        PulseUnreachable: no connection, no such stream or device, or the server refuses.
        """
        found = self.device(device)
        client = self._client
        if client is None or found is None:
            raise PulseUnreachable(self.problem or f"the sound server has no device {device}")
        async with self._answers():
            if found.kind == "speaker":
                streams, move = await client.sink_input_list(), client.sink_input_move
            else:
                streams, move = await client.source_output_list(), client.source_output_move
            own = [each for each in streams if _stream_name(each) == stream]
            if not own:
                raise PulseUnreachable(f"the sound server has no stream {stream} of this engine")
            for each in own:
                await move(each.index, found.index)

    async def played(self) -> list[PlayedStream]:
        """What plays now, but for streams of an agent. PulseUnreachable."""
        client = self._client
        if client is None:
            raise PulseUnreachable(self.problem)
        async with self._answers():
            streams = await client.sink_input_list()
        names = {device.index: device.name for device in self.snapshot.speakers.values()}
        return [
            PlayedStream(each.proplist, names.get(each.sink, ""), is_muted=bool(each.mute), is_paused=bool(each.corked))
            for each in streams
            if STREAM_PROPERTY not in each.proplist
        ]

    async def _follow(self) -> None:
        told = ""
        while True:
            try:
                await self._serve()
            except PulseUnreachable as error:
                self.problem = str(error)
            except Exception as error:  # the library raises whatever libpulse says
                self.problem = f"the connection to the sound server was lost: {error or type(error).__name__}"
            if self.problem != told:
                log.warning("no sound: %s", self.problem)
                told = self.problem
            self._client = None
            self._take(Snapshot())
            self._listed.set()
            await asyncio.sleep(_RETRY_S)

    async def _serve(self) -> None:
        """Connect and keep the snapshot up to date, until the connection is lost."""
        try:  # here, so that a machine without libpulse has an engine all the same
            from pulsectl import PulseError
            from pulsectl_asyncio import PulseAsync
        except (ImportError, OSError) as error:
            raise PulseUnreachable(f"the library of the sound server cannot be loaded (libpulse0): {error}") from error
        client = PulseAsync("rtcagent-engine")
        try:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    await client.connect()
            except (PulseError, TimeoutError) as error:
                raise PulseUnreachable(
                    "no sound server (PulseAudio or PipeWire with pipewire-pulse) answers; start one in the session or "
                    "as the user that the engine runs as"
                ) from error
            changed = asyncio.Event()
            watching = asyncio.create_task(_watch(client, changed), name="sound server events")
            try:
                self._client = client
                while True:
                    changed.clear()
                    await self._list(client)
                    if self.problem:
                        log.info("connected to the sound server")
                    self.problem = ""
                    self._listed.set()
                    for listener in self._listeners:
                        listener()
                    waiting = asyncio.create_task(changed.wait())
                    await asyncio.wait([waiting, watching], return_when=asyncio.FIRST_COMPLETED)
                    waiting.cancel()
                    if watching.done():
                        watching.result()
                        raise PulseUnreachable("the sound server ended")
                    await asyncio.sleep(_QUIET_S)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        finally:
            client.close()

    async def _list(self, client: Any) -> None:
        async with self._answers():
            info = await client.server_info()
            sinks, sources = await client.sink_list(), await client.source_list()
            inputs, outputs = await client.sink_input_list(), await client.source_output_list()
        on = {each.index: each.name for each in sinks}
        of = {each.index: each.name for each in sources}
        streams = {_stream_name(each): on.get(each.sink, "") for each in inputs}
        streams |= {_stream_name(each): of.get(each.source, "") for each in outputs}
        streams.pop("", None)
        speakers = {each.name: _device("speaker", each) for each in sinks if each.name != _DUMMY}
        microphones = {each.name: _device("microphone", each) for each in sources if not _is_monitor(each)}
        self.snapshot = Snapshot(
            speakers=speakers,
            microphones=microphones,
            default_speaker=info.default_sink_name if info.default_sink_name in speakers else "",
            default_microphone=info.default_source_name if info.default_source_name in microphones else "",
            server=f"{info.server_name} {info.server_version}",
            streams=streams,
        )

    def _take(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        for listener in self._listeners:
            listener()

    @contextlib.asynccontextmanager
    async def _answers(self) -> AsyncIterator[None]:
        """One question at a time, each with its deadline: a server that hangs is as good as none."""
        from pulsectl import PulseError

        async with self._asking:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    yield
            except TimeoutError as error:
                raise PulseUnreachable("the sound server does not answer") from error
            except PulseError as error:
                raise PulseUnreachable(f"the sound server refused: {error or type(error).__name__}") from error


async def _watch(client: Any, changed: asyncio.Event) -> None:
    async for _ in client.subscribe_events("sink", "source", "server", "sink_input", "source_output"):
        changed.set()


def _device(kind: Kind, info: Any) -> SoundDevice:
    properties = info.proplist
    return SoundDevice(
        kind=kind,
        name=info.name,
        description=info.description or info.name,
        index=info.index,
        monitor=getattr(info, "monitor_source_name", "") or "" if kind == "speaker" else "",
        is_hardware=properties.get("device.class") == "sound" or "device.bus" in properties,
        serial=properties.get("device.serial", ""),
        bus_path=properties.get("device.bus_path", ""),
        driver=info.driver or "",
        usb_port=found[1] if (found := _USB_PORT.search(properties.get("sysfs.path", ""))) else "",
        alsa_card=_card_id(properties.get("alsa.card", "") or properties.get("api.alsa.card", "")),
    )


def _card_id(number: str) -> str:
    """The kernel's id of a card by its number, which may be another one after the next boot."""
    if not number.isdecimal():
        return ""
    try:
        return Path(f"/proc/asound/card{number}/id").read_text().strip()
    except OSError:
        return ""


def _is_monitor(source: Any) -> bool:
    return bool(source.monitor_of_sink_name) or source.proplist.get("device.class") == "monitor"


def _stream_name(stream: Any) -> str:
    """The STREAM_PROPERTY of a stream of this process; empty for those of others."""
    properties = stream.proplist
    if properties.get("application.process.id") != str(os.getpid()):
        return ""
    return str(properties.get(STREAM_PROPERTY, ""))
