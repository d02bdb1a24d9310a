"""Who may call: checks each call of a listener before its handler runs.

The check wraps the handlers when they are registered, so that no way of calling them goes round it. A method that
CALLS does not name keeps the daemon from starting.
"""

import contextlib
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, Protocol

import grpc
import grpc.aio
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.access.tokens import TokenFile, TokenFileError
from rtcagentd.config import Listener
from rtcagentd.control.errors import Code, OrderError

log = logging.getLogger(__name__)

# Every method that is served, and whether it changes something.
CALLS: Mapping[str, bool] = {
    "/rtcagent.v1.Agent/GetAgent": False,
    "/rtcagent.v1.Agent/GetState": False,
    "/rtcagent.v1.Agent/GetDesiredState": False,
    "/rtcagent.v1.Agent/ApplyState": True,
    "/rtcagent.v1.Agent/WatchEvents": False,
    "/rtcagent.v1.Agent/ResetEngine": True,
    "/rtcagent.v1.Rooms/JoinRoom": True,
    "/rtcagent.v1.Rooms/LeaveRoom": True,
    "/rtcagent.v1.Rooms/UpdateToken": True,
    "/rtcagent.v1.Rooms/ListRooms": False,
    "/rtcagent.v1.Rooms/CreateInvite": True,
    "/rtcagent.v1.Rooms/PublishStream": True,
    "/rtcagent.v1.Rooms/UnpublishStream": True,
    "/rtcagent.v1.Rooms/MuteStream": True,
    "/rtcagent.v1.Rooms/SubscribeStream": True,
    "/rtcagent.v1.Rooms/UnsubscribeStream": True,
    "/rtcagent.v1.Rooms/SetUserInfo": True,
    "/rtcagent.v1.Rooms/SendMessage": True,
    "/rtcagent.v1.Rooms/WatchMessages": False,
    "/rtcagent.v1.Rooms/GetMessage": False,
    "/rtcagent.v1.Rooms/SetRemoteMuted": True,
    "/rtcagent.v1.Rooms/SetRemoteVolume": True,
    "/rtcagent.v1.Rooms/GetStatistics": False,
    "/rtcagent.v1.Rooms/WatchStatistics": False,
    "/rtcagent.v1.Rooms/SetStatisticsInterval": True,
    "/rtcagent.v1.Capture/StartVideoCapture": True,
    "/rtcagent.v1.Capture/StopVideoCapture": True,
    "/rtcagent.v1.Capture/StartAudioCapture": True,
    "/rtcagent.v1.Capture/StopAudioCapture": True,
    "/rtcagent.v1.Capture/SetCaptureVolume": True,
    "/rtcagent.v1.Capture/SetAudioProfile": True,
    "/rtcagent.v1.Capture/SetVideoEncoderConfig": True,
    "/rtcagent.v1.Capture/SetLocalVideoMirror": True,
    "/rtcagent.v1.Capture/SetVideoRotation": True,
    "/rtcagent.v1.Capture/ListEncoders": False,
    "/rtcagent.v1.Capture/TakeSnapshot": False,
    "/rtcagent.v1.Capture/GetCaptureStats": False,
    "/rtcagent.v1.Screen/ListScreenSources": False,
    "/rtcagent.v1.Screen/StartScreenCapture": True,
    "/rtcagent.v1.Screen/UpdateScreenCapture": True,
    "/rtcagent.v1.Screen/StopScreenCapture": True,
    "/rtcagent.v1.Screen/ListScreenAudioSources": False,
    "/rtcagent.v1.Screen/StartScreenAudioCapture": True,
    "/rtcagent.v1.Screen/StopScreenAudioCapture": True,
    "/rtcagent.v1.Devices/ListDevices": False,
    "/rtcagent.v1.Devices/SetSlot": True,
    "/rtcagent.v1.Devices/ListSlots": False,
    "/rtcagent.v1.Devices/SetCaptureDevice": True,
    "/rtcagent.v1.Devices/SetAudioPlaybackDevice": True,
    "/rtcagent.v1.Devices/SetPlaybackVolume": True,
    "/rtcagent.v1.Devices/TestSpeaker": True,
    "/rtcagent.v1.Devices/EnableAudioPropertiesReport": True,
    "/rtcagent.v1.Devices/WatchAudioProperties": False,
    "/rtcagent.v1.Devices/TestMicrophone": True,
    "/rtcagent.v1.Canvases/ListDisplays": False,
    "/rtcagent.v1.Canvases/ListCanvases": False,
    "/rtcagent.v1.Canvases/SetLocalVideoCanvas": True,
    "/rtcagent.v1.Canvases/SetRemoteVideoCanvas": True,
    "/rtcagent.v1.Canvases/RemoveCanvas": True,
    "/rtcagent.v1.Canvases/SetDefaultLayout": True,
    "/rtcagent.v1.Recordings/StartRecording": True,
    "/rtcagent.v1.Recordings/StopRecording": True,
    "/rtcagent.v1.Recordings/ListRecordings": False,
    "/rtcagent.v1.Recordings/DownloadRecording": True,
    "/rtcagent.v1.Recordings/DeleteRecording": True,
    "/grpc.health.v1.Health/Check": False,
    "/grpc.health.v1.Health/Watch": False,
    "/grpc.health.v1.Health/List": False,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": False,
}


