"""A connection that the SDK has restored: what was asked of the room meanwhile is asked again."""

from types import SimpleNamespace
from typing import Any, cast

from livekit import rtc
from rtcagent.v1 import types_pb2 as ty
from rtcagentd.engine.livekit.subscriptions import Subscriptions


class Publication:
    """Of another user; it writes down what it is asked."""

    def __init__(self, sid: str, kind: Any) -> None:
        self.sid, self.name, self.kind = sid, sid, kind
        self.source = rtc.TrackSource.SOURCE_UNKNOWN
        self.subscribed = self.muted = False
        self.width = self.height = 0
        self.asked: list[bool] = []

    def set_subscribed(self, subscribed: bool) -> None:
        self.asked.append(subscribed)


def test_streams_that_came_while_it_was_restored_are_subscribed_to() -> None:
    nobody = SimpleNamespace(emit=lambda _: None, on_views=lambda _: lambda: None)
    config = ty.RoomConfig(room_id="room", auto_subscribe_audio=True)
    subscriptions = Subscriptions(config, *cast(Any, (None, nobody, None, nobody)))
    sound, video = Publication("voice", rtc.TrackKind.KIND_AUDIO), Publication("face", rtc.TrackKind.KIND_VIDEO)
    for each in (sound, video):
        subscriptions.on_published(cast(Any, each), cast(Any, SimpleNamespace(identity="ann")))
    subscriptions.on_reconnected()
    assert (sound.asked, video.asked) == ([True, True], [])
    sound.subscribed = True
    subscriptions.on_reconnected()
    assert (sound.asked, video.asked) == ([True, True], [])
