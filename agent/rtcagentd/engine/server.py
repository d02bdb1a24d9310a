"""The contract rtcagent.engine.v1 over gRPC: who may call, one step at a time for each object, translation."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NoReturn, Protocol, TypeVar

import grpc
from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.engine.v1 import engine_pb2_grpc as contract_grpc
from rtcagent.v1 import capture_pb2 as capture
from rtcagent.v1 import devices_pb2
from rtcagent.v1 import state_pb2 as state

from rtcagentd.engine import _native, played_sound, process, screens
from rtcagentd.engine.audio_sources import AudioSources
from rtcagentd.engine.canvases import Canvases
from rtcagentd.engine.devices import Devices
from rtcagentd.engine.engine import Engine, EngineError
from rtcagentd.engine.events import Events
from rtcagentd.engine.gate import Gate
from rtcagentd.engine.messages import Messages
from rtcagentd.engine.playback import VOICE_DBFS, Playback, Volume, linear
from rtcagentd.engine.pulse import Pulse
from rtcagentd.engine.recordings import Recordings
from rtcagentd.engine.sound_devices import SoundDevices
from rtcagentd.engine.sound_status import SoundStatusWatch
from rtcagentd.engine.sources import Sources
from rtcagentd.engine.steps import Steps
from rtcagentd.engine.threads import in_thread

log = logging.getLogger(__name__)

# Of steps of a daemon that is gone; what takes longer is undone a little later.
UNDO_DEADLINE_S = 3.0
DEVICE_LIST_DEADLINE_S = 3.0

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]

_IMAGE_FORMAT = {capture.IMAGE_FORMAT_JPEG: "jpeg"}


class _OfGeneration(Protocol):
    @property
    def generation(self) -> int: ...


class EngineServer(contract_grpc.EngineServicer):
    """Answers one daemon at a time: the one that attached last."""

    def __init__(
        self,
        build_version: str,
        engine: Engine,
        gate: Gate,
        sources: Sources,
        audio_sources: AudioSources,
        devices: Devices,
        sound_devices: SoundDevices,
        playback: Playback,
        sound_status: SoundStatusWatch,
        pulse: Pulse,
        events: Events,
        messages: Messages,
        steps: Steps,
        orphan_watch: process.OrphanWatch,
        close_all: Callable[[], Coroutine[Any, Any, None]],
        on_shut_down: Callable[[], None],
        canvases: Canvases,
        recordings: Recordings,
    ) -> None:
        self._build_version = build_version
        self._engine = engine
        self._gate = gate
        self._sources = sources
        self._audio_sources = audio_sources
        self._devices = devices
        self._sound_devices = sound_devices
        self._playback = playback
        self._sound_status = sound_status
        self._pulse = pulse
        self._events = events
        self._messages = messages
        self._steps = steps
        self._orphan_watch = orphan_watch
        self._close_all = close_all
        self._on_shut_down = on_shut_down
        self._canvases = canvases
        self._recordings = recordings
        self._generation = 0
        self._watched_generation = 0

    async def Attach(self, request: contract.AttachRequest, context: Context) -> contract.AttachResponse:
        if request.build_version != self._build_version:
            message = f"this engine is of build {self._build_version}, not {request.build_version}: replace it"
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, message)
        if request.generation <= self._generation:
            message = f"generation {request.generation} is not higher than {self._generation}"
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, message)
        self._generation = request.generation
        self._orphan_watch.beat()
        await self._steps.cancel_all(UNDO_DEADLINE_S)
        await self._devices.wait_listed(DEVICE_LIST_DEADLINE_S)
        await self._pulse.wait_listed(DEVICE_LIST_DEADLINE_S)
        await self._canvases.wait_known(DEVICE_LIST_DEADLINE_S)
        if request.generation != self._generation:
            await self._refuse(request, context)
        log.info("attached by generation %d", request.generation)
        # In one go, so that every change is either in the report or an event.
        self._events.begin(request.generation)
        self._messages.begin(request.generation)
        return contract.AttachResponse(
            kind=self._engine.kind,
            version=self._engine.version,
            capabilities=self._engine.capabilities(),
            limits=self._engine.limits(),
            report=contract.Report(
                captures=[*self._sources.statuses(), *self._audio_sources.statuses()],
                rooms=self._engine.rooms(),
                devices=[*self._devices.all(), *self._sound_devices.all()],
                playback=self._playback.report(),
                sound=self._sound_status.status,
                displays=self._canvases.displays(),
            ),
        )

    async def WatchEvents(
        self, request: contract.WatchEventsRequest, context: Context
    ) -> AsyncIterator[contract.EngineEvent]:
        await self._check(request, context)
        if self._watched_generation == request.generation:
            await context.abort(
                grpc.StatusCode.FAILED_PRECONDITION, "this generation's events are being watched already"
            )
        self._watched_generation = request.generation
        async for event in self._events.watch(request.generation):
            yield event
        if not self._events.ended:
            await self._refuse(request, context)

    async def SetGate(self, request: contract.SetGateRequest, context: Context) -> contract.SetGateResponse:
        await self._check(request, context)
        self._gate.set(request.capture, [(send.room_id, send.source_id) for send in request.send])
        await asyncio.gather(self._sources.apply_gate(), self._audio_sources.apply_gate())
        return contract.SetGateResponse()

    async def Heartbeat(self, request: contract.HeartbeatRequest, context: Context) -> contract.HeartbeatResponse:
        await self._check(request, context)
        self._orphan_watch.beat()
        return contract.HeartbeatResponse(rss_bytes=process.rss_bytes(), thread_count=process.thread_count())

    async def OpenSource(self, request: contract.OpenSourceRequest, context: Context) -> contract.OpenSourceResponse:
        try:
            status = await self._step(request, context, _source(request), lambda: self._open(request))
        except EngineError as error:
            failure = _told("opening", request.source_id, error)
            return contract.OpenSourceResponse(failure=failure, capture=self._sources.slate_status(request.source_id))
        return contract.OpenSourceResponse(capture=status)

    async def _open(self, request: contract.OpenSourceRequest) -> state.CaptureStatus:
        if request.HasField("audio"):
            await self._sources.close(request.source_id)
            return await self._audio_sources.open(request.source_id, request.audio, request.audio_channels)
        await self._audio_sources.close(request.source_id)
        if request.HasField("absent"):
            return await self._sources.stand_in(request.source_id, request.config, request.absent)
        return await self._sources.open(request.source_id, request.config)

    async def CloseSource(self, request: contract.CloseSourceRequest, context: Context) -> contract.CloseSourceResponse:
        async def step() -> None:
            await self._sources.close(request.source_id)
            await self._audio_sources.close(request.source_id)

        await self._step(request, context, _source(request), step)
        return contract.CloseSourceResponse()

    async def Join(self, request: contract.JoinRequest, context: Context) -> contract.JoinResponse:
        room_id = request.config.room_id
        try:
            status = await self._step(request, context, f"room {room_id}", lambda: self._engine.join(request.config))
        except EngineError as error:
            return contract.JoinResponse(failure=_told("joining", room_id, error))
        return contract.JoinResponse(room=status, user_ids=self._engine.user_ids(room_id))

    async def Leave(self, request: contract.LeaveRequest, context: Context) -> contract.LeaveResponse:
        room_id = request.room_id
        await self._step(request, context, f"room {room_id}", lambda: self._engine.leave(room_id))
        return contract.LeaveResponse()

    async def SetUserInfo(self, request: contract.SetUserInfoRequest, context: Context) -> contract.SetUserInfoResponse:
        try:
            return await self._step(
                request, context, f"room {request.room_id}", lambda: self._engine.set_user_info(request)
            )
        except EngineError as error:
            return contract.SetUserInfoResponse(failure=_told("showing the user's info in", request.room_id, error))

    async def Publish(self, request: contract.PublishRequest, context: Context) -> contract.PublishResponse:
        try:
            status = await self._step(request, context, _stream(request), lambda: self._engine.publish(request))
        except EngineError as error:
            return contract.PublishResponse(failure=_told("publishing", _stream(request), error))
        return contract.PublishResponse(publication=status)

    async def Unpublish(self, request: contract.UnpublishRequest, context: Context) -> contract.UnpublishResponse:
        await self._step(
            request, context, _stream(request), lambda: self._engine.unpublish(request.room_id, request.source_id)
        )
        return contract.UnpublishResponse()

    async def SetMuted(self, request: contract.SetMutedRequest, context: Context) -> contract.SetMutedResponse:
        async def step() -> None:
            self._engine.set_muted(request.room_id, request.source_id, request.muted)

        try:
            await self._step(request, context, _stream(request), step)
        except EngineError as error:
            return contract.SetMutedResponse(failure=_told("muting", _stream(request), error))
        return contract.SetMutedResponse()

    async def SetSubscribed(
        self, request: contract.SetSubscribedRequest, context: Context
    ) -> contract.SetSubscribedResponse:
        key = f"remote stream {request.room_id}/{request.user_id}/{request.kind}/{request.name}"
        try:
            await self._step(
                request,
                context,
                key,
                lambda: self._engine.set_subscribed(
                    *(request.room_id, request.user_id, request.kind, request.name, request.subscribed),
                    request.quality,
                    ordered=request.ordered,
                    unheard=request.unheard,
                ),
            )
        except EngineError as error:
            return contract.SetSubscribedResponse(failure=_told("subscribing", key, error))
        return contract.SetSubscribedResponse()

    async def SendMessage(self, request: contract.SendMessageRequest, context: Context) -> contract.SendMessageResponse:
        # Not a step: messages do not wait for each other, nor for what is done about the room.
        await self._check(request, context)
        try:
            await self._engine.send_message(request.message)
        except EngineError as error:
            return contract.SendMessageResponse(failure=_told("sending a message to", request.message.room_id, error))
        return contract.SendMessageResponse()

    async def WatchMessages(
        self, request: contract.WatchMessagesRequest, context: Context
    ) -> AsyncIterator[contract.ReceivedMessage]:
        await self._check(request, context)
        async for message in self._messages.watch(request.generation):
            yield message
        if not self._messages.ended:
            await self._refuse(request, context)

    async def GetMessage(self, request: contract.GetMessageRequest, context: Context) -> contract.GetMessageResponse:
        await self._check(request, context)
        held = self._messages.content(request.message_id)
        if held is None:
            return contract.GetMessageResponse()
        return contract.GetMessageResponse(found=True, data=held[0], is_text=held[1])

    async def SetPlayback(self, request: contract.SetPlaybackRequest, context: Context) -> contract.SetPlaybackResponse:
        volume = Volume(request.volume, request.muted)
        status = await self._step(request, context, "playback", lambda: self._playback.set(request.device_id, volume))
        return contract.SetPlaybackResponse(playback=status)

    async def SetRemoteVolume(
        self, request: contract.SetRemoteVolumeRequest, context: Context
    ) -> contract.SetRemoteVolumeResponse:
        await self._check(request, context)
        self._playback.set_remote_volume(request.room_id, request.user_id, Volume(request.volume, request.muted))
        return contract.SetRemoteVolumeResponse()

    async def TestSpeaker(self, request: contract.TestSpeakerRequest, context: Context) -> contract.TestSpeakerResponse:
        await self._check(request, context)
        try:
            played = await self._playback.test(request.device_id, request.duration_ms / 1000, request.frequency_hz)
        except EngineError as error:
            return contract.TestSpeakerResponse(failure=_told("testing", "the speaker", error))
        return contract.TestSpeakerResponse(device_id=played.name, device_name=played.description)

    async def GetAudioProperties(
        self, request: contract.GetAudioPropertiesRequest, context: Context
    ) -> contract.GetAudioPropertiesResponse:
        await self._check(request, context)
        properties = devices_pb2.WatchAudioPropertiesResponse(rooms=self._engine.audio_properties())
        for source_id, level in sorted(self._audio_sources.levels().items()):
            source = properties.sources.add(source_id=source_id)
            source.properties.dbfs = round(level.rms_dbfs, 1)
            source.properties.linear = linear(level.rms_dbfs)
            source.properties.voice = level.rms_dbfs > VOICE_DBFS
        properties.at.GetCurrentTime()
        return contract.GetAudioPropertiesResponse(properties=properties)

    async def TakeSnapshot(
        self, request: contract.TakeSnapshotRequest, context: Context
    ) -> contract.TakeSnapshotResponse:
        await self._check(request, context)
        image_format = _IMAGE_FORMAT.get(request.format, "png")
        if request.WhichOneof("of") == "source_id":
            snapshot = await self._sources.snapshot(request.source_id, image_format)
        else:
            snapshot = await self._engine.remote_snapshot(request.remote_stream, image_format)
        if not isinstance(snapshot, _native.Snapshot):
            return contract.TakeSnapshotResponse(missing=snapshot)
        response = contract.TakeSnapshotResponse(image=snapshot.image, width=snapshot.width, height=snapshot.height)
        response.captured_at.FromMicroseconds(snapshot.captured_at_us)
        return response

    async def SetCanvas(self, request: contract.SetCanvasRequest, context: Context) -> contract.SetCanvasResponse:
        await self._check(request, context)
        return contract.SetCanvasResponse(canvas=self._canvases.set(request.canvas_id, request.config))

    async def RemoveCanvas(
        self, request: contract.RemoveCanvasRequest, context: Context
    ) -> contract.RemoveCanvasResponse:
        await self._check(request, context)
        self._canvases.remove(request.canvas_id)
        return contract.RemoveCanvasResponse()

    async def SetLayout(self, request: contract.SetLayoutRequest, context: Context) -> contract.SetLayoutResponse:
        await self._check(request, context)
        self._canvases.set_layout(request)
        return contract.SetLayoutResponse()

    async def SetRecording(
        self, request: contract.SetRecordingRequest, context: Context
    ) -> contract.SetRecordingResponse:
        try:
            status = await self._step(request, context, _recording(request), lambda: self._recordings.set(request))
        except EngineError as error:
            return contract.SetRecordingResponse(failure=_told("recording", request.recording_id, error))
        return contract.SetRecordingResponse(recording=status)

    async def RemoveRecording(
        self, request: contract.RemoveRecordingRequest, context: Context
    ) -> contract.RemoveRecordingResponse:
        recording_id = request.recording_id
        await self._step(request, context, _recording(request), lambda: self._recordings.remove(recording_id))
        return contract.RemoveRecordingResponse()

    async def GetRecordingFiles(
        self, request: contract.GetRecordingFilesRequest, context: Context
    ) -> contract.GetRecordingFilesResponse:
        await self._check(request, context)
        return contract.GetRecordingFilesResponse(files=self._recordings.files())

    async def GetMediaStats(
        self, request: contract.GetMediaStatsRequest, context: Context
    ) -> contract.GetMediaStatsResponse:
        await self._check(request, context)
        return contract.GetMediaStatsResponse(
            stats=capture.GetCaptureStatsResponse(
                sources=[*self._sources.stats(), *self._audio_sources.stats()],
                publications=self._engine.publication_stats(),
                remote_streams=self._engine.remote_stats(),
            )
        )

    async def ListEncoders(
        self, request: contract.ListEncodersRequest, context: Context
    ) -> contract.ListEncodersResponse:
        await self._check(request, context)
        return contract.ListEncodersResponse(encoders=await in_thread(self._engine.encoders))

    async def ListScreenSources(
        self, request: contract.ListScreenSourcesRequest, context: Context
    ) -> contract.ListScreenSourcesResponse:
        await self._check(request, context)
        try:
            return contract.ListScreenSourcesResponse(screens=await screens.list_sources(request.thumbnail_width))
        except EngineError as error:
            return contract.ListScreenSourcesResponse(failure=error.failure())

    async def ListScreenAudioSources(
        self, request: contract.ListScreenAudioSourcesRequest, context: Context
    ) -> contract.ListScreenAudioSourcesResponse:
        await self._check(request, context)
        try:
            return contract.ListScreenAudioSourcesResponse(sounds=await played_sound.list_sources(self._pulse))
        except EngineError as error:
            return contract.ListScreenAudioSourcesResponse(failure=error.failure())

    async def GetStatistics(
        self, request: contract.GetStatisticsRequest, context: Context
    ) -> contract.GetStatisticsResponse:
        await self._check(request, context)
        return await self._engine.statistics()

    async def Shutdown(self, request: contract.ShutdownRequest, context: Context) -> contract.ShutdownResponse:
        await self._check(request, context)
        log.info("shutting down as ordered")
        await self._close_all()
        self._on_shut_down()
        return contract.ShutdownResponse()

    async def _step(
        self, request: _OfGeneration, context: Context, key: str, step: Callable[[], Coroutine[Any, Any, T]]
    ) -> T:
        await self._check(request, context)
        return await self._steps.run(key, step)

    async def _check(self, request: _OfGeneration, context: Context) -> None:
        if not self._generation or request.generation != self._generation:
            await self._refuse(request, context)

    async def _refuse(self, request: _OfGeneration, context: Context) -> NoReturn:
        message = f"generation {request.generation} is not attached; {self._generation or 'none'} is"
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, message)
        raise AssertionError("abort raises")


def _source(request: contract.OpenSourceRequest | contract.CloseSourceRequest) -> str:
    return f"source {request.source_id}"


def _recording(request: contract.SetRecordingRequest | contract.RemoveRecordingRequest) -> str:
    return f"recording {request.recording_id}"


def _stream(request: contract.PublishRequest | contract.UnpublishRequest | contract.SetMutedRequest) -> str:
    return f"stream {request.room_id}/{request.source_id}"


_failures: dict[str, str] = {}  # the last one of each kind of step and object


def _told(what: str, of: str, error: EngineError) -> contract.Failure:
    # What is tried again and again, for days perhaps, is written down when it is news.
    is_news = _failures.get(f"{what} {of}") != error.message
    _failures[f"{what} {of}"] = error.message
    log.log(logging.WARNING if is_news else logging.DEBUG, "%s %s failed: %s", what, of, error.message)
    return error.failure()
