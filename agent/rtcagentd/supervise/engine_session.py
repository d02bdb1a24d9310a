"""The daemon's end of the engine contract: one attached engine process, its steps, its gate and its events."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar

import grpc
import grpc.aio
from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.engine.v1 import engine_pb2_grpc as en_grpc

T = TypeVar("T")

OPEN_SOURCE_S = 15.0
JOIN_S = 25.0
PUBLISH_S = 10.0
CLOSE_S = 8.0
QUICK_S = 5.0
RECORDING_S = 20.0  # a slow disk
SEND_MESSAGE_S = 25.0
# What is not allowed any more has stopped by then, or the engine is killed. It takes 2 ms; but where more programs want
# the processor than there are cores, either process may not run for 100 ms, and nothing is wrong with the engine.
SHUT_GATE_S = 0.4
OPEN_GATE_S = 2.0
SHUTDOWN_S = 3.0


class EngineGone(Exception):
    """The engine does not answer any more, or not as its contract says; it is to be replaced."""


class StepTimeout(Exception):
    """A step did not end within its deadline; the engine gives it up."""


class EngineSession:
    """One generation of the engine. After EngineGone only `close` is left to call."""

    def __init__(self, socket_path: str, generation: int) -> None:
        self.generation = generation
        # Gate and heartbeat have a connection of their own: they must not wait behind a large answer.
        self._channels = [grpc.aio.insecure_channel(f"unix:{socket_path}", _own_connection(n)) for n in range(2)]
        self._steps = en_grpc.EngineStub(self._channels[0])
        self._control = en_grpc.EngineStub(self._channels[1])
        self.attached = en.AttachResponse()

    async def attach(self, build_version: str, timeout_s: float) -> en.AttachResponse:
        """Wait for the engine's socket and become its daemon."""
        request = en.AttachRequest(build_version=build_version, generation=self.generation)
        self.attached = await _made(self._control.Attach(request, timeout=timeout_s, wait_for_ready=True))
        return self.attached

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()

    async def events(self) -> AsyncIterator[en.EngineEvent]:
        """What happens in the engine, until it is gone."""
        call = self._steps.WatchEvents(en.WatchEventsRequest(generation=self.generation))
        with _translated():
            async for event in call:
                yield event
        raise EngineGone("the engine ended its event stream")

    async def messages(self) -> AsyncIterator[en.ReceivedMessage]:
        """The messages that arrive from the rooms, until the engine is gone."""
        call = self._steps.WatchMessages(en.WatchMessagesRequest(generation=self.generation))
        with _translated():
            async for message in call:
                yield message
        raise EngineGone("the engine ended its message stream")

    async def heartbeat(self, timeout_s: float) -> en.HeartbeatResponse:
        return await _made(self._control.Heartbeat(en.HeartbeatRequest(generation=self.generation), timeout=timeout_s))

    async def set_gate(self, request: en.SetGateRequest, *, shuts: bool) -> None:
        """Say what may be captured and sent. A gate that shuts something is answered at once, or the engine is gone."""
        request.generation = self.generation
        try:
            await _made(self._control.SetGate(request, timeout=SHUT_GATE_S if shuts else OPEN_GATE_S))
        except StepTimeout as error:
            raise EngineGone("the engine did not set its gate in time") from error

    async def open_source(self, request: en.OpenSourceRequest) -> en.OpenSourceResponse:
        request.generation = self.generation
        return await _made(self._steps.OpenSource(request, timeout=OPEN_SOURCE_S))

    async def close_source(self, request: en.CloseSourceRequest) -> None:
        request.generation = self.generation
        await _made(self._steps.CloseSource(request, timeout=CLOSE_S))

    async def join(self, request: en.JoinRequest) -> en.JoinResponse:
        request.generation = self.generation
        return await _made(self._steps.Join(request, timeout=JOIN_S))

    async def leave(self, request: en.LeaveRequest) -> None:
        request.generation = self.generation
        await _made(self._steps.Leave(request, timeout=CLOSE_S))

    async def set_user_info(self, request: en.SetUserInfoRequest) -> en.SetUserInfoResponse:
        request.generation = self.generation
        return await _made(self._steps.SetUserInfo(request, timeout=QUICK_S))

    async def publish(self, request: en.PublishRequest) -> en.PublishResponse:
        request.generation = self.generation
        return await _made(self._steps.Publish(request, timeout=PUBLISH_S))

    async def unpublish(self, request: en.UnpublishRequest) -> None:
        request.generation = self.generation
        await _made(self._steps.Unpublish(request, timeout=CLOSE_S))

    async def set_muted(self, request: en.SetMutedRequest) -> en.SetMutedResponse:
        request.generation = self.generation
        return await _made(self._steps.SetMuted(request, timeout=QUICK_S))

    async def set_subscribed(self, request: en.SetSubscribedRequest) -> en.SetSubscribedResponse:
        request.generation = self.generation
        return await _made(self._steps.SetSubscribed(request, timeout=QUICK_S))

    async def send_message(self, request: en.SendMessageRequest) -> en.SendMessageResponse:
        request.generation = self.generation
        return await _made(self._steps.SendMessage(request, timeout=SEND_MESSAGE_S))

    async def get_message(self, message_id: str) -> en.GetMessageResponse:
        request = en.GetMessageRequest(generation=self.generation, message_id=message_id)
        return await _made(self._steps.GetMessage(request, timeout=QUICK_S))

    async def set_playback(self, request: en.SetPlaybackRequest) -> en.SetPlaybackResponse:
        request.generation = self.generation
        return await _made(self._steps.SetPlayback(request, timeout=CLOSE_S))

    async def set_remote_volume(self, request: en.SetRemoteVolumeRequest) -> None:
        request.generation = self.generation
        await _made(self._steps.SetRemoteVolume(request, timeout=QUICK_S))

    async def test_speaker(self, request: en.TestSpeakerRequest) -> en.TestSpeakerResponse:
        request.generation = self.generation
        return await _made(self._steps.TestSpeaker(request, timeout=request.duration_ms / 1000 + CLOSE_S))

    async def audio_properties(self) -> en.GetAudioPropertiesResponse:
        request = en.GetAudioPropertiesRequest(generation=self.generation)
        return await _made(self._steps.GetAudioProperties(request, timeout=QUICK_S))

    async def take_snapshot(self, request: en.TakeSnapshotRequest) -> en.TakeSnapshotResponse:
        request.generation = self.generation
        return await _made(self._steps.TakeSnapshot(request, timeout=QUICK_S))

    async def set_canvas(self, request: en.SetCanvasRequest) -> en.SetCanvasResponse:
        request.generation = self.generation
        return await _made(self._steps.SetCanvas(request, timeout=QUICK_S))

    async def remove_canvas(self, request: en.RemoveCanvasRequest) -> None:
        request.generation = self.generation
        await _made(self._steps.RemoveCanvas(request, timeout=QUICK_S))

    async def set_layout(self, request: en.SetLayoutRequest) -> None:
        request.generation = self.generation
        await _made(self._steps.SetLayout(request, timeout=QUICK_S))

    async def set_recording(self, request: en.SetRecordingRequest) -> en.SetRecordingResponse:
        request.generation = self.generation
        return await _made(self._steps.SetRecording(request, timeout=RECORDING_S))

    async def remove_recording(self, request: en.RemoveRecordingRequest) -> None:
        request.generation = self.generation
        await _made(self._steps.RemoveRecording(request, timeout=RECORDING_S))

    async def recording_files(self) -> en.GetRecordingFilesResponse:
        request = en.GetRecordingFilesRequest(generation=self.generation)
        return await _made(self._steps.GetRecordingFiles(request, timeout=QUICK_S))

    async def media_stats(self) -> en.GetMediaStatsResponse:
        return await _made(
            self._steps.GetMediaStats(en.GetMediaStatsRequest(generation=self.generation), timeout=QUICK_S)
        )

    async def list_screen_audio_sources(self) -> en.ListScreenAudioSourcesResponse:
        request = en.ListScreenAudioSourcesRequest(generation=self.generation)
        return await _made(self._steps.ListScreenAudioSources(request, timeout=QUICK_S))

    async def list_encoders(self) -> en.ListEncodersResponse:
        return await _made(
            self._steps.ListEncoders(en.ListEncodersRequest(generation=self.generation), timeout=QUICK_S)
        )

    async def list_screen_sources(self, thumbnail_width: int) -> en.ListScreenSourcesResponse:
        request = en.ListScreenSourcesRequest(generation=self.generation, thumbnail_width=thumbnail_width)
        return await _made(self._steps.ListScreenSources(request, timeout=QUICK_S))

    async def statistics(self) -> en.GetStatisticsResponse:
        return await _made(
            self._steps.GetStatistics(en.GetStatisticsRequest(generation=self.generation), timeout=QUICK_S)
        )

    async def shutdown(self) -> None:
        await _made(self._control.Shutdown(en.ShutdownRequest(generation=self.generation), timeout=SHUTDOWN_S))


def _own_connection(number: int) -> list[tuple[str, Any]]:
    return [
        ("grpc.use_local_subchannel_pool", 1),
        ("rtcagent.connection", number),
        ("grpc.initial_reconnect_backoff_ms", 20),
        ("grpc.max_reconnect_backoff_ms", 100),
        # How long one try may take, whatever its name says: an engine that is slow to answer has not failed.
        ("grpc.min_reconnect_backoff_ms", 10_000),
        ("grpc.max_receive_message_length", 64 << 20),
    ]


async def _made(call: Awaitable[T]) -> T:
    with _translated():
        return await call


@contextlib.contextmanager
def _translated() -> Any:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            raise StepTimeout from error
        raise EngineGone(error.details() or error.code().name) from error
    except asyncio.CancelledError:
        # gRPC says the same of a call whose channel was closed: then it is not the caller who is cancelled
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise EngineGone("the connection to the engine was closed") from None
