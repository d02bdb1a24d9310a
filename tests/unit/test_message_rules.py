"""What may be sent as a message, in which form, and how much of what arrives goes into the log and the memory."""

import time

import pytest
from rtcagent.v1 import messages_pb2 as msg
from rtcagentd.control.errors import OrderError
from rtcagentd.control.messages import LOGGED_BURST, LOGGED_BYTES_BURST, Allowance, check
from rtcagentd.engine.messages import HELD_S, MAX_HELD_BYTES, MAX_WAITING, Messages

PACKET, STREAM = msg.MESSAGE_FORM_PACKET, msg.MESSAGE_FORM_STREAM
MIB = 1 << 20


@pytest.mark.parametrize(
    ("asked", "form"),
    [
        (msg.SendMessageRequest(text="x" * 15_000), PACKET),
        (msg.SendMessageRequest(text="ü" * 7_501), STREAM),
        (msg.SendMessageRequest(data=bytes(15_000), lossy=True), PACKET),
        (msg.SendMessageRequest(data=bytes(16 * MIB)), STREAM),
        (msg.SendMessageRequest(text="hello", topic="lk.chat"), STREAM),
        (msg.SendMessageRequest(text="hello", topic="lk.chat", form=PACKET), PACKET),
        (msg.SendMessageRequest(text="hello", form=STREAM), STREAM),
    ],
)
def test_the_form_follows_size_and_topic(asked: msg.SendMessageRequest, form: msg.MessageForm.ValueType) -> None:
    asked.room_id = "demo"
    assert check(asked).form == form


@pytest.mark.parametrize(
    ("asked", "field", "reason"),
    [
        (msg.SendMessageRequest(), "content", "CONTENT_MISSING"),
        (msg.SendMessageRequest(text=""), "content", "CONTENT_MISSING"),
        (msg.SendMessageRequest(data=bytes(15_001), lossy=True), "content", "MESSAGE_TOO_LARGE"),
        (msg.SendMessageRequest(data=bytes(15_001), form=PACKET), "content", "MESSAGE_TOO_LARGE"),
        (msg.SendMessageRequest(data=bytes(16 * MIB + 1)), "content", "MESSAGE_TOO_LARGE"),
        (msg.SendMessageRequest(text="x", topic="t" * 129), "topic", "TOPIC_INVALID"),
        (msg.SendMessageRequest(text="x", lossy=True, form=STREAM), "form", "FORM_INVALID"),
        (msg.SendMessageRequest(text="x", user_ids=["ann", "a b"]), "user_ids[1]", "USER_ID_INVALID"),
    ],
)
def test_what_can_never_be_sent(asked: msg.SendMessageRequest, field: str, reason: str) -> None:
    asked.room_id = "demo"
    with pytest.raises(OrderError) as raised:
        check(asked)
    assert (raised.value.field, raised.value.reason) == (field, reason)


def test_a_room_that_sends_without_end_does_not_fill_the_log() -> None:
    """Small and large messages: an allowance that is used up comes back with time, and counts what it left out."""
    small = Allowance(100.0)
    logged = sum(small.takes(10, 100.0) for _ in range(1000))
    assert logged == LOGGED_BURST
    assert small.unlogged == 1000 - logged
    assert sum(small.takes(10, 110.0) for _ in range(1000)) == LOGGED_BURST  # no more than the burst
    large = Allowance(100.0)
    assert sum(large.takes(15_000, 100.0) for _ in range(90)) == int(LOGGED_BYTES_BURST // 15_000)


async def test_what_waits_for_the_daemon_is_bounded_and_counted() -> None:
    messages = Messages()
    messages.put(msg.Message(message_id="nobody"), b"x", is_text=True)  # nobody is attached
    messages.begin(1)
    for number in range(MAX_WAITING + 7):
        messages.put(msg.Message(message_id=str(number)), b"x", is_text=True)
    messages.end()
    received = [each async for each in messages.watch(1)]
    assert [received[0].missed_count, len(received), received[0].message.message_id] == [7, MAX_WAITING, "7"]
    assert received[0].message.text == "x"


async def test_large_contents_are_held_within_bounds_and_for_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = Messages()
    messages.begin(1)
    for number in range(5):
        messages.put(msg.Message(message_id=str(number)), bytes(MAX_HELD_BYTES // 4), is_text=False)
    assert messages.content("0") is None
    assert messages.content("4") == (bytes(MAX_HELD_BYTES // 4), False)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + HELD_S + 1)
    assert messages.content("4") is None
