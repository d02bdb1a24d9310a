"""The asyncio client."""

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, Self, TypeVar, cast, overload

import grpc
import grpc.aio
from rtcagent.v1.agent_pb2 import Gap, WatchEventsRequest, WatchEventsResponse
from rtcagent.v1.agent_pb2_grpc import AgentStub
from rtcagent.v1.canvases_pb2_grpc import CanvasesStub
from rtcagent.v1.capture_pb2_grpc import CaptureStub
from rtcagent.v1.devices_pb2 import WatchAudioPropertiesRequest, WatchAudioPropertiesResponse
from rtcagent.v1.devices_pb2_grpc import DevicesStub
from rtcagent.v1.event_pb2 import Event
from rtcagent.v1.messages_pb2 import Message
from rtcagent.v1.recordings_pb2_grpc import RecordingsStub
from rtcagent.v1.rooms_pb2_grpc import RoomsStub
from rtcagent.v1.screen_pb2_grpc import ScreenStub
from rtcagent.v1.state_pb2 import Position
from rtcagent.v1.statistics_pb2 import Statistics

from rtcagent_client import channel, errors, live
from rtcagent_client.channel import ChannelSettings
from rtcagent_client.downloads import Download
from rtcagent_client.errors import Cancelled, EventGap, RtcAgentError
from rtcagent_client.events import Cursor, OnGap, check_on_gap
from rtcagent_client.requests import agent as agent_calls
from rtcagent_client.requests import audio as audio_calls
from rtcagent_client.requests import canvases as canvases_calls
from rtcagent_client.requests import capture as capture_calls
from rtcagent_client.requests import devices as devices_calls
from rtcagent_client.requests import messages as messages_calls
from rtcagent_client.requests import recordings as recordings_calls
from rtcagent_client.requests import rooms as rooms_calls
from rtcagent_client.requests import screen as screen_calls
from rtcagent_client.requests import sound as sound_calls
from rtcagent_client.requests import statistics as statistics_calls
from rtcagent_client.requests import video as video_calls
from rtcagent_client.requests.call import Call, method_signature
from rtcagent_client.retry import DEFAULT_RETRY_S, STREAM_MAX_S, Attempts, Backoff, GiveUp, is_lost

if TYPE_CHECKING:
    from rtcagent.v1.agent_pb2_grpc import AgentAsyncStub
    from rtcagent.v1.canvases_pb2_grpc import CanvasesAsyncStub
    from rtcagent.v1.capture_pb2_grpc import CaptureAsyncStub
    from rtcagent.v1.devices_pb2_grpc import DevicesAsyncStub
    from rtcagent.v1.recordings_pb2_grpc import RecordingsAsyncStub
    from rtcagent.v1.rooms_pb2_grpc import RoomsAsyncStub
    from rtcagent.v1.screen_pb2_grpc import ScreenAsyncStub

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
_Stream = grpc.aio.UnaryStreamCall[WatchEventsRequest, WatchEventsResponse]


@dataclass(frozen=True, slots=True)
class AsyncStubs:
    """The generated stubs, for those who want messages. Give each call `metadata=client.metadata`."""

    agent: "AgentAsyncStub"
    rooms: "RoomsAsyncStub"
    capture: "CaptureAsyncStub"
    devices: "DevicesAsyncStub"
    screen: "ScreenAsyncStub"
    canvases: "CanvasesAsyncStub"
    recordings: "RecordingsAsyncStub"


def _method(build: Callable[P, Call[R]]) -> Callable[Concatenate["AsyncClient", P], Coroutine[Any, Any, R]]:
    """The client method that carries out the call which `build` describes."""

    @functools.wraps(build)
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.call(build(*args, **kwargs))

    method.__qualname__ = f"AsyncClient.{build.__name__}"
    method.__signature__ = method_signature(build)  # type: ignore[attr-defined]
    return method


