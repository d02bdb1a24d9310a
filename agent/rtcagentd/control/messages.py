"""Messages to and from the rooms: checks what is to be sent, hands what arrives to those who watch, and writes the
reliable ones into the log, as far as a room may fill it.

What arrives changes nothing here but the log: nothing that comes from a room is ever an order.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import dataclass, field

from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import messages_pb2 as msg
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import fold

from rtcagentd.control import checks
from rtcagentd.control.errors import Code, OrderError, invalid, not_found, precondition, unavailable
from rtcagentd.control.events import event
from rtcagentd.control.reconciler import Reconciler
from rtcagentd.control.state import State

MAX_PACKET_BYTES = 15_000
MAX_STREAM_BYTES = 16 << 20
MAX_TOPIC_BYTES = 128
CHAT_TOPIC = "lk.chat"

# What one room may write into the log: who sends more there fills neither the disk nor the log with it.
LOGGED_PER_S = 20.0
LOGGED_BURST = 100.0
LOGGED_BYTES_PER_S = 256.0 * 1024
LOGGED_BYTES_BURST = 1024.0 * 1024

JUST_CAME_S = 4.0  # livekit-server tells of users who publish nothing up to 3 s late

# What waits for one watcher.
MAX_WAITING = 1_000
MAX_WAITING_BYTES = 4 << 20


class Allowance:
    """What one room may still write into the log. Times are in seconds of one clock."""

    def __init__(self, now: float) -> None:
        self._messages = LOGGED_BURST
        self._bytes = LOGGED_BYTES_BURST
        self._at = now
        self.unlogged = 0  # since the last one that was

    def takes(self, size: int, now: float) -> bool:
        """Whether a message of `size` bytes goes into the log."""
        passed, self._at = now - self._at, now
        self._messages = min(LOGGED_BURST, self._messages + passed * LOGGED_PER_S)
        self._bytes = min(LOGGED_BYTES_BURST, self._bytes + passed * LOGGED_BYTES_PER_S)
        if self._messages < 1 or self._bytes < size:
            self.unlogged += 1
            return False
        self._messages -= 1
        self._bytes -= size
        return True


@dataclass
class _Watcher:
    room_ids: Collection[str]
    topics: Collection[str]
    waiting: deque[msg.Message] = field(default_factory=deque)
    waiting_bytes: int = 0
    missed: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, message: msg.Message) -> None:
        if (self.room_ids and message.room_id not in self.room_ids) or (
            self.topics and message.topic not in self.topics
        ):
            return
        self.waiting.append(message)
        self.waiting_bytes += message.ByteSize()
        while len(self.waiting) > MAX_WAITING or self.waiting_bytes > MAX_WAITING_BYTES:
            self.waiting_bytes -= self.waiting.popleft().ByteSize()
            self.missed += 1
        self.changed.set()

    def take(self) -> msg.WatchMessagesResponse:
        response = msg.WatchMessagesResponse(messages=self.waiting, missed_count=self.missed)
        self.waiting.clear()
        self.waiting_bytes = self.missed = 0
        self.changed.clear()
        return response


class Messages:
    """All messages of all rooms. On the event loop."""

    def __init__(self, state: State, reconciler: Reconciler, clock: Callable[[], float]) -> None:
        self._state = state
        self._reconciler = reconciler
        self._clock = clock
        self._watchers: list[_Watcher] = []
        self._allowances: dict[str, Allowance] = {}
        reconciler.on_message = self.arrived

    async def arrived(self, received: en.ReceivedMessage) -> None:
        """A message has come from the engine."""
        message = received.message
        for watcher in self._watchers:
            watcher.missed += received.missed_count
            watcher.offer(message)
        if message.lossy:
            return
        now = self._clock()
        allowance = self._allowances.get(message.room_id)
        if allowance is None:
            self._forget_left_rooms()
            allowance = self._allowances[message.room_id] = Allowance(now)
        allowance.unlogged += received.missed_count
        if allowance.takes(message.ByteSize(), now):
            unlogged, allowance.unlogged = allowance.unlogged, 0
            self._state.record(event(ev.MessageReceived(message=message, unlogged_count=unlogged)))

    async def send(self, asked: msg.SendMessageRequest) -> msg.SendMessageResponse:
        """Send a message, once. OrderError: it was not sent, or (UNAVAILABLE) that is not known."""
        message = check(asked)
        room = fold.find_room(self._state.reported, message.room_id)
        if room is None or room.state not in (st.ROOM_STATE_JOINED, st.ROOM_STATE_RECONNECTING):
            text = f"the agent is not in room {message.room_id!r} now"
            raise precondition("ROOM_NOT_JOINED", text, room_id=message.room_id)
        if room.state == st.ROOM_STATE_RECONNECTING:
            text = f"the connection to room {message.room_id!r} is being restored: try again"
            raise unavailable("ROOM_RECONNECTING", text, room_id=message.room_id)
        for user_id in message.user_ids:
            if not await self._is_present(message.room_id, user_id):
                text = f"user {user_id!r} is not in room {message.room_id!r}"
                raise not_found("USER_NOT_FOUND", text, room_id=message.room_id, user_id=user_id)
        answer = await self._reconciler.ask(
            lambda session: session.send_message(en.SendMessageRequest(message=message))
        )
        if answer.HasField("failure"):
            raise _refusal(answer.failure.cause, message.room_id)
        response = msg.SendMessageResponse(form=message.form, size_bytes=_size(message))
        response.sent_at.GetCurrentTime()
        return response

    async def _is_present(self, room_id: str, user_id: str) -> bool:
        """Whether a user is in a room. Who has just come may have sent a message before that was written down."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(JUST_CAME_S):
                while fold.find_user(self._state.reported, room_id, user_id) is None:
                    await self._state.wait_for_change(self._state.version)
                return True
        return False

    async def watch(
        self, room_ids: Collection[str], topics: Collection[str]
    ) -> AsyncGenerator[msg.WatchMessagesResponse]:
        """What arrives from now on; endless."""
        watcher = _Watcher(frozenset(room_ids), frozenset(topics))
        self._watchers.append(watcher)
        try:
            yield msg.WatchMessagesResponse()
            while True:
                await watcher.changed.wait()
                yield watcher.take()
        finally:
            self._watchers.remove(watcher)

    def _forget_left_rooms(self) -> None:
        rooms = {room.room_id for room in self._state.reported.rooms}
        self._allowances = {key: value for key, value in self._allowances.items() if key in rooms}


