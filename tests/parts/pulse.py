"""A private PulseAudio server with speakers and microphones made of null devices, in a runtime folder of its own.

A speaker is a null sink: what is played to it is recorded from it. A microphone is a source that hears what is played
to its own null sink, which is called MICROPHONE.mouth. Both can be unplugged and plugged in again.
"""

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.parts import sound
from tests.parts.sound import RATE, Samples
from tests.parts.waiting import until

START_MS = 10_000
STOP_MS = 3_000


class Pulse:
    """One server. What is to use it gets `environment`."""

    def __init__(self) -> None:
        # The path of a unix socket has at most 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="pulse-"))
        self._socket = self.folder / "native"
        self._log_path = self.folder / "pulseaudio.log"
        self._process: asyncio.subprocess.Process | None = None
        self._modules: dict[str, list[int]] = {}
        self._playing: set[Playing] = set()

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that lead a client to this server, and to no other and to no session bus."""
        return {
            "PULSE_SERVER": f"unix:{self._socket}",
            "PULSE_RUNTIME_PATH": str(self.folder),
            "PULSE_STATE_PATH": str(self.folder),
            "PULSE_COOKIE": str(self.folder / "cookie"),
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        }

    async def start(self) -> None:
        """Run the server, without any device; returns when it answers."""
        script = self.folder / "start.pa"
        script.write_text(f"load-module module-native-protocol-unix socket={self._socket} auth-anonymous=1\n")
        with open(self._log_path, "ab") as log:  # noqa: ASYNC230 -- a file of this machine
            self._process = await asyncio.create_subprocess_exec(
                "pulseaudio",
                *("-n", "--file", script, "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"),
                *("--disable-shm=yes", "--realtime=no", "--high-priority=no", "--log-target=stderr"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.environment,
            )

        async def answers() -> bool:
            assert self._process is not None
            if self._process.returncode is not None:
                raise RuntimeError(f"pulseaudio ended with {self._process.returncode}:\n{self.log()}")
            return self._socket.exists() and (await self._pactl("info", check=False)) is not None

        await until(answers, timeout_ms=START_MS, what=lambda: f"pulseaudio answers:\n{self.log()}")

    async def kill(self) -> None:
        """End the server, as a crash would; its devices are gone with it."""
        for playing in list(self._playing):
            await playing.stop()
        self._modules.clear()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None
        self._socket.unlink(missing_ok=True)

    async def close(self) -> None:
        await self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- devices

    async def add_speaker(self, name: str, *, channels: int = 2) -> None:
        """Plug in a speaker. The first one is the default until `set_default_speaker`."""
        properties = f'sink_properties=device.description="{name}"'
        module = await self._load("module-null-sink", f"sink_name={name}", f"channels={channels}", properties)
        self._modules.setdefault(name, []).append(module)

    async def add_microphone(self, name: str, *, channels: int = 1) -> None:
        """Plug in a microphone; `play(f"{name}.mouth", ...)` speaks into it."""
        await self.add_speaker(f"{name}.mouth", channels=channels)
        module = await self._load(
            "module-remap-source",
            f"source_name={name}",
            f"master={name}.mouth.monitor",
            f"channels={channels}",
            f'source_properties=device.description="{name}"',
        )
        self._modules[name] = [*self._modules.pop(f"{name}.mouth"), module]

    async def combine(self, name: str, *speakers: str) -> None:
        """A speaker whose sound comes out of several at the same time."""
        self._modules[name] = [
            await self._load("module-combine-sink", f"sink_name={name}", f"slaves={','.join(speakers)}")
        ]

    async def remove(self, name: str) -> None:
        """Unplug a speaker or microphone."""
        for module in reversed(self._modules.pop(name)):
            await self._pactl("unload-module", str(module))

    async def set_default_speaker(self, name: str) -> None:
        await self._pactl("set-default-sink", name)

    async def set_default_microphone(self, name: str) -> None:
        await self._pactl("set-default-source", name)

    async def speakers(self) -> list[dict[str, Any]]:
        """As `pactl --format=json list sinks` tells them."""
        return await self._list("sinks")

    async def microphones(self) -> list[dict[str, Any]]:
        """Sources, monitors of speakers among them."""
        return await self._list("sources")

    async def sink_inputs(self) -> list[dict[str, Any]]:
        """What plays to speakers now."""
        return await self._list("sink-inputs")

    async def move_sink_input(self, index: int, speaker: str) -> None:
        await self._pactl("move-sink-input", str(index), speaker)

    async def source_outputs(self) -> list[dict[str, Any]]:
        """What records from microphones and monitors now."""
        return await self._list("source-outputs")

    # -- sound

    async def play(self, speaker: str, samples: Samples, *, loop: bool = False) -> "Playing":
        """Play to a speaker, from now on and beside what plays already; returns once it plays. Mono: on all channels.

        `loop`: again and again, until it is stopped.
        """
        playing = Playing(self, speaker, samples, loop)
        await playing.start()
        self._playing.add(playing)
        return playing

    async def record(self, source: str, seconds: float, *, channels: int = 1) -> Samples:
        """What comes next from a microphone, or as `NAME.monitor` from what is played to a speaker."""
        process = await asyncio.create_subprocess_exec(
            "parec",
            *(f"--device={source}", f"--rate={RATE}", f"--channels={channels}", "--format=s16le", "--latency-msec=20"),
            stdout=asyncio.subprocess.PIPE,
            stdin=asyncio.subprocess.DEVNULL,
            env=os.environ | self.environment,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(seconds * 3 + 10):
                data = await process.stdout.readexactly(int(seconds * RATE) * 2 * channels)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        return sound.from_s16(data, channels)

    def log(self) -> str:
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""

    async def __aenter__(self) -> "Pulse":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def forget(self, playing: "Playing") -> None:
        self._playing.discard(playing)

    async def _load(self, module: str, *arguments: str) -> int:
        answer = await self._pactl("load-module", module, *arguments)
        return int(answer or "")

    async def _list(self, what: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(await self._pactl("--format=json", "list", what) or "[]")
        return found

    async def _pactl(self, *arguments: str, check: bool = True) -> str | None:
        """The answer of pactl; None where it failed and that was to be expected."""
        process = await asyncio.create_subprocess_exec(
            "pactl",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | self.environment | {"LC_ALL": "C.UTF-8"},
        )
        out, problem = await process.communicate()
        if process.returncode != 0:
            if check:
                raise RuntimeError(f"pactl {' '.join(arguments)}: {problem.decode(errors='replace')}")
            return None
        return out.decode(errors="replace")


class Playing:
    """Sound that is played to a speaker by a process of its own."""

    def __init__(self, pulse: Pulse, speaker: str, samples: Samples, loop: bool) -> None:
        self._pulse = pulse
        self._speaker = speaker
        self._data = sound.to_s16(samples)
        self._loop = loop
        self._process: asyncio.subprocess.Process | None = None
        self._feeding: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns once the server has it."""
        before = {each["index"] for each in await self._pulse.sink_inputs()}
        self._process = await asyncio.create_subprocess_exec(
            "pacat",
            "--playback",
            *(f"--device={self._speaker}", f"--rate={RATE}", "--channels=1", "--format=s16le", "--latency-msec=200"),
            stdin=asyncio.subprocess.PIPE,
            env=os.environ | self._pulse.environment,
        )
        self._feeding = asyncio.create_task(self._feed(), name=f"play to {self._speaker}")

        async def plays() -> bool:
            assert self._process is not None
            if self._process.returncode is not None:
                return True
            return bool({each["index"] for each in await self._pulse.sink_inputs()} - before)

        await until(plays, timeout_ms=START_MS, what=f"sound plays to {self._speaker}")

    async def wait(self) -> None:
        """Until all of it was played."""
        assert self._process is not None
        assert self._feeding is not None
        await self._feeding
        await self._process.wait()
        self._pulse.forget(self)

    async def stop(self) -> None:
        """At once. Any number of times."""
        self._pulse.forget(self)
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._feeding is not None:
            self._feeding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._feeding

    async def _feed(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while True:
                for start in range(0, len(self._data), 1 << 14):
                    self._process.stdin.write(self._data[start : start + (1 << 14)])
                    await self._process.stdin.drain()
                if not self._loop:
                    break
        self._process.stdin.close()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await self._process.stdin.wait_closed()