class AsyncClient:
    """Talks to one agent. Made by connect(); used on the event loop that it was made on, by any number of tasks.

    Every method raises a subclass of RtcAgentError when the agent answers with an error or not at all. Orders raise
    Waiting, Refused or Superseded unless all of their outcomes are REACHED. Orders whose answer is lost are repeated
    with the same request_id for `retry_s`.
    """

    def __init__(
        self, settings: ChannelSettings, *, timeout_s: float | None = None, retry_s: float = DEFAULT_RETRY_S
    ) -> None:
        self.address = settings.address
        self.metadata = settings.metadata  # what stub-level calls must be given
        self.timeout_s = timeout_s  # for a call with its repeats; None: what its wait_ms needs
        self.retry_s = retry_s
        if settings.credentials is None:
            self._channel = grpc.aio.insecure_channel(settings.address.target, options=settings.options)
        else:
            self._channel = grpc.aio.secure_channel(
                settings.address.target, settings.credentials, options=settings.options
            )
        self.stubs = AsyncStubs(
            AgentStub(self._channel),
            RoomsStub(self._channel),
            CaptureStub(self._channel),
            DevicesStub(self._channel),
            ScreenStub(self._channel),
            CanvasesStub(self._channel),
            RecordingsStub(self._channel),
        )
        self._position: Position | None = None

    @staticmethod
    def connect(
        address: str | None = None,
        token: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        cert_file: str | os.PathLike[str] | None = None,
        key_file: str | os.PathLike[str] | None = None,
        server_fingerprint: str | None = None,
        *,
        timeout_s: float | None = None,
        retry_s: float = DEFAULT_RETRY_S,
    ) -> "Connecting":
        """Make a client: `client = await AsyncClient.connect()` or `async with AsyncClient.connect() as client:`.

        `address`: "unix:/path/control.sock" or "host:port"; default $RTCAGENT_ADDRESS, else the local agent's socket.
        `token` defaults to $RTCAGENT_TOKEN. With `ca_file` (PEM) or `server_fingerprint` ("sha256:..." of the
        server's own certificate) the connection is TLS; `cert_file` and `key_file` are a client certificate. The
        agent need not run yet, except with `server_fingerprint`. Raises ValueError, OSError (files), and with a
        fingerprint UntrustedServer and Unavailable.
        """
        arguments = (address, token, ca_file, cert_file, key_file, server_fingerprint)
        return Connecting(lambda: channel.settings(*arguments), timeout_s, retry_s)

    async def close(self) -> None:
        """End every call and stream. May be repeated."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def position(self) -> Position | None:
        """The place in the log of the event last given out by any events() of this client; None: none yet."""
        return self._position

    async def call(self, call: Call[R]) -> R:
        """Carry out what one of rtcagent_client.requests describes."""
        attempts = Attempts(call, self.timeout_s, self.retry_s)
        stub = getattr(getattr(self.stubs, call.service), call.method)
        while True:
            try:
                response = await _answer(stub(call.request, timeout=attempts.attempt_s(), metadata=self.metadata), self)
            except RtcAgentError as error:
                delay = attempts.delay_after(error)
                if delay is None:
                    raise
                await asyncio.sleep(delay)
            else:
                return call.result(response)

    get_agent = _method(agent_calls.get_agent)
    get_state = _method(agent_calls.get_state)
    get_desired_state = _method(agent_calls.get_desired_state)
    apply_state = _method(agent_calls.apply_state)
    reset_engine = _method(agent_calls.reset_engine)
    join_room = _method(rooms_calls.join_room)
    leave_room = _method(rooms_calls.leave_room)
    update_token = _method(rooms_calls.update_token)
    set_user_info = _method(rooms_calls.set_user_info)
    list_rooms = _method(rooms_calls.list_rooms)
    create_invite = _method(rooms_calls.create_invite)
    publish_stream = _method(rooms_calls.publish_stream)
    unpublish_stream = _method(rooms_calls.unpublish_stream)
    mute_stream = _method(rooms_calls.mute_stream)
    subscribe_stream = _method(rooms_calls.subscribe_stream)
    unsubscribe_stream = _method(rooms_calls.unsubscribe_stream)
    send_message = _method(messages_calls.send_message)
    get_message = _method(messages_calls.get_message)
    start_audio_capture = _method(audio_calls.start_audio_capture)
    stop_audio_capture = _method(audio_calls.stop_audio_capture)
    set_capture_volume = _method(audio_calls.set_capture_volume)
    set_audio_profile = _method(audio_calls.set_audio_profile)
    get_statistics = _method(statistics_calls.get_statistics)
    set_statistics_interval = _method(statistics_calls.set_statistics_interval)
    start_video_capture = _method(capture_calls.start_video_capture)
    stop_video_capture = _method(capture_calls.stop_video_capture)
    set_video_encoder_config = _method(video_calls.set_video_encoder_config)
    set_local_video_mirror = _method(video_calls.set_local_video_mirror)
    set_video_rotation = _method(video_calls.set_video_rotation)
    list_encoders = _method(video_calls.list_encoders)
    take_snapshot = _method(capture_calls.take_snapshot)
    take_remote_snapshot = _method(capture_calls.take_remote_snapshot)
    get_capture_stats = _method(capture_calls.get_capture_stats)
    list_screen_sources = _method(screen_calls.list_screen_sources)
    start_screen_capture = _method(screen_calls.start_screen_capture)
    update_screen_capture = _method(screen_calls.update_screen_capture)
    stop_screen_capture = _method(screen_calls.stop_screen_capture)
    list_screen_audio_sources = _method(screen_calls.list_screen_audio_sources)
    start_screen_audio_capture = _method(screen_calls.start_screen_audio_capture)
    stop_screen_audio_capture = _method(screen_calls.stop_screen_audio_capture)
    list_devices = _method(devices_calls.list_devices)
    get_sound_status = _method(devices_calls.get_sound_status)
    set_slot = _method(devices_calls.set_slot)
    list_slots = _method(devices_calls.list_slots)
    set_capture_device = _method(devices_calls.set_capture_device)
    test_microphone = _method(devices_calls.test_microphone)
    list_displays = _method(canvases_calls.list_displays)
    list_canvases = _method(canvases_calls.list_canvases)
    set_local_video_canvas = _method(canvases_calls.set_local_video_canvas)
    set_remote_video_canvas = _method(canvases_calls.set_remote_video_canvas)
    remove_canvas = _method(canvases_calls.remove_canvas)
    set_default_layout = _method(canvases_calls.set_default_layout)
    start_recording = _method(recordings_calls.start_recording)
    stop_recording = _method(recordings_calls.stop_recording)
    list_recordings = _method(recordings_calls.list_recordings)
    delete_recording = _method(recordings_calls.delete_recording)

    async def audio_properties(self) -> AsyncIterator[WatchAudioPropertiesResponse]:
        """How loud everybody is, at the interval of enable_audio_properties_report; ends with an error when the agent
        does. Readings are not kept: who is slow gets the newest.
        """
        call = self.stubs.devices.WatchAudioProperties(WatchAudioPropertiesRequest(), metadata=self.metadata)
        try:
            async for reading in call:
                yield reading
        except grpc.aio.AioRpcError as error:
            raise errors.from_call(error, self.address) from None
        finally:
            call.cancel()

    async def save_recording(
        self, recording_id: str, path: str | os.PathLike[str], *, file: str = "", retry_s: float | None = None
    ) -> Path:
        """Fetch a recording's file (`file`: of list_recordings, default the first) into `path`.

        Goes on where it broke off, also where an earlier call did (PATH.part), and checks the whole. A connection that
        is lost for more than `retry_s` raises. NotFound; FailedPrecondition: it is still being written.
        """
        download = Download(recording_id, file, path)
        give_up = GiveUp(self.retry_s if retry_s is None else retry_s)
        while not download.is_whole:
            call = self.stubs.recordings.DownloadRecording(download.request(), metadata=self.metadata)
            try:
                async for piece in call:
                    await asyncio.to_thread(download.take, piece)
                    give_up.reset()
            except grpc.aio.AioRpcError as failed:
                await asyncio.sleep(give_up.after(errors.from_call(failed, self.address)))
            finally:
                call.cancel()
        return await asyncio.to_thread(download.finish)

    set_audio_playback_device = _method(sound_calls.set_audio_playback_device)
    set_playback_volume = _method(sound_calls.set_playback_volume)
    test_speaker = _method(sound_calls.test_speaker)
    set_remote_muted = _method(sound_calls.set_remote_muted)
    set_remote_volume = _method(sound_calls.set_remote_volume)
    enable_audio_properties_report = _method(sound_calls.enable_audio_properties_report)

    @overload
    def events(
        self,
        after: Position | None = None,
        types: Iterable[str] = (),
        room_ids: Iterable[str] = (),
        *,
        on_gap: Literal["raise"] = "raise",
        on_lost: Callable[[RtcAgentError], None] | None = None,
        on_restored: Callable[[], None] | None = None,
    ) -> "AsyncEvents[Event]": ...
    @overload
    def events(
        self,
        after: Position | None = None,
        types: Iterable[str] = (),
        room_ids: Iterable[str] = (),
        *,
        on_gap: Literal["yield"],
        on_lost: Callable[[RtcAgentError], None] | None = None,
        on_restored: Callable[[], None] | None = None,
    ) -> "AsyncEvents[Event | Gap]": ...
    def events(
        self,
        after: Position | None = None,
        types: Iterable[str] = (),
        room_ids: Iterable[str] = (),
        *,
        on_gap: OnGap = "raise",
        on_lost: Callable[[RtcAgentError], None] | None = None,
        on_restored: Callable[[], None] | None = None,
    ) -> "AsyncEvents[Any]":
        """Follow the event log: `async for event in client.events():`, for ever.

        `after`: go on after this position; None: begin now (with `async with`, at its beginning; else with the first
        iteration). `types`: names of Event payloads ("room_state_changed"); `room_ids`: only events about these rooms
        and those about none. A lost connection is restored for ever, with back-off, without a hole or a duplicate;
        `on_lost` is told of every failed try, and `on_restored` when one succeeds. Events that the agent no longer has
        raise EventGap, or with on_gap="yield" give a Gap.
        """
        return AsyncEvents(self, after, types, room_ids, on_gap, on_lost, on_restored)

    def messages(
        self,
        room_ids: Iterable[str] = (),
        topics: Iterable[str] = (),
        *,
        on_lost: Callable[[RtcAgentError], None] | None = None,
        on_missed: Callable[[int], None] | None = None,
    ) -> live.AsyncLive[Message]:
        """Follow the messages that arrive from now on, lossy ones too: `async with client.messages() as messages:`.

        Never an old one: a lost connection is restored for ever, and what came meanwhile is not given out (reliable
        messages are events as well). `on_missed`: messages that this program, or the agent, was too slow for.
        """
        return live.AsyncLive(self, live.messages(room_ids, topics, on_missed), on_lost, _answer)

    async def read_message(self, message: Message) -> bytes:
        """The whole content of a message, fetched where it did not come along. NotFound: it is not kept any more."""
        content = messages_calls.content_of(message)
        if content is not None:
            return content
        whole = bytearray()
        while True:
            piece = await self.call(messages_calls.get_message(message.message_id, offset=len(whole)))
            whole += piece.data
            if len(whole) >= piece.size_bytes:
                return bytes(whole)

    def statistics(
        self, room_ids: Iterable[str] = (), *, on_lost: Callable[[RtcAgentError], None] | None = None
    ) -> live.AsyncLive[Statistics]:
        """Follow how the streams of the rooms get through, as often as the rooms were asked for with:
        `async with client.statistics() as readings:`. A lost connection is restored for ever.
        """
        return live.AsyncLive(self, live.statistics(room_ids), on_lost, _answer)

    def _moved(self, position: Position | None) -> None:
        self._position = position


class AsyncEvents(Generic[T], AsyncIterator[T]):
    """What AsyncClient.events() returns. A cancelled iteration loses nothing: the next one goes on where it was."""

    def __init__(
        self,
        client: AsyncClient,
        after: Position | None,
        types: Iterable[str],
        room_ids: Iterable[str],
        on_gap: OnGap,
        on_lost: Callable[[RtcAgentError], None] | None,
        on_restored: Callable[[], None] | None,
    ) -> None:
        check_on_gap(on_gap)
        self._client = client
        self._cursor = Cursor(after, types, room_ids)
        self._on_gap = on_gap
        self._on_lost = on_lost
        self._on_restored = on_restored
        self._is_lost = False
        self._backoff = Backoff(0.1, STREAM_MAX_S)
        self._stream: _Stream | None = None
        self._closed = False

    @property
    def position(self) -> Position | None:
        """The place in the log of what was last given out. Go on there with events(after=position)."""
        return self._cursor.position

    async def __anext__(self) -> T:
        while (item := self._cursor.give()) is None:
            self._client._moved(self._cursor.position)
            if self._closed:
                raise StopAsyncIteration
            await self._restoring(self._receive)
        self._client._moved(self._cursor.position)
        if isinstance(item, Gap) and self._on_gap == "raise":
            assert self._cursor.position is not None
            raise EventGap(item, self._cursor.position)
        return cast(T, item)

    async def __aenter__(self) -> Self:
        while not self._cursor.is_placed:
            await self._restoring(self._place)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the stream; a waiting iteration ends too. May be repeated."""
        self._closed = True
        self._drop()

    async def _restoring(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Take a step; if the connection is lost in it, wait as long as the back-off says."""
        try:
            await step()
        except RtcAgentError as error:
            self._drop()
            if self._closed:
                return
            if not is_lost(error):
                raise
            self._is_lost = True
            if self._on_lost is not None:
                self._on_lost(error)
            await asyncio.sleep(self._backoff.next_s())
        except BaseException:
            self._drop()  # grpc ends a call whose read is cancelled; the next iteration begins another
            raise

    async def _place(self) -> None:
        """Begin now: where that is must be known before anything is lost."""
        self._cursor.place((await self._client.get_state()).position)
        self._client._moved(self._cursor.position)

    async def _receive(self) -> None:
        if not self._cursor.is_placed:
            await self._place()
        if self._stream is None:
            stub = self._client.stubs.agent
            self._stream = stub.WatchEvents(self._cursor.request(), metadata=self._client.metadata)
        stream = self._stream
        response = await _answer(stream.read(), self._client, stream)
        if isinstance(response, WatchEventsResponse):
            self._backoff.reset()
            if self._is_lost and self._on_restored is not None:
                self._on_restored()
            self._is_lost = False
            self._cursor.take(response)
        else:
            raise errors.Unavailable(f"rtcagentd at {self._client.address} ended the stream of events")

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.cancel()
            self._stream = None


class Connecting:
    """A client in the making: await it, or use it with `async with`."""

    def __init__(self, settings: Callable[[], ChannelSettings], timeout_s: float | None, retry_s: float) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self._retry_s = retry_s
        self._client: AsyncClient | None = None

    async def _connect(self) -> AsyncClient:
        settings = await asyncio.to_thread(self._settings)  # files, and the server's certificate
        return AsyncClient(settings, timeout_s=self._timeout_s, retry_s=self._retry_s)

    def __await__(self) -> Generator[Any, None, AsyncClient]:
        return self._connect().__await__()

    async def __aenter__(self) -> AsyncClient:
        self._client = await self._connect()
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._client is not None
        await self._client.close()


async def _answer(answer: Any, client: AsyncClient, stream: Any = None) -> Any:
    """Await a call or a read of its stream, with the errors of this package."""
    call = answer if stream is None else stream
    try:
        return await answer
    except grpc.aio.AioRpcError as error:
        raise errors.from_call(error, client.address) from None
    except asyncio.CancelledError:
        # grpc.aio tells of a call that the server cancelled in the same way as of a task that is being cancelled.
        task = asyncio.current_task()
        if (task is not None and task.cancelling()) or not call.done():
            raise
        if await call.code() is not grpc.StatusCode.CANCELLED:
            raise
        raise Cancelled(f"rtcagentd at {client.address} broke the call off") from None
