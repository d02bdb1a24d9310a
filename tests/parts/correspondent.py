"""A second participant that sends and receives messages by the LiveKit SDK."""

import asyncio
from dataclasses import dataclass
from typing import Any

from livekit import rtc

from tests.parts.waiting import Changes


@dataclass
class Letter:
    """What arrived, and how."""

    how: str  # "packet", "text" or "bytes"
    user_id: str
    topic: str
    content: bytes
    reliable: bool = True


class Correspondent:
    """One participant of one room. It takes streams on the topics that it is told of."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.attributes: dict[str, dict[str, str]] = {}
        self.room = rtc.Room()
        self._changes = Changes()
        self._reading: set[asyncio.Task[None]] = set()

    async def join(self, url: str, token: str, *topics: str) -> None:
        for topic in topics:
            self.room.register_text_stream_handler(topic, self._stream("text", topic))
            self.room.register_byte_stream_handler(topic, self._stream("bytes", topic))
        self.room.on("data_received", self._packet)
        self.room.on("participant_connected", lambda _: self._changes.tell())
        for event in ("metadata_changed", "name_changed", "attributes_changed"):
            self.room.on(f"participant_{event}", lambda *_: self._changes.tell())  # type: ignore[arg-type]
        await self.room.connect(url, token, options=rtc.RoomOptions(auto_subscribe=False))

    async def sees(self, user_id: str) -> rtc.RemoteParticipant:
        """Wait until a user is in the room."""
        await self._changes.until(
            lambda: user_id in self.room.remote_participants, timeout_ms=10_000, what=f"{user_id} is in the room"
        )
        return self.room.remote_participants[user_id]

    async def until(self, fact: Any, what: str) -> None:
        """Wait until something about a user of the room is so."""
        await self._changes.until(fact, timeout_ms=10_000, what=what)

    async def letter(self, topic: str, *, timeout_ms: float = 15_000) -> Letter:
        """The first message of a topic that has not been asked for yet."""

        def found() -> Letter | None:
            return next((each for each in self.letters if each.topic == topic), None)

        await self._changes.until(
            lambda: found() is not None, timeout_ms=timeout_ms, what=lambda: f"{topic} arrives; {self.letters}"
        )
        letter = found()
        assert letter is not None
        self.letters.remove(letter)
        return letter

    async def close(self) -> None:
        for task in self._reading:
            task.cancel()
        await self.room.disconnect()

    def _packet(self, packet: rtc.DataPacket) -> None:
        who = packet.participant.identity if packet.participant is not None else ""
        reliable = packet.kind == rtc.DataPacketKind.KIND_RELIABLE
        self.letters.append(Letter("packet", who, packet.topic or "", packet.data, reliable))
        self._changes.tell()

    def _stream(self, how: str, topic: str) -> Any:
        def opened(reader: Any, user_id: str) -> None:
            async def read() -> None:
                content = b""
                async for piece in reader:
                    content += piece.encode() if isinstance(piece, str) else piece
                self.letters.append(Letter(how, user_id, topic, content))
                self._changes.tell()

            task = asyncio.get_running_loop().create_task(read())
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

        return opened
