"""Listens to a microphone for some seconds and says how loud it is, whether anything captures it or not.

It is capture: the engine's gate opens for it and shuts after it, as for any other source.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import devices_pb2
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control import checks
from rtcagentd.control.errors import invalid, not_found, precondition
from rtcagentd.control.objects import slot_key
from rtcagentd.control.reconciler import Reconciler
from rtcagentd.control.state import State
from rtcagentd.control.wanted import present_devices, slot_device

SOURCE_ID = "test:microphone"  # which no order can name
DEFAULT_MS, MOST_MS, LEAST_MS = 3000, 10_000, 200
READING_S = 0.1


class MicrophoneTest:
    """One at a time."""

    def __init__(self, state: State, reconciler: Reconciler) -> None:
        self._state = state
        self._reconciler = reconciler
        self._lock = asyncio.Lock()

    async def listen(self, request: devices_pb2.TestMicrophoneRequest) -> devices_pb2.TestMicrophoneResponse:
        """The levels of the microphone that is named, or of the default one."""
        duration_ms = request.duration_ms or DEFAULT_MS
        if not LEAST_MS <= duration_ms <= MOST_MS:
            text = f"duration_ms is {duration_ms}, not {LEAST_MS}-{MOST_MS}"
            raise invalid("duration_ms", "DURATION_INVALID", text)
        device_id = self._device_id(request)
        microphone = ty.AudioInput.Microphone(device_id=device_id) if device_id else ty.AudioInput.Microphone()
        as_it_is = ty.AudioProcessing(echo_cancellation=False, noise_suppression=False, auto_gain=False)
        config = ty.AudioCaptureConfig(
            input=ty.AudioInput(microphone=microphone),
            processing=as_it_is,
            volume=100,
            profile=ty.AUDIO_PROFILE_STANDARD,
            kind=ty.STREAM_KIND_MICROPHONE,
        )
        if self._lock.locked():
            raise precondition("TEST_UNDER_WAY", "a microphone is being tested already: wait until that has ended")
        async with self._lock, self._reconciler.also_captured(SOURCE_ID):
            return await self._levels(config, device_id, duration_ms)

    async def _levels(
        self, config: ty.AudioCaptureConfig, device_id: str, duration_ms: int
    ) -> devices_pb2.TestMicrophoneResponse:
        opening = en.OpenSourceRequest(source_id=SOURCE_ID, audio=config, audio_channels=1)
        async with self._opened(opening) as opened:
            if opened.HasField("failure"):
                raise precondition(
                    ty.Reason.Name(opened.failure.cause.reason).removeprefix("REASON_"),
                    f"the microphone cannot be heard: {opened.failure.cause.message}",
                    device_id=device_id,
                )
            answer = devices_pb2.TestMicrophoneResponse(device_id=opened.capture.device_id or device_id)
            for _ in range(round(duration_ms / 1000 / READING_S)):
                await asyncio.sleep(READING_S)
                stats = (await self._reconciler.ask(lambda session: session.media_stats())).stats
                answer.levels.extend(one.audio_level for one in stats.sources if one.source_id == SOURCE_ID)
        return answer

    @contextlib.asynccontextmanager
    async def _opened(self, request: en.OpenSourceRequest) -> AsyncIterator[en.OpenSourceResponse]:
        try:
            yield await self._reconciler.ask(lambda session: session.open_source(request))
        finally:
            closing = en.CloseSourceRequest(source_id=SOURCE_ID)
            await self._reconciler.ask(lambda session: session.close_source(closing))

    def _device_id(self, request: devices_pb2.TestMicrophoneRequest) -> str:
        which = request.WhichOneof("which")
        if which == "slot":
            checks.slot_name(request.slot, "slot")
            slot = self._state.get(slot_key(request.slot), st.DesiredSlot)
            if slot is None:
                raise not_found("SLOT_NOT_FOUND", f"there is no slot {request.slot!r}", slot=request.slot)
            device = slot_device(self._state, slot.slot, ty.Device.KIND_MICROPHONE)
            if device is None:
                text = f"no microphone of slot {request.slot!r} is plugged in"
                raise precondition("DEVICE_ABSENT", text, slot=request.slot)
            return device.device_id
        if which == "device_id":
            known = [one for one in self._state.reported.devices if one.device_id == request.device_id]
            if not known or known[0].kind != ty.Device.KIND_MICROPHONE:
                have = ", ".join(one.device_id for one in present_devices(self._state, ty.Device.KIND_MICROPHONE))
                text = f"this machine never had a microphone {request.device_id[:80]!r}; it has now: {have or 'none'}"
                raise not_found("DEVICE_NOT_FOUND", text, device_id=request.device_id)
            if not known[0].present:
                text = f"microphone {request.device_id!r} is not plugged in"
                raise precondition("DEVICE_ABSENT", text, device_id=request.device_id)
        return request.device_id
