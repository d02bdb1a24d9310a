"""The part of rtcagent.v1.Devices about the sound of others: speaker, volume, test tone, levels."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import devices_pb2
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.api.ordering import Later, OrderDesk
from rtcagentd.control.audio_readings import AudioReadings
from rtcagentd.control.errors import precondition
from rtcagentd.control.objects import PLAYBACK_KEY
from rtcagentd.control.orders import Orders
from rtcagentd.control.reconciler import Reconciler
from rtcagentd.control.sound_orders import check_test
from rtcagentd.control.state import State


class SoundCalls:
    """See proto/rtcagent/v1/devices.proto."""

    _state: State
    _orders: Orders
    _desk: OrderDesk
    _reconciler: Reconciler
    _readings: AudioReadings

    async def SetAudioPlaybackDevice(
        self, request: devices_pb2.SetAudioPlaybackDeviceRequest, context: Any
    ) -> devices_pb2.SetAudioPlaybackDeviceResponse:
        is_up = self._reconciler.session is not None
        edits = Later(lambda: self._orders.sound.set_playback_device(request, devices_known=is_up))
        result = await self._desk.take(request, request.order, edits, context)
        return devices_pb2.SetAudioPlaybackDeviceResponse(result=result)

    async def SetPlaybackVolume(
        self, request: devices_pb2.SetPlaybackVolumeRequest, context: Any
    ) -> devices_pb2.SetPlaybackVolumeResponse:
        edits = self._orders.sound.set_playback_volume(request)
        result = await self._desk.take(request, request.order, edits, context)
        return devices_pb2.SetPlaybackVolumeResponse(result=result)

    async def TestSpeaker(
        self, request: devices_pb2.TestSpeakerRequest, context: Any
    ) -> devices_pb2.TestSpeakerResponse:
        check_test(request)
        self._orders.sound.check_speaker(request.device_id, devices_known=self._reconciler.session is not None)
        playback = self._state.get(PLAYBACK_KEY, st.DesiredPlayback)
        if playback is not None and playback.muted:
            raise precondition("PLAYBACK_MUTED", "the speaker is muted: unmute it with SetPlaybackVolume first")
        asked = en.TestSpeakerRequest(
            device_id=request.device_id, duration_ms=request.duration_ms, frequency_hz=request.frequency_hz
        )
        answer = await self._reconciler.ask(lambda session: session.test_speaker(asked))
        if answer.HasField("failure"):
            why = answer.failure.cause
            raise precondition(ty.Reason.Name(why.reason).removeprefix("REASON_"), why.message)
        return devices_pb2.TestSpeakerResponse(device_id=answer.device_id, device_name=answer.device_name)

    async def EnableAudioPropertiesReport(
        self, request: devices_pb2.EnableAudioPropertiesReportRequest, context: Any
    ) -> devices_pb2.EnableAudioPropertiesReportResponse:
        edits = self._orders.sound.enable_report(request)
        result = await self._desk.take(request, request.order, edits, context)
        return devices_pb2.EnableAudioPropertiesReportResponse(result=result)

    async def WatchAudioProperties(
        self, request: devices_pb2.WatchAudioPropertiesRequest, context: Any
    ) -> AsyncIterator[devices_pb2.WatchAudioPropertiesResponse]:
        async with contextlib.aclosing(self._readings.watch()) as readings:
            async for reading in readings:
                yield reading
