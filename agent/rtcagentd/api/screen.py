"""rtcagent.v1.Screen: sharing displays and windows."""

from typing import Any

from rtcagent.v1 import capture_pb2, screen_pb2, screen_pb2_grpc
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.api.ordering import Later, OrderDesk
from rtcagentd.control import screen_checks, screen_orders
from rtcagentd.control.errors import precondition
from rtcagentd.control.objects import capture_key
from rtcagentd.control.orders import Edits, Orders
from rtcagentd.control.reconciler import Reconciler
from rtcagentd.control.state import State


class ScreenService(screen_pb2_grpc.ScreenServicer):
    """See proto/rtcagent/v1/screen.proto."""

    def __init__(self, state: State, orders: Orders, desk: OrderDesk, reconciler: Reconciler) -> None:
        self._state = state
        self._orders = orders
        self._desk = desk
        self._reconciler = reconciler

    async def ListScreenSources(
        self, request: screen_pb2.ListScreenSourcesRequest, context: Any
    ) -> screen_pb2.ListScreenSourcesResponse:
        screen_checks.thumbnail_width(request.thumbnail_width)
        answer = await self._reconciler.ask(lambda session: session.list_screen_sources(request.thumbnail_width))
        if answer.HasField("failure"):
            why = answer.failure.cause
            raise precondition(ty.Reason.Name(why.reason).removeprefix("REASON_"), why.message)
        return answer.screens

    async def StartScreenCapture(
        self, request: screen_pb2.StartScreenCaptureRequest, context: Any
    ) -> screen_pb2.StartScreenCaptureResponse:
        asked = screen_orders.as_capture(request)
        limits, is_up = self._reconciler.attached.limits, self._reconciler.session is not None

        async def edits() -> Edits:
            made = self._orders.start_video_capture(asked, limits, devices_known=is_up)
            await self._check_is_there(request.screen)
            return made

        return screen_pb2.StartScreenCaptureResponse(
            result=await self._desk.take(request, request.order, Later(edits), context)
        )

    async def UpdateScreenCapture(
        self, request: screen_pb2.UpdateScreenCaptureRequest, context: Any
    ) -> screen_pb2.UpdateScreenCaptureResponse:
        key = capture_key(request.source_id or screen_orders.DEFAULT_SCREEN_ID)

        async def edits() -> Edits:
            made = screen_orders.update(request)
            wanted = screen_orders.changed(self._state.get(key, st.DesiredCapture), request)
            if request.region.width:
                await self._check_is_there(wanted.config.input.screen)
            return made

        return screen_pb2.UpdateScreenCaptureResponse(
            result=await self._desk.take(request, request.order, Later(edits), context)
        )

    async def StopScreenCapture(
        self, request: screen_pb2.StopScreenCaptureRequest, context: Any
    ) -> screen_pb2.StopScreenCaptureResponse:
        source_id = request.source_id or screen_orders.DEFAULT_SCREEN_ID
        edits = self._orders.stop_video_capture(capture_pb2.StopVideoCaptureRequest(source_id=source_id))
        return screen_pb2.StopScreenCaptureResponse(
            result=await self._desk.take(request, request.order, edits, context)
        )

    async def ListScreenAudioSources(
        self, request: screen_pb2.ListScreenAudioSourcesRequest, context: Any
    ) -> screen_pb2.ListScreenAudioSourcesResponse:
        answer = await self._reconciler.ask(lambda session: session.list_screen_audio_sources())
        if answer.HasField("failure"):
            why = answer.failure.cause
            raise precondition(ty.Reason.Name(why.reason).removeprefix("REASON_"), why.message)
        return answer.sounds

    async def StartScreenAudioCapture(
        self, request: screen_pb2.StartScreenAudioCaptureRequest, context: Any
    ) -> screen_pb2.StartScreenAudioCaptureResponse:
        edits = self._orders.audio.start(screen_orders.as_audio_capture(request))
        return screen_pb2.StartScreenAudioCaptureResponse(
            result=await self._desk.take(request, request.order, edits, context)
        )

    async def StopScreenAudioCapture(
        self, request: screen_pb2.StopScreenAudioCaptureRequest, context: Any
    ) -> screen_pb2.StopScreenAudioCaptureResponse:
        source_id = request.source_id or screen_orders.DEFAULT_SCREEN_AUDIO_ID
        edits = self._orders.audio.stop(capture_pb2.StopAudioCaptureRequest(source_id=source_id))
        return screen_pb2.StopScreenAudioCaptureResponse(
            result=await self._desk.take(request, request.order, edits, context)
        )

    async def _check_is_there(self, screen: ty.VideoInput.Screen) -> None:
        """Refuse what is not there. Where it cannot be seen for want of a display, the order waits for one."""
        if self._reconciler.session is None and not screen.WhichOneof("target") and not screen.region.width:
            return
        answer = await self._reconciler.ask(lambda session: session.list_screen_sources(0))
        if not answer.HasField("failure"):
            screen_checks.is_there(screen, answer.screens)
