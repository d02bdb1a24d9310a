"""The calls of the service Rooms about messages."""

from collections.abc import Iterable
from typing import Literal

from rtcagent.v1.messages_pb2 import (
    GetMessageRequest,
    GetMessageResponse,
    Message,
    MessageForm,
    SendMessageRequest,
    SendMessageResponse,
)

from rtcagent_client.requests.call import Call
from rtcagent_client.words import enum_value

FormName = Literal["packet", "stream"]

SEND_S = 30.0  # 16 MiB over a slow line


def send_message(
    room_id: str,
    content: str | bytes,
    *,
    topic: str = "",
    user_ids: Iterable[str] = (),
    lossy: bool = False,
    form: FormName | int | None = None,
) -> Call[SendMessageResponse]:
    """Send text or bytes to a room that the agent is in, or to some of its users. Sent once, never repeated.

    Up to 15,000 bytes travel as a packet, more as a stream of up to 16 MiB; text with the topic "lk.chat" always as a
    stream, which is what front ends read their chat from. Raises InvalidArgument (empty, too large), NotFound (a user
    who is not there), FailedPrecondition (not in the room), PermissionDenied (the room token).
    """
    request = SendMessageRequest(
        room_id=room_id, user_ids=user_ids, topic=topic, lossy=lossy, form=enum_value(MessageForm, form)
    )
    if isinstance(content, str):
        request.text = content
    else:
        request.data = content
    return Call("rooms", "SendMessage", request, lambda response: response, answer_s=SEND_S)


def get_message(message_id: str, *, offset: int = 0) -> Call[GetMessageResponse]:
    """A piece, 1 MiB at most, of the content of a message that `is_held`; read_message() gives the whole.

    Raises NotFound when it is not kept any more.
    """
    request = GetMessageRequest(message_id=message_id, offset=offset)
    return Call("rooms", "GetMessage", request, lambda response: response)


def content_of(message: Message) -> bytes | None:
    """The content that came with a message, text as UTF-8; None where it has to be fetched, or is lost."""
    if message.is_held or message.HasField("cause"):
        return None
    return message.text.encode() if message.WhichOneof("content") == "text" else message.data
