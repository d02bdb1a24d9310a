"""What `rtcctl messages` and `rtcctl send` show."""

from rtcagent.v1.messages_pb2 import Message, MessageForm, SendMessageResponse
from rtcagent.v1.types_pb2 import Reason

from rtcagent_client.errors import describe_cause
from rtcagent_client.rtcctl.render import phrases
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import enum_word

MAX_SHOWN = 200  # characters, and bytes


def size_text(size: int) -> str:
    """ "5 bytes", "15.0 kB", "16.8 MB"."""
    if size < 10_000:
        return f"{size} byte{'' if size == 1 else 's'}"
    return f"{size / 1e3:.1f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"


def message_text(message: Message) -> str:
    """ "ann in demo [ring]: hello" """
    who = message.user_id or "the server"
    topic = f" [{_clean(message.topic)}]" if message.topic else ""
    lossy = " (lossy)" if message.lossy else ""
    return f"{who} in {message.room_id}{topic}{lossy}: {_content(message)}"


def message_line(message: Message, screen: Screen) -> str:
    """ "14:02:11.123  ann in demo [ring]: hello" """
    time = phrases.local(message.received_at).strftime("%H:%M:%S.%f")[:-3]
    return f"{screen.paint(time, 'dim')}  {message_text(message)}"


def show_sent(sent: SendMessageResponse, screen: Screen) -> None:
    how = enum_word(MessageForm, sent.form).lower()
    screen.line(f"sent {size_text(sent.size_bytes)} as a {how}")


def _content(message: Message) -> str:
    if message.HasField("cause"):
        return describe_cause(message.cause) or enum_word(Reason, message.cause.reason)
    if message.is_held:
        name = f"{_clean(message.name)}, " if message.name else ""
        return f"<{name}{size_text(message.size_bytes)}, id {message.message_id}>"
    if message.WhichOneof("content") == "text":
        shown = _clean(message.text)
        return shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}... <{size_text(message.size_bytes)}>"
    hexadecimal = message.data[: MAX_SHOWN // 4].hex(" ")
    more = " ..." if len(message.data) > MAX_SHOWN // 4 else ""
    return f"<{size_text(message.size_bytes)}: {hexadecimal}{more}>"


def _clean(text: str) -> str:
    """What others wrote, on one line and without what would move a terminal's cursor or change its colours."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text.replace("\n", " ⏎ "))
