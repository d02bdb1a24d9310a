"""rtcagent-engine: starts the parts of the engine in order and stops them in reverse. Only here is the order known."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path

import grpc
from rtcagent.engine.v1 import engine_pb2_grpc as contract_grpc

from rtcagentd import __version__
from rtcagentd.engine import _native, logs, process
from rtcagentd.engine.audio_sources import AudioSources
from rtcagentd.engine.canvases import Canvases
from rtcagentd.engine.devices import Devices
from rtcagentd.engine.events import Events
from rtcagentd.engine.gate import Gate
from rtcagentd.engine.livekit.audio_processing import make_processor
from rtcagentd.engine.livekit.engine import LiveKitEngine
from rtcagentd.engine.media_events import MediaEvents
from rtcagentd.engine.messages import Messages
from rtcagentd.engine.playback import Playback
from rtcagentd.engine.pulse import Pulse
from rtcagentd.engine.recording_files import RecordingFolder
from rtcagentd.engine.recordings import Recordings
from rtcagentd.engine.server import EngineServer
from rtcagentd.engine.sound_devices import SoundDevices
from rtcagentd.engine.sound_status import SoundStatusWatch
from rtcagentd.engine.sources import Sources
from rtcagentd.engine.steps import Steps
from rtcagentd.engine.viewing import Viewing

log = logging.getLogger("rtcagentd.engine.main")  # the daemon runs it as __main__

CLOSE_DEADLINE_S = 3.0
MAX_MESSAGE_BYTES = 64 * 1024 * 1024  # a snapshot of the largest picture, as PNG; a message of 16 MiB


def main() -> None:
    """The entry point."""
    arguments = _parse(sys.argv[1:])
    process.bound_library_costs()
    logs.set_up(arguments.log_level)
    status = asyncio.run(_run(arguments))
    # Leave without the SDK's own clean-up at exit: everything is closed, and its threads may not end.
    logging.shutdown()
    os._exit(status)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="rtcagent-engine",
        description="The media process of rtcagentd, which starts it.",
        fromfile_prefix_chars="@",
    )
    parser.add_argument("--socket", type=Path, required=True, help="unix socket to serve the daemon on")
    parser.add_argument("--kind", choices=["livekit"], required=True)
    parser.add_argument("--build-version", default=__version__, help="only a daemon of this version is let in")
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info")
    parser.add_argument("--media-folder", type=Path, action="append", default=[], help="files in it may be played")
    parser.add_argument("--recording-folder", type=Path, help="where recordings are written; without it there are none")
    parser.add_argument("--recording-min-free-mb", type=int, default=500, help="of disk that recordings leave")
    parser.add_argument("--wayland-display", default="", help="the Wayland compositor to show canvases on")
    parser.add_argument("--x11-display", default="", help="the X server; without either, as the environment says")
    return parser.parse_args(arguments)


async def _run(arguments: argparse.Namespace) -> int:
    """The exit status."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # before anything slow, so that none is lost
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    if missing := _native.missing_elements():
        log.warning("these GStreamer elements are missing, some sources will not open: %s", ", ".join(missing))

    events = Events(on_overflow=process.die)
    gate = Gate()
    media_events = MediaEvents()
    messages = Messages()
    devices = Devices(events)
    sources = Sources(gate, media_events, events, devices.find, arguments.media_folder, process.die)
    devices.on_gone(sources.on_device_gone)
    audio_sources = AudioSources(gate, media_events, events, arguments.media_folder, make_processor, process.die)
    pulse = Pulse()
    sound_devices = SoundDevices(pulse, events)
    sound_status = SoundStatusWatch(pulse, events)
    playback = Playback(pulse, media_events, events)
    viewing = Viewing()
    engine = LiveKitEngine(
        *(gate, sources, audio_sources, media_events, events, messages, playback, process.die, viewing)
    )
    canvases = Canvases(
        arguments.wayland_display, arguments.x11_display, sources, viewing, engine.users, media_events, events
    )
    folder = RecordingFolder(arguments.recording_folder, arguments.recording_min_free_mb << 20)
    recordings = Recordings(folder, sources, audio_sources, viewing, media_events, events)
    steps = Steps()
    orphan_watch = process.OrphanWatch()
    closing: list[asyncio.Task[None]] = []

    async def close_once() -> None:
        """Close everything; frames stop first."""
        if not closing:
            process.end_within(CLOSE_DEADLINE_S)
            closing.append(asyncio.create_task(close()))
        await asyncio.shield(closing[0])

    async def close() -> None:
        gate.set([], [])
        await asyncio.gather(
            *(recordings.close(), engine.close(), sources.close_all(), audio_sources.close_all()),
            *(devices.close(), canvases.close()),
        )
        await playback.close()
        await pulse.close()
        await steps.cancel_all(timeout_s=1)
        media_events.close()
        events.end()
        messages.end()

    server = grpc.aio.server(
        options=[
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ]
    )
    servicer = EngineServer(
        arguments.build_version,
        engine,
        gate,
        sources,
        audio_sources,
        devices,
        sound_devices,
        playback,
        sound_status,
        pulse,
        events,
        messages,
        steps,
        orphan_watch,
        close_once,
        stopping.set,
        canvases,
        recordings,
    )
    contract_grpc.add_EngineServicer_to_server(servicer, server)
    server.add_insecure_port(f"unix:{arguments.socket}")
    devices.start()
    pulse.start()
    playback.start()
    canvases.start()
    await server.start()
    log.info("serving on %s, %s", arguments.socket, engine.version)

    orphaned = asyncio.create_task(orphan_watch.wait(), name="orphan watch")
    stop_ordered = asyncio.create_task(stopping.wait(), name="stop")
    await asyncio.wait([orphaned, stop_ordered], return_when=asyncio.FIRST_COMPLETED)
    for task in (orphaned, stop_ordered):
        task.cancel()
    await close_once()
    await server.stop(grace=0.3)  # long enough for the answer to Shutdown
    with contextlib.suppress(FileNotFoundError):
        arguments.socket.unlink()
    log.info("closed")
    return 0 if stopping.is_set() else process.EXIT_ORPHANED


if __name__ == "__main__":
    main()