def check(asked: msg.SendMessageRequest) -> msg.SendMessageRequest:
    """The message with the form that it is sent in; OrderError where it can never be sent."""
    checks.room_id(asked.room_id)
    for index, user_id in enumerate(asked.user_ids):
        checks.user_id(user_id, f"user_ids[{index}]")
    if asked.WhichOneof("content") is None or not (size := _size(asked)):
        raise invalid("content", "CONTENT_MISSING", "there is nothing to send: give text or data")
    if len(asked.topic.encode()) > MAX_TOPIC_BYTES:
        raise invalid("topic", "TOPIC_INVALID", f"topic has more than {MAX_TOPIC_BYTES} bytes")
    if asked.form not in msg.MessageForm.values():
        raise invalid("form", "FORM_INVALID", f"this agent knows no message form {asked.form}")
    if asked.lossy and asked.form == msg.MESSAGE_FORM_STREAM:
        raise invalid("form", "FORM_INVALID", "a stream is always reliable: send a lossy message as a packet")
    if size > MAX_STREAM_BYTES:
        text = f"the message has {size} bytes; a room takes {MAX_STREAM_BYTES} (16 MiB) at most"
        raise invalid("content", "MESSAGE_TOO_LARGE", text)
    if size > MAX_PACKET_BYTES and (asked.lossy or asked.form == msg.MESSAGE_FORM_PACKET):
        what = "lossy message" if asked.lossy else "packet"
        text = f"the message has {size} bytes, and a {what} {MAX_PACKET_BYTES} at most: send it reliably, as a stream"
        raise invalid("content", "MESSAGE_TOO_LARGE", text)
    message = msg.SendMessageRequest()
    message.CopyFrom(asked)
    if not asked.form:
        is_chat = asked.topic == CHAT_TOPIC and asked.WhichOneof("content") == "text" and not asked.lossy
        is_stream = is_chat or size > MAX_PACKET_BYTES
        message.form = msg.MESSAGE_FORM_STREAM if is_stream else msg.MESSAGE_FORM_PACKET
    return message


def _size(message: msg.SendMessageRequest) -> int:
    return len(message.text.encode()) if message.WhichOneof("content") == "text" else len(message.data)


def _refusal(why: ty.Cause, room_id: str) -> OrderError:
    if why.reason == ty.REASON_NO_PERMISSION:
        return OrderError(Code.PERMISSION_DENIED, "NO_PERMISSION", why.message, room_id=room_id)
    if why.reason == ty.REASON_ROOM_NOT_JOINED:
        return precondition("ROOM_NOT_JOINED", why.message, room_id=room_id)
    return unavailable("NOT_SENT", why.message, room_id=room_id)
