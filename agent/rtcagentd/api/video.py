"""The calls of rtcagent.v1.Capture about how pictures look and are encoded."""

from typing import Any

from rtcagent.v1 import capture_pb2

from rtcagentd.api.ordering import Later, OrderDesk
from rtcagentd.control import video_orders
from rtcagentd.control.reconciler import Reconciler


class VideoCalls:
    """See proto/rtcagent/v1/capture.proto. A part of CaptureService."""

    _desk: OrderDesk
    _reconciler: Reconciler

    async def SetVideoEncoderConfig(
        self, request: capture_pb2.SetVideoEncoderConfigRequest, context: Any
    ) -> capture_pb2.SetVideoEncoderConfigResponse:
        capabilities = list(self._reconciler.attached.capabilities)
        edits = Later(lambda: video_orders.set_encoder_config(request, capabilities))
        result = await self._desk.take(request, request.order, edits, context)
        return capture_pb2.SetVideoEncoderConfigResponse(result=result)

    async def SetLocalVideoMirror(
        self, request: capture_pb2.SetLocalVideoMirrorRequest, context: Any
    ) -> capture_pb2.SetLocalVideoMirrorResponse:
        edits = Later(lambda: video_orders.set_mirror(request))
        result = await self._desk.take(request, request.order, edits, context)
        return capture_pb2.SetLocalVideoMirrorResponse(result=result)

    async def SetVideoRotation(
        self, request: capture_pb2.SetVideoRotationRequest, context: Any
    ) -> capture_pb2.SetVideoRotationResponse:
        edits = Later(lambda: video_orders.set_rotation(request))
        result = await self._desk.take(request, request.order, edits, context)
        return capture_pb2.SetVideoRotationResponse(result=result)

    async def ListEncoders(
        self, request: capture_pb2.ListEncodersRequest, context: Any
    ) -> capture_pb2.ListEncodersResponse:
        answer = await self._reconciler.ask(lambda session: session.list_encoders())
        return capture_pb2.ListEncodersResponse(encoders=answer.encoders)
