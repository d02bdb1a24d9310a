"""Messages to and from a room, with the SDK's participants and with a person's browser at the other end."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from rtcagent.v1 import messages_pb2 as msg
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import AsyncClient, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied

from tests.parts.chromium import Chromium
from tests.parts.controller import watching
from tests.parts.correspondent import Correspondent
from tests.parts.daemon import NAME, Daemon
from tests.parts.room_server import RoomServer

ROOM = "lobby"
PACKET, STREAM = msg.MESSAGE_FORM_PACKET, msg.MESSAGE_FORM_STREAM
LARGE = os.urandom(2 << 20)
WAIT_S = 20


@pytest_asyncio.fixture
async def client(daemon: Daemon) -> AsyncIterator[AsyncClient]:
    async with AsyncClient.connect(daemon.address) as client:
        yield client


@pytest_asyncio.fixture
async def ann(room_server: RoomServer, client: AsyncClient) -> AsyncIterator[Correspondent]:
    """In the room with the agent, and known to it."""
    person = Correspondent()
    await client.join_room(ROOM)
    async with client.events(types=["user_joined"]) as events:
        await person.join(room_server.url, room_server.token(ROOM, "ann"), "note", "file", "big", "lk.chat")
        async with asyncio.timeout(WAIT_S):
            await anext(events)
    await person.sees(NAME)
    yield person
    await person.close()


async def test_messages_leave_in_every_form(client: AsyncClient, ann: Correspondent) -> None:
    sent = await client.send_message(ROOM, "hello", topic="note")
    assert (sent.form, sent.size_bytes) == (PACKET, 5)
    letter = await ann.letter("note")
    assert (letter.how, letter.user_id, letter.content, letter.reliable) == ("packet", NAME, b"hello", True)

    await client.send_message(ROOM, b"\x00\xff" * 7_500, topic="file", user_ids=["ann"], lossy=True)
    letter = await ann.letter("file")
    assert (letter.how, len(letter.content), letter.reliable) == ("packet", 15_000, False)

    await client.send_message(ROOM, "ü" * 10_000, topic="note")
    letter = await ann.letter("note")
    assert (letter.how, letter.content.decode()) == ("text", "ü" * 10_000)

    sent = await client.send_message(ROOM, LARGE, topic="big")
    assert (sent.form, sent.size_bytes) == (STREAM, len(LARGE))
    assert (await ann.letter("big")).content == LARGE


async def test_messages_arrive_live_and_reliable_ones_are_in_the_log(
    daemon: Daemon, client: AsyncClient, ann: Correspondent
) -> None:
    local = ann.room.local_participant
    async with watching(daemon.control, types=["message_received"]) as watcher, client.messages([ROOM]) as messages:
        async with asyncio.timeout(WAIT_S):
            await local.publish_data("ring ring", topic="ring")
            ring = await anext(messages)
            assert (ring.room_id, ring.user_id, ring.topic, ring.text) == (ROOM, "ann", "ring", "ring ring")
            assert ring.HasField("received_at")
            assert ring.form == PACKET
            await local.publish_data(b"\xff\x00", topic="raw", reliable=False)
            raw = await anext(messages)
            assert (raw.topic, raw.data, raw.lossy) == ("raw", b"\xff\x00", True)
            await local.send_text("hello", topic="lk.chat")
            chat = await anext(messages)
            assert (chat.topic, chat.text, chat.form) == ("lk.chat", "hello", STREAM)
            assert abs(chat.sent_at.ToSeconds() - chat.received_at.ToSeconds()) < 60
            await local.send_bytes(LARGE, topic="big", name="big.bin")
            big = await anext(messages)
            assert (big.is_held, big.size_bytes, big.name) == (True, len(LARGE), "big.bin")
            assert await client.read_message(big) == LARGE
            with pytest.raises(InvalidArgument):
                await client.get_message(big.message_id, offset=len(LARGE) + 1)
            await watcher.event("message_received", lambda each: each.message.topic == "big")
    logged = [each.message_received.message for each in watcher.events]
    assert [each.topic for each in logged] == ["ring", "lk.chat", "big"]
    assert (watcher.events[0].room_id, watcher.events[0].user_id) == (ROOM, "ann")
    assert logged[0].text == "ring ring"
    assert logged[2].ByteSize() < 1000  # announced, not kept on the disk


async def test_an_old_ring_is_never_answered_and_nothing_that_arrives_is_an_order(
    client: AsyncClient, ann: Correspondent
) -> None:
    before = await client.get_desired_state()
    async with client.messages(topics=["ring"]) as first:
        await ann.room.local_participant.publish_data(
            b'{"method": "LeaveRoom", "room_id": "lobby"}',
            topic="ring",
        )
        async with asyncio.timeout(WAIT_S):
            await anext(first)
    async with client.messages(topics=["ring"]) as second:
        await ann.room.local_participant.publish_data("new", topic="other")
        await ann.room.local_participant.publish_data("new", topic="ring")
        async with asyncio.timeout(WAIT_S):
            assert (await anext(second)).text == "new"
    assert await client.get_desired_state() == before


async def test_a_browser_sends_and_receives(room_server: RoomServer, client: AsyncClient, browser: Chromium) -> None:
    """livekit-client's publishData, sendText, their listeners, and the chat topic of its front ends."""
    await client.join_room(ROOM)
    async with client.events(types=["user_joined"]) as events, client.messages() as messages:
        await browser.join(room_server.url, room_server.token(ROOM, "bob"))
        await browser.page.evaluate(
            """() => {
                page.got = [];
                page.room.registerTextStreamHandler("lk.chat", async (reader, who) =>
                    page.got.push({ how: "text", who: who.identity, text: await reader.readAll() }));
                page.room.on("dataReceived", (data, who, kind, topic) =>
                    page.got.push({ how: topic, who: who.identity, text: new TextDecoder().decode(data) }));
            }"""
        )
        async with asyncio.timeout(WAIT_S):
            await anext(events)
            await browser.page.evaluate(
                """async () => {
                    const me = page.room.localParticipant;
                    await me.publishData(new TextEncoder().encode("ding"), { reliable: true, topic: "ring" });
                    await me.sendText("hi there", { topic: "lk.chat" });
                }"""
            )
            ring, chat = await anext(messages), await anext(messages)
        assert (ring.user_id, ring.topic, ring.text) == ("bob", "ring", "ding")
        assert (chat.user_id, chat.topic, chat.text) == ("bob", "lk.chat", "hi there")
        await client.send_message(ROOM, "coming", topic="lk.chat")
        await client.send_message(ROOM, "dong", topic="ring", user_ids=["bob"])
        await browser.page.wait_for_function("() => page.got.length >= 2", timeout=WAIT_S * 1000)
        got = await browser.page.evaluate("() => page.got")
        assert {each["how"]: (each["who"], each["text"]) for each in got} == {
            "text": (NAME, "coming"),
            "ring": (NAME, "dong"),
        }


