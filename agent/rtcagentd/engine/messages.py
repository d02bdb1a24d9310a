"""Messages from the rooms on their way to the daemon, and the contents of large ones, each within bounds of its own:
what others send must neither fill the memory nor hold up the events.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.v1 import messages_pb2 as msg

INLINE_BYTES = 15_000  # what fits into a packet; larger contents are fetched by those who want them
MAX_WAITING = 1_000
MAX_WAITING_BYTES = 4 << 20
MAX_HELD_BYTES = 64 << 20
HELD_S = 600.0


@dataclass
class _Held:
    content: bytes
    is_text: bool
    until: float  # of the monotonic clock


class Messages:
    """Written by all rooms, read by the one daemon that is attached. On the event loop only."""

    def __init__(self) -> None:
        self._generation = 0
        self._queue: deque[msg.Message] = deque()
        self._queued_bytes = 0
        self._missed = 0
        self._held: OrderedDict[str, _Held] = OrderedDict()  # oldest first
        self._held_bytes = 0
        self._changed = asyncio.Event()
        self._ended = False

    def begin(self, generation: int) -> None:
        """From here on messages are for `generation`; what waited for an older one is old."""
        self._generation = generation
        self._queue.clear()
        self._queued_bytes = self._missed = 0
        self._changed.set()
        self._changed = asyncio.Event()

    def put(self, message: msg.Message, content: bytes, *, is_text: bool) -> None:
        """A whole message has come."""
        message.size_bytes = len(content)
        if len(content) > INLINE_BYTES:
            message.is_held = True
            self._hold(message.message_id, content, is_text)
        elif is_text:
            message.text = content.decode()
        else:
            message.data = content
        self.put_without_content(message)

    def put_without_content(self, message: msg.Message) -> None:
        """A message whose content is elsewhere, or is lost."""
        if not self._generation:
            return
        self._queue.append(message)
        self._queued_bytes += message.ByteSize()
        while len(self._queue) > MAX_WAITING or self._queued_bytes > MAX_WAITING_BYTES:
            self._queued_bytes -= self._queue.popleft().ByteSize()
            self._missed += 1
        self._changed.set()

    def content(self, message_id: str) -> tuple[bytes, bool] | None:
        """The content of a message that is held, and whether it is text."""
        self._expire()
        held = self._held.get(message_id)
        return (held.content, held.is_text) if held is not None else None

    def end(self) -> None:
        """There are no more messages."""
        self._ended = True
        self._changed.set()

    @property
    def ended(self) -> bool:
        return self._ended

    async def watch(self, generation: int) -> AsyncIterator[contract.ReceivedMessage]:
        """The messages for `generation`, oldest first, until another one begins or there are no more."""
        while self._generation == generation:
            changed = self._changed
            changed.clear()
            while self._queue and self._generation == generation:
                message = self._queue.popleft()
                self._queued_bytes -= message.ByteSize()
                missed, self._missed = self._missed, 0
                yield contract.ReceivedMessage(message=message, missed_count=missed)
            if self._ended:
                return
            await changed.wait()

    def _hold(self, message_id: str, content: bytes, is_text: bool) -> None:
        self._held[message_id] = _Held(content, is_text, time.monotonic() + HELD_S)
        self._held_bytes += len(content)
        self._expire()

    def _expire(self) -> None:
        now = time.monotonic()
        while self._held:
            oldest = next(iter(self._held.values()))
            if oldest.until > now and self._held_bytes <= MAX_HELD_BYTES:
                return
            self._held_bytes -= len(self._held.popitem(last=False)[1].content)
