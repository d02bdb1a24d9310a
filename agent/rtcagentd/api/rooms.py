"""rtcagent.v1.Rooms: being in rooms, own streams there, and the streams of others."""

import time
from typing import Any

from rtcagent.v1 import rooms_pb2, rooms_pb2_grpc

from rtcagentd.api.messages import MessageCalls
from rtcagentd.api.ordering import Later, OrderDesk
from rtcagentd.api.statistics import StatisticsCalls
from rtcagentd.control import user_info
from rtcagentd.control.messages import Messages
from rtcagentd.control.orders import Orders
from rtcagentd.control.reconciler import Reconciler
from rtcagentd.control.state import State
from rtcagentd.control.statistics import StatisticsDesk


class RoomsService(MessageCalls, StatisticsCalls, rooms_pb2_grpc.RoomsServicer):
    """See proto/rtcagent/v1/rooms.proto."""

    def __init__(
        self,
        state: State,
        orders: Orders,
        desk: OrderDesk,
        reconciler: Reconciler,
        messages: Messages,
        statistics: StatisticsDesk,
    ) -> None:
        self._state = state
        self._orders = orders
        self._desk = desk
        self._reconciler = reconciler
        self._messages = messages
        self._statistics = statistics

    async def JoinRoom(self, request: rooms_pb2.JoinRoomRequest, context: Any) -> rooms_pb2.JoinRoomResponse:
        edits = Later(lambda: self._orders.join_room(request, self._reconciler.attached.limits))
        return rooms_pb2.JoinRoomResponse(
            result=await self._desk.take(request, request.order, edits, context, in_room=True)
        )

    async def LeaveRoom(self, request: rooms_pb2.LeaveRoomRequest, context: Any) -> rooms_pb2.LeaveRoomResponse:
        edits = self._orders.leave_room(request)
        return rooms_pb2.LeaveRoomResponse(result=await self._desk.take(request, request.order, edits, context))

    async def UpdateToken(self, request: rooms_pb2.UpdateTokenRequest, context: Any) -> rooms_pb2.UpdateTokenResponse:
        edits = self._orders.update_token(request)
        return rooms_pb2.UpdateTokenResponse(
            result=await self._desk.take(request, request.order, edits, context, in_room=True)
        )

    async def SetUserInfo(self, request: rooms_pb2.SetUserInfoRequest, context: Any) -> rooms_pb2.SetUserInfoResponse:
        edits = user_info.set_user_info(request, self._reconciler.attached.limits)
        return rooms_pb2.SetUserInfoResponse(
            result=await self._desk.take(request, request.order, edits, context, in_room=True)
        )

    async def ListRooms(self, request: rooms_pb2.ListRoomsRequest, context: Any) -> rooms_pb2.ListRoomsResponse:
        return rooms_pb2.ListRoomsResponse(rooms=self._state.reported.rooms)

    async def CreateInvite(
        self, request: rooms_pb2.CreateInviteRequest, context: Any
    ) -> rooms_pb2.CreateInviteResponse:
        server_url, token, ttl_s = self._orders.invite(request)
        response = rooms_pb2.CreateInviteResponse(server_url=server_url, token=token)
        response.expires_at.FromSeconds(int(time.time()) + ttl_s)
        return response

    async def PublishStream(
        self, request: rooms_pb2.PublishStreamRequest, context: Any
    ) -> rooms_pb2.PublishStreamResponse:
        edits = self._orders.publish_stream(request)
        return rooms_pb2.PublishStreamResponse(result=await self._desk.take(request, request.order, edits, context))

    async def UnpublishStream(
        self, request: rooms_pb2.UnpublishStreamRequest, context: Any
    ) -> rooms_pb2.UnpublishStreamResponse:
        edits = self._orders.unpublish_stream(request)
        return rooms_pb2.UnpublishStreamResponse(result=await self._desk.take(request, request.order, edits, context))

    async def MuteStream(self, request: rooms_pb2.MuteStreamRequest, context: Any) -> rooms_pb2.MuteStreamResponse:
        edits = self._orders.mute_stream(request)
        return rooms_pb2.MuteStreamResponse(result=await self._desk.take(request, request.order, edits, context))

    async def SubscribeStream(
        self, request: rooms_pb2.SubscribeStreamRequest, context: Any
    ) -> rooms_pb2.SubscribeStreamResponse:
        edits = self._orders.subscribe_stream(request, True)
        return rooms_pb2.SubscribeStreamResponse(result=await self._desk.take(request, request.order, edits, context))

    async def UnsubscribeStream(
        self, request: rooms_pb2.UnsubscribeStreamRequest, context: Any
    ) -> rooms_pb2.UnsubscribeStreamResponse:
        edits = self._orders.subscribe_stream(request, False)
        return rooms_pb2.UnsubscribeStreamResponse(result=await self._desk.take(request, request.order, edits, context))

    async def SetRemoteMuted(
        self, request: rooms_pb2.SetRemoteMutedRequest, context: Any
    ) -> rooms_pb2.SetRemoteMutedResponse:
        edits = self._orders.sound.set_remote_muted(request)
        return rooms_pb2.SetRemoteMutedResponse(result=await self._desk.take(request, request.order, edits, context))

    async def SetRemoteVolume(
        self, request: rooms_pb2.SetRemoteVolumeRequest, context: Any
    ) -> rooms_pb2.SetRemoteVolumeResponse:
        edits = self._orders.sound.set_remote_volume(request)
        return rooms_pb2.SetRemoteVolumeResponse(result=await self._desk.take(request, request.order, edits, context))
