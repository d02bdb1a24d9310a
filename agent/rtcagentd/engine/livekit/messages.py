"""Messages of one room: data packets and data streams of LiveKit, sent and received.

A stream is read as it comes and is a message once it is whole.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable
from typing import Any

from livekit import rtc
from livekit.rtc.data_stream import ByteStreamReader, StreamError, TextStreamReader
from livekit.rtc.participant import PublishDataError
from rtcagent.v1 import messages_pb2 as msg
from rtcagent.v1 import types_pb2 as types

from rtcagentd.engine.engine import EngineError
from rtcagentd.engine.livekit import errors
from rtcagentd.engine.messages import Messages

log = logging.getLogger(__name__)

SEND_DEADLINE_S = 20.0  # of 16 MiB over a slow line
MAX_STREAM_BYTES = 16 << 20
# Streams of one room that are read at once, and what they may take in memory together while they are.
MAX_OPEN_STREAMS = 32
MAX_OPEN_BYTES = 64 << 20
IDLE_S = 30.0  # a stream that brings nothing for so long is given up
MAX_LABEL = 256  # characters of what the sender may choose: topic, file name, type

Reader = TextStreamReader | ByteStreamReader


class _EveryTopic(dict[str, Any]):
    """Stands in for the SDK's table of stream handlers by topic: one handler for all of them."""

    def __init__(self, handler: Callable[[Any, str], None]) -> None:
        super().__init__()
        self._handler = handler

    def get(self, key: str, default: Any = None) -> Any:
        return self._handler


class RoomMessages:
    """Of one room, until `close`."""

    def __init__(self, room_id: str, room: rtc.Room, messages: Messages) -> None:
        self._room_id = room_id
        self._room = room
        self._messages = messages
        self._reading: set[asyncio.Task[None]] = set()
        self._open_bytes = 0
        room._text_stream_handlers = _EveryTopic(self._on_stream)
        room._byte_stream_handlers = _EveryTopic(self._on_stream)

    async def send(self, asked: msg.SendMessageRequest) -> None:
        """Hand a message to the room server. EngineError: it was not sent, or that is not known."""
        local = self._room.local_participant
        if not local.permissions.can_publish_data:
            text = f"the room token does not let this user send messages in {self._room_id}"
            raise EngineError(types.REASON_NO_PERMISSION, text)
        to = list(asked.user_ids)
        is_text = asked.WhichOneof("content") == "text"
        try:
            async with asyncio.timeout(SEND_DEADLINE_S):
                if asked.form == msg.MESSAGE_FORM_PACKET:
                    content = asked.text.encode() if is_text else asked.data
                    await local.publish_data(
                        content, reliable=not asked.lossy, destination_identities=to, topic=asked.topic
                    )
                elif is_text:
                    await local.send_text(asked.text, destination_identities=to, topic=asked.topic)
                else:
                    await local.send_bytes(asked.data, destination_identities=to, topic=asked.topic)
        except TimeoutError:
            text = f"the message did not leave within {SEND_DEADLINE_S:g} s; it may still arrive"
            raise EngineError(types.REASON_TIMEOUT, text) from None
        except (PublishDataError, StreamError) as error:
            raise errors.send_error(str(error)) from None

    def on_packet(self, packet: rtc.DataPacket) -> None:
        # Of a user who publishes nothing the room server tells up to 3 s late, and until then the SDK has no name.
        sender = packet.participant.identity if packet.participant is not None else ""
        message = self._begun(sender, packet.topic or "")
        message.form = msg.MESSAGE_FORM_PACKET
        message.lossy = packet.kind == rtc.DataPacketKind.KIND_LOSSY
        message.received_at.GetCurrentTime()
        self._messages.put(message, packet.data, is_text=_is_text(packet.data))

    def close(self) -> None:
        """Nothing is put after this; what is half read is lost with the room."""
        for task in self._reading:
            task.cancel()

    def _on_stream(self, reader: Reader, user_id: str) -> None:
        message = self._begun(user_id, reader.info.topic)
        message.form = msg.MESSAGE_FORM_STREAM
        message.mime_type = reader.info.mime_type[:MAX_LABEL]
        if isinstance(reader, ByteStreamReader):
            message.name = reader.info.name[:MAX_LABEL]
        if reader.info.timestamp:
            with contextlib.suppress(ValueError, OverflowError):  # whatever the sender says
                message.sent_at.FromMilliseconds(reader.info.timestamp)
        message.size_bytes = min(reader.info.size or 0, (1 << 64) - 1)
        if (reader.info.size or 0) > MAX_STREAM_BYTES:
            self._refuse(reader, message, types.REASON_MESSAGE_TOO_LARGE, "it has more than 16 MiB")
        elif len(self._reading) >= MAX_OPEN_STREAMS:
            why = f"{MAX_OPEN_STREAMS} streams of this room are being received already"
            self._refuse(reader, message, types.REASON_LIMIT_REACHED, why)
        else:
            task = asyncio.create_task(self._read(reader, message), name=f"message {message.message_id}")
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    async def _read(self, reader: Reader, message: msg.Message) -> None:
        is_text = isinstance(reader, TextStreamReader)
        content = bytearray()
        piece: str | bytes | None
        try:
            while True:
                async with asyncio.timeout(IDLE_S):
                    piece = await anext(reader, None)
                if piece is None:
                    break
                part = piece.encode() if isinstance(piece, str) else piece
                if len(content) + len(part) > MAX_STREAM_BYTES:
                    message.size_bytes = len(content) + len(part)
                    return self._refuse(reader, message, types.REASON_MESSAGE_TOO_LARGE, "it has more than 16 MiB")
                if self._open_bytes + len(part) > MAX_OPEN_BYTES:
                    return self._refuse(reader, message, types.REASON_LIMIT_REACHED, "too much is being received")
                content += part
                self._open_bytes += len(part)
            message.received_at.GetCurrentTime()
            self._messages.put(message, bytes(content), is_text=is_text)
        except TimeoutError:
            self._refuse(reader, message, types.REASON_TIMEOUT, f"nothing came of it for {IDLE_S:g} s")
        except StreamError as error:
            self._refuse(reader, message, types.REASON_SERVER_ERROR, f"it broke off: {error.description}")
        finally:
            self._open_bytes -= len(content)
            reader.close()

    def _refuse(self, reader: Reader, message: msg.Message, reason: types.Reason.ValueType, why: str) -> None:
        """Tell that there was a message, without its content."""
        reader.close()
        message.received_at.GetCurrentTime()
        message.cause.reason = reason
        message.cause.message = f"the message was not received: {why}"
        log.warning("a message of %s in %s was not received: %s", message.user_id, self._room_id, why)
        self._messages.put_without_content(message)

    def _begun(self, user_id: str, topic: str) -> msg.Message:
        return msg.Message(message_id=uuid.uuid4().hex, room_id=self._room_id, user_id=user_id, topic=topic[:MAX_LABEL])


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