# Who made the call that is being handled.
caller: ContextVar[ty.Controller] = ContextVar("caller")


class Authenticator(Protocol):
    """Says who calls, or raises OrderError(UNAUTHENTICATED)."""

    def __call__(self, context: Any) -> ty.Controller: ...


def authenticator(listener: Listener) -> Authenticator:
    """The check that a listener's configuration asks for."""
    if listener.token_file is not None:
        return _by_token(TokenFile(listener.token_file))
    if listener.tls is not None:
        return _by_certificate
    return lambda context: ty.Controller(identity="local", address=context.peer())


def _by_token(tokens: TokenFile) -> Authenticator:
    def check(context: Any) -> ty.Controller:
        given = dict(context.invocation_metadata() or ()).get("authorization", "")
        try:
            name = tokens.identify(given.removeprefix("Bearer ")) if given.startswith("Bearer ") else None
        except TokenFileError as error:
            log.error("nobody can come in: %s", error)
            raise OrderError(Code.UNAVAILABLE, "TOKENS_UNREADABLE", "the agent cannot read its token file") from error
        if name is None:
            text = "a token is needed: RTCAGENT_TOKEN or --token-file for rtcctl, else `authorization: Bearer TOKEN`"
            raise OrderError(Code.UNAUTHENTICATED, "TOKEN_MISSING" if not given else "TOKEN_WRONG", text)
        return ty.Controller(identity=name, address=context.peer())

    return check


def _by_certificate(context: Any) -> ty.Controller:
    names = context.auth_context().get("x509_common_name", [])
    identity = names[0].decode(errors="replace") if names else "certificate"
    return ty.Controller(identity=identity, address=context.peer())


Translate = Callable[[OrderError], grpc.Status]


class GuardedRegistry:
    """Stands in for a server while services register, and passes their handlers on, each wrapped in the check.

    `before_reading`: anybody can connect, and a request may be large, so it is not taken in before the check.
    """

    def __init__(
        self, server: grpc.aio.Server, who: Authenticator, translate: Translate, *, before_reading: bool
    ) -> None:
        self._server = server
        self._who = who
        self._translate = translate
        self._before_reading = before_reading

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """What generated code calls first; the handlers come again, by name, through add_registered_method_handlers."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        wrapped = {name: self._wrap(f"/{service}/{name}", handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, wrapped),))

    def _wrap(self, method: str, handler: Any) -> Any:
        if method not in CALLS:
            raise RuntimeError(f"access/guard.py does not say who may call {method}")
        serialize = _passes_bytes(handler.response_serializer)
        codecs = {"request_deserializer": handler.request_deserializer, "response_serializer": serialize}
        if self._before_reading and not handler.stream_stream:  # to gRPC a single request is a stream of one
            if handler.unary_unary:
                return grpc.stream_unary_rpc_method_handler(self._unary(_reading(handler.unary_unary)), **codecs)
            return grpc.stream_stream_rpc_method_handler(self._stream(_streaming(handler.unary_stream)), **codecs)
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary), **codecs)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(self._stream(handler.unary_stream), **codecs)
        return grpc.stream_stream_rpc_method_handler(self._stream(handler.stream_stream), **codecs)

    def _unary(self, call: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
        async def checked(request: Any, context: Any) -> Any:
            try:
                caller.set(self._who(context))
                return await call(request, context)
            except OrderError as error:
                await self._abort(context, error)

        return checked

    def _stream(self, call: Callable[[Any, Any], Any]) -> Callable[[Any, Any], AsyncIterator[Any]]:
        async def checked(request: Any, context: Any) -> AsyncIterator[Any]:
            try:
                caller.set(self._who(context))
                responses = call(request, context)
                if inspect.isawaitable(responses):  # a handler that writes to the context by itself
                    await responses
                    return
                async with contextlib.aclosing(responses):
                    async for response in responses:
                        yield response
            except OrderError as error:
                await self._abort(context, error)

        return checked

    async def _abort(self, context: Any, error: OrderError) -> None:
        await context.abort_with_status(self._translate(error))


def _passes_bytes(serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Lets a handler answer with a message that is encoded already."""
    return lambda message: message if isinstance(message, bytes) else serialize(message)


def _reading(call: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    """`call`, which is given its request as a stream."""

    async def read(requests: AsyncIterator[Any], context: Any) -> Any:
        return await call(await _only(requests), context)

    return read


def _streaming(call: Callable[[Any, Any], Any]) -> Callable[[Any, Any], AsyncIterator[Any]]:
    """Likewise, of one that answers with a stream."""

    async def read(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        responses = call(await _only(requests), context)
        if inspect.isawaitable(responses):  # a handler that writes to the context by itself
            await responses
            return
        async with contextlib.aclosing(responses):
            async for response in responses:
                yield response

    return read


async def _only(requests: AsyncIterator[Any]) -> Any:
    async for request in requests:
        return request
    raise OrderError(Code.INVALID_ARGUMENT, "REQUEST_MISSING", "the call has no request")