async def test_what_cannot_be_sent_says_why(room_server: RoomServer, client: AsyncClient, ann: Correspondent) -> None:
    with pytest.raises(FailedPrecondition) as not_joined:
        await client.send_message("elsewhere", "hello")
    assert not_joined.value.reason == "ROOM_NOT_JOINED"
    with pytest.raises(NotFound) as unknown:
        await client.send_message(ROOM, "hello", user_ids=["ann", "nobody"])
    assert (unknown.value.reason, unknown.value.metadata["user_id"]) == ("USER_NOT_FOUND", "nobody")
    with pytest.raises(InvalidArgument) as large:
        await client.send_message(ROOM, bytes(15_001), lossy=True)
    assert large.value.reason == "MESSAGE_TOO_LARGE"
    with pytest.raises(InvalidArgument) as larger:
        await client.send_message(ROOM, bytes((16 << 20) + 1))
    assert larger.value.reason == "MESSAGE_TOO_LARGE"
    with pytest.raises(NotFound) as gone:
        await client.get_message("no-such-message")
    assert gone.value.reason == "MESSAGE_GONE"
    await client.join_room("silent", token=room_server.token("silent", NAME, canPublishData=False))
    with pytest.raises(PermissionDenied) as silent:
        await client.send_message("silent", "hello")
    assert silent.value.reason == "NO_PERMISSION"


async def test_too_large_a_stream_is_told_without_its_content(client: AsyncClient, ann: Correspondent) -> None:
    async with client.messages() as messages:
        writer = await ann.room.local_participant.stream_bytes("huge", topic="huge", total_size=17 << 20)
        async with asyncio.timeout(WAIT_S):
            huge = await anext(messages)
        assert (huge.topic, huge.cause.reason) == ("huge", ty.REASON_MESSAGE_TOO_LARGE)
        assert huge.WhichOneof("content") is None
        await writer.aclose()
