"""The calls of rtcagent.v1.Rooms about messages."""

from collections.abc import AsyncIterator
from typing import Any

from rtcagent.v1 import messages_pb2 as msg

from rtcagentd.control import checks
from rtcagentd.control.errors import invalid, not_found
from rtcagentd.control.messages import Messages
from rtcagentd.control.reconciler import Reconciler

PIECE_BYTES = 1 << 20


class MessageCalls:
    """See proto/rtcagent/v1/rooms.proto. A part of RoomsService."""

    _messages: Messages
    _reconciler: Reconciler

    async def SendMessage(self, request: msg.SendMessageRequest, context: Any) -> msg.SendMessageResponse:
        return await self._messages.send(request)

    async def WatchMessages(
        self, request: msg.WatchMessagesRequest, context: Any
    ) -> AsyncIterator[msg.WatchMessagesResponse]:
        for index, room_id in enumerate(request.room_ids):
            checks.room_id(room_id, f"room_ids[{index}]")
        async for response in self._messages.watch(request.room_ids, request.topics):
            yield response

    async def GetMessage(self, request: msg.GetMessageRequest, context: Any) -> msg.GetMessageResponse:
        held = await self._reconciler.ask(lambda session: session.get_message(request.message_id))
        if not held.found:
            text = "there is no content of this message: it was sent along, or is not kept any more"
            raise not_found("MESSAGE_GONE", text, message_id=request.message_id[:80])
        if request.offset > len(held.data):
            text = f"offset is {request.offset}, and the message has {len(held.data)} bytes"
            raise invalid("offset", "OFFSET_INVALID", text)
        return msg.GetMessageResponse(
            data=held.data[request.offset : request.offset + PIECE_BYTES],
            size_bytes=len(held.data),
            is_text=held.is_text,
        )
