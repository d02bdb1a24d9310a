"""The sound of others on a speaker: which one, how loud each is, and what is done when the speaker goes away.

The daemon says what is wanted; devices come and go here at once, since a call goes on meanwhile: the default speaker
stands in for a chosen one that is absent, and the chosen one is gone back to when it is there again.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import devices_pb2 as devices
from rtcagent.v1 import state_pb2 as state
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine import _native
from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.events import Events
from rtcagentd.engine.media_events import MediaEvents
from rtcagentd.engine.pulse import Pulse, PulseUnreachable, SoundDevice
from rtcagentd.engine.threads import in_thread

log = logging.getLogger(__name__)

STREAM = "playback"  # what the sound server's stream is found by again
BUFFER_MS = 50
REOPEN_S = 0.5  # after a speaker that did not open, unless the sound server tells of a change before
TONE_AMPLITUDE = 0.25  # -15 dBFS
VOICE_DBFS = -50.0  # who is softer is not speaking
TONE_TAIL_S = 0.2  # what the sound server still has to play


@dataclass(frozen=True)
class Volume:
    """How loud something is heard."""

    percent: int = 100
    muted: bool = False

    @property
    def gain(self) -> float:
        return 0.0 if self.muted else self.percent / 100


@dataclass
class RemoteSound:
    """One received stream of sound on its way to the speaker."""

    room_id: str
    user_id: str
    input: _native.MixerInput
    key: str  # of the news of its first sound
    is_heard: bool = True  # False: it is received for a recording alone


@dataclass
class _Output:
    """An open stream to the sound server."""

    key: str
    native: _native.AudioOutput
    device: str  # that it was opened on, or moved to
    failure: str = field(default="")


class Playback:
    """Owner of the mixer and of its way to the speaker. On the event loop only."""

    def __init__(self, pulse: Pulse, media_events: MediaEvents, events: Events) -> None:
        self._pulse = pulse
        self._media_events = media_events
        self._events = events
        self._mixer = _native.AudioMixer()
        self._sounds: list[RemoteSound] = []
        self._volumes: dict[tuple[str, str], Volume] = {}  # by room_id and user_id, for those who are not there too
        self._device_id = ""
        self._volume = Volume()
        self._output: _Output | None = None
        self._failure = ""  # why the speaker did not open
        self._settling = asyncio.Lock()
        self._wake = asyncio.Event()
        self._told = state.PlaybackStatus()
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False
        pulse.on_change(self._wake.set)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="playback")

    async def close(self) -> None:
        self._is_closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        async with self._settling:
            await self._close_output()

    # -- what is wanted

    async def set(self, device_id: str, volume: Volume) -> state.PlaybackStatus:
        """Play there, this loud; returns when it is so, or when it is known why not."""
        self._device_id = device_id
        self._volume = volume
        self._mixer.set_gain(volume.gain)
        self._failure = ""
        await self._settle()
        return self.status()

    def set_remote_volume(self, room_id: str, user_id: str, volume: Volume) -> None:
        """In force within 10 ms, and for streams of this user that come later."""
        if volume == Volume():
            self._volumes.pop((room_id, user_id), None)
        else:
            self._volumes[room_id, user_id] = volume
        for sound in self._sounds:
            if (sound.room_id, sound.user_id) == (room_id, user_id):
                self._apply_volume(sound)

    # -- what is received

    def add(self, room_id: str, user_id: str, on_first: Callable[[], None], *, is_heard: bool = True) -> RemoteSound:
        """A place in the mix for a stream; what is pushed into its `input` is heard, where it is to be. `on_first` is
        called when the first of it has come.
        """
        key = self._media_events.listen(f"sound of {user_id}", lambda _: on_first())
        sound = RemoteSound(room_id, user_id, self._mixer.add(), key, is_heard)
        sound.input.tell_first(key, self._media_events.queue)
        self._apply_volume(sound)
        self._sounds.append(sound)
        self._wake.set()
        return sound

    def set_heard(self, sound: RemoteSound, is_heard: bool) -> None:
        sound.is_heard = is_heard
        self._apply_volume(sound)

    def _apply_volume(self, sound: RemoteSound) -> None:
        volume = self._volumes.get((sound.room_id, sound.user_id), Volume())
        sound.input.set_gain(volume.gain if sound.is_heard else 0.0)

    def remove(self, sound: RemoteSound) -> None:
        self._media_events.forget(sound.key)
        self._mixer.remove(sound.input)
        self._sounds.remove(sound)
        self._wake.set()

    def levels(self, room_id: str) -> list[devices.WatchAudioPropertiesResponse.User]:
        """How loud each user of a room was since this was asked last; of several streams the loudest."""
        loudest: dict[str, _native.RemoteLevel] = {}
        for sound in self._sounds:
            if sound.room_id == room_id:
                level = sound.input.level()
                other = loudest.get(sound.user_id)
                if other is None or level.rms_dbfs > other.rms_dbfs:
                    loudest[sound.user_id] = level
        return [
            devices.WatchAudioPropertiesResponse.User(
                user_id=user_id,
                properties=devices.AudioProperties(
                    linear=linear(level.rms_dbfs), dbfs=round(level.rms_dbfs, 1), voice=level.voice
                ),
            )
            for user_id, level in sorted(loudest.items())
        ]

    # -- how it is

    def status(self) -> state.PlaybackStatus:
        status = state.PlaybackStatus(
            state=state.PLAYBACK_STATE_IDLE, volume=self._volume.percent, muted=self._volume.muted
        )
        device = self._target()
        if device is None:
            status.state = state.PLAYBACK_STATE_WAITING
            status.cause.CopyFrom(self._absent())
            return status
        status.device_id, status.device_name = device.name, device.description
        if device.name != self._device_id and self._device_id:
            message = f"speaker {self._device_id!r} is not plugged in; {device.name!r} stands in for it"
            status.cause.CopyFrom(types.Cause(reason=types.REASON_DEVICE_ABSENT, message=message))
        if self._output is not None and not self._output.failure:
            status.state = state.PLAYBACK_STATE_PLAYING
        elif self._failure and self._sounds:
            status.state = state.PLAYBACK_STATE_WAITING
            status.cause.CopyFrom(types.Cause(reason=types.REASON_PLAYBACK_FAILED, message=self._failure))
        return status

    def report(self) -> state.PlaybackStatus:
        """As `status`, for a daemon that is told only of changes from here on."""
        self._told = self.status()
        return self._told

    # -- a tone

    async def test(self, device_id: str, duration_s: float, frequency: int) -> SoundDevice:
        """Play a tone, beside whatever plays; returns the speaker when it was played, else EngineError."""
        device = self._pulse.snapshot.speakers.get(device_id) if device_id else self._target()
        if device is None:
            if device_id and self._pulse.is_connected:
                raise EngineError(types.REASON_DEVICE_ABSENT, f"speaker {device_id!r} is not plugged in")
            cause = self._absent()
            raise EngineError(cause.reason, cause.message)
        mixer = _native.AudioMixer()
        mixer.set_gain(self._volume.percent / 100)
        mixer.set_tone(frequency, TONE_AMPLITUDE)
        failed = asyncio.Event()
        why = ""

        def on_event(event: _native.Event) -> None:
            nonlocal why
            why = event.message
            failed.set()

        key = self._media_events.listen("speaker test", on_event)
        output = self._native_output(key, device.name, "test", "speaker test", mixer)
        try:
            await in_thread(output.start)
            try:
                async with asyncio.timeout(duration_s):
                    await failed.wait()
            except TimeoutError:
                mixer.set_tone(frequency, 0)
                await asyncio.sleep(TONE_TAIL_S)
                return device
            raise EngineError(types.REASON_PLAYBACK_FAILED, f"speaker {device.name!r}: {why}")
        except _native.NativeError as error:
            raise EngineError(types.REASON_PLAYBACK_FAILED, f"speaker {device.name!r}: {error.args[1]}") from error
        finally:
            self._media_events.forget(key)
            await in_thread(output.stop)

    # --

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._settle()
            except Exception:  # a defect, which must not end all sound: the next change tries again
                log.exception("the speaker was not set as it should be")

    async def _settle(self) -> None:
        """Bring the output to what is wanted and there, and tell what changed."""
        async with self._settling:
            if self._is_closing:
                return
            device = self._target()
            output = self._output
            if not self._sounds or device is None:
                await self._close_output()
            elif output is None or output.failure:
                await self._close_output()
                await self._open(device)
            elif self._pulse.snapshot.streams.get(STREAM, output.device) != device.name:
                await self._move(output, device)
            self._tell()

    async def _move(self, output: _Output, device: SoundDevice) -> None:
        try:
            await self._pulse.move(STREAM, device.name)
            output.device = device.name
            log.info("the sound of others plays on %s", device.name)
        except PulseUnreachable as error:
            log.warning("the sound of others is opened anew on %s: %s", device.name, error)
            await self._close_output()
            await self._open(device)

    async def _open(self, device: SoundDevice) -> None:
        def on_event(event: _native.Event) -> None:
            output.failure = event.message
            self._failure = f"speaker {output.device!r}: {event.message}"
            self._wake.set()

        key = self._media_events.listen(STREAM, on_event)
        native = self._native_output(key, device.name, STREAM, "call", self._mixer)
        output = _Output(key, native, device.name)
        try:
            await in_thread(native.start)
        except _native.NativeError as error:
            self._media_events.forget(key)
            self._failure = f"speaker {device.name!r}: {error.args[1]}"
            log.warning("%s", self._failure)
            asyncio.get_running_loop().call_later(REOPEN_S, self._wake.set)
            return
        self._output = output
        self._failure = ""
        log.info("the sound of others plays on %s", device.name)

    async def _close_output(self) -> None:
        output, self._output = self._output, None
        if output is not None:
            self._media_events.forget(output.key)
            await in_thread(output.native.stop)

    def _native_output(
        self, key: str, device: str, stream: str, description: str, mixer: _native.AudioMixer
    ) -> _native.AudioOutput:
        return _native.AudioOutput(
            key=key,
            device=device,
            stream=stream,
            description=description,
            buffer_ms=BUFFER_MS,
            is_reference=stream == STREAM,
            mixer=mixer,
            events=self._media_events.queue,
        )

    def _target(self) -> SoundDevice | None:
        """The chosen speaker, else the default one, else any."""
        snapshot = self._pulse.snapshot
        for name in (self._device_id, snapshot.default_speaker, *sorted(snapshot.speakers)):
            if name in snapshot.speakers:
                return snapshot.speakers[name]
        return None

    def _absent(self) -> types.Cause:
        if not self._pulse.is_connected:
            return types.Cause(reason=types.REASON_NO_SOUND_SERVER, message=self._pulse.problem)
        return types.Cause(reason=types.REASON_DEVICE_ABSENT, message="this machine has no speaker now: plug one in")

    def _tell(self) -> None:
        status = self.status()
        if status != self._told:
            self._told = status
            event = contract.PlaybackChanged(playback=status)
            self._events.emit(contract.EngineEvent(playback_changed=event))


def linear(dbfs: float) -> int:
    """A level as ByteRTC tells it: 0-255."""
    return round(255 * 10 ** (dbfs / 20)) if math.isfinite(dbfs) else 0
