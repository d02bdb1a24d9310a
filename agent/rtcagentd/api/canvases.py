"""rtcagent.v1.Canvases: what the machine's displays show."""

from typing import Any

from rtcagent.v1 import canvases_pb2, canvases_pb2_grpc
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import fold

from rtcagentd.api.ordering import Later, OrderDesk
from rtcagentd.control.canvas_orders import CanvasOrders
from rtcagentd.control.events import cause
from rtcagentd.control.state import State


class CanvasesService(canvases_pb2_grpc.CanvasesServicer):
    """See proto/rtcagent/v1/canvases.proto."""

    def __init__(self, state: State, orders: CanvasOrders, desk: OrderDesk) -> None:
        self._state = state
        self._orders = orders
        self._desk = desk

    async def ListDisplays(
        self, request: canvases_pb2.ListDisplaysRequest, context: Any
    ) -> canvases_pb2.ListDisplaysResponse:
        known = self._state.reported.displays
        response = canvases_pb2.ListDisplaysResponse(displays=known.displays)
        if known.HasField("cause"):
            response.cause.CopyFrom(known.cause)
        elif not known.displays:
            response.cause.CopyFrom(cause(ty.REASON_ENGINE_STARTING, "the engine, which knows them, is being started"))
        return response

    async def SetLocalVideoCanvas(
        self, request: canvases_pb2.SetLocalVideoCanvasRequest, context: Any
    ) -> canvases_pb2.SetLocalVideoCanvasResponse:
        edits = Later(lambda: self._orders.set_local(request))
        return canvases_pb2.SetLocalVideoCanvasResponse(
            result=await self._desk.take(request, request.order, edits, context)
        )

    async def SetRemoteVideoCanvas(
        self, request: canvases_pb2.SetRemoteVideoCanvasRequest, context: Any
    ) -> canvases_pb2.SetRemoteVideoCanvasResponse:
        edits = Later(lambda: self._orders.set_remote(request))
        return canvases_pb2.SetRemoteVideoCanvasResponse(
            result=await self._desk.take(request, request.order, edits, context)
        )

    async def RemoveCanvas(
        self, request: canvases_pb2.RemoveCanvasRequest, context: Any
    ) -> canvases_pb2.RemoveCanvasResponse:
        edits = self._orders.remove(request)
        return canvases_pb2.RemoveCanvasResponse(result=await self._desk.take(request, request.order, edits, context))

    async def ListCanvases(
        self, request: canvases_pb2.ListCanvasesRequest, context: Any
    ) -> canvases_pb2.ListCanvasesResponse:
        response = canvases_pb2.ListCanvasesResponse()
        for desired in sorted(self._state.all(st.DesiredCanvas), key=lambda canvas: canvas.canvas_id):
            status = fold.find_canvas(self._state.reported, desired.canvas_id)
            response.canvases.add(desired=desired, status=status)
        return response

    async def SetDefaultLayout(
        self, request: canvases_pb2.SetDefaultLayoutRequest, context: Any
    ) -> canvases_pb2.SetDefaultLayoutResponse:
        edits = Later(lambda: self._orders.set_layout(request))
        result = await self._desk.take(request, request.order, edits, context, default_keep=ty.Keep.KIND_FOREVER)
        return canvases_pb2.SetDefaultLayoutResponse(result=result)
