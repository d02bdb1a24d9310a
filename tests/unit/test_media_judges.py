"""When a connection is held for dead, and a stream for stalled; told by readings and times alone."""

from collections.abc import Iterator

from rtcagent.v1 import state_pb2 as st
from rtcagentd.engine.livekit.media_judges import LinkJudge, StreamJudge
from rtcagentd.engine.livekit.media_stats import PublicationReading, RoomReading

LOOK_S = 0.4
STREAM_LOOK_S = 0.8


def looks(count: int, step_s: float = LOOK_S, begin: float = 100.0) -> Iterator[tuple[int, float]]:
    for number in range(count):
        yield number, begin + number * step_s


def test_a_link_that_answers_nothing_is_dead_within_three_seconds() -> None:
    judge = LinkJudge(100.0)
    assert all(judge.observe(now, RoomReading(10 * number, 50 * number)) for number, now in looks(10))
    died_at = 104.0
    dead_at = next(
        now for number, now in looks(20, begin=died_at) if not judge.observe(now, RoomReading(90, 500 + 50 * number))
    )
    assert 1.5 < dead_at - died_at < 2.6
    assert judge.observe(dead_at + LOOK_S, RoomReading(91, 2000))


def test_a_room_into_which_nothing_is_sent_may_be_silent_for_longer() -> None:
    judge = LinkJudge(100.0)
    alive = [judge.observe(now, RoomReading(10, 50)) for _, now in looks(50)]
    assert all(alive[:13])
    assert not alive[-1]


def test_the_first_frames_after_a_pause_are_given_time_for_their_answer() -> None:
    judge = LinkJudge(100.0)
    judge.observe(100.0, RoomReading(10, 50))
    assert judge.observe(102.4, RoomReading(10, 50))
    assert judge.observe(102.8, RoomReading(10, 90))
    assert judge.observe(103.2, RoomReading(20, 120))


def test_what_happened_while_nobody_looked_is_not_judged() -> None:
    judge = LinkJudge(100.0)
    judge.observe(100.0, RoomReading(10, 50))
    judge.observe(100.4, RoomReading(10, 60))
    judge.pause(130.0)
    assert judge.observe(130.0, RoomReading(10, 900))


def test_counters_that_begin_anew_are_a_sign_of_life() -> None:
    judge = LinkJudge(100.0)
    judge.observe(100.0, RoomReading(1000, 5000))
    judge.observe(101.0, RoomReading(1000, 5100))
    assert judge.observe(103.0, RoomReading(4, 0))


class Stream:
    """A publication whose parts can be stopped."""

    def __init__(self) -> None:
        self.judge = StreamJudge(100.0)
        self.now = 100.0
        self.pushed = self.encoded = self.sent = self.acknowledged = 0
        self.moving = {"pushed", "encoded", "sent", "acknowledged"}
        self.is_active = True

    def look(self) -> st.MediaState.ValueType:
        self.now += STREAM_LOOK_S
        for name in self.moving:
            setattr(self, name, getattr(self, name) + 10)
        reading = PublicationReading(self.is_active, self.encoded, self.sent, self.acknowledged)
        return self.judge.observe(self.now, self.pushed, reading)

    def until(self, wanted: st.MediaState.ValueType) -> float:
        begin = self.now
        while self.look() != wanted:
            assert self.now - begin < 10, "not within 10 s"
        return self.now - begin


def test_a_stream_is_live_once_all_of_it_moves() -> None:
    stream = Stream()
    assert stream.look() == st.MEDIA_STATE_UNSPECIFIED
    assert stream.until(st.MEDIA_STATE_LIVE) < 3


def test_a_stream_that_stops_anywhere_behind_the_source_is_stalled_within_four_seconds() -> None:
    for part in ("encoded", "sent", "acknowledged"):
        stream = Stream()
        stream.until(st.MEDIA_STATE_LIVE)
        stream.moving -= {part}
        assert 2 < stream.until(st.MEDIA_STATE_STALLED) < 4, part


def test_a_stream_that_nobody_takes_is_not_stalled() -> None:
    stream = Stream()
    stream.until(st.MEDIA_STATE_LIVE)
    stream.is_active = False
    stream.moving = {"pushed"}
    assert {stream.look() for _ in range(20)} == {st.MEDIA_STATE_PAUSED}
    stream.is_active = True
    stream.moving = {"pushed", "encoded", "sent", "acknowledged"}
    assert stream.until(st.MEDIA_STATE_LIVE) < 3


def test_a_source_without_frames_is_not_a_stalled_stream() -> None:
    stream = Stream()
    stream.until(st.MEDIA_STATE_LIVE)
    stream.moving = set()
    assert stream.until(st.MEDIA_STATE_NO_FRAMES) < 4
    assert {stream.look() for _ in range(20)} == {st.MEDIA_STATE_NO_FRAMES}


def test_a_source_that_ends_just_after_its_last_report_is_not_a_stalled_stream() -> None:
    """The last frames are never acknowledged by a report of their own."""
    stream = Stream()
    stream.until(st.MEDIA_STATE_LIVE)
    stream.moving -= {"acknowledged"}
    stream.look()
    stream.moving = set()
    assert st.MEDIA_STATE_STALLED not in {stream.look() for _ in range(20)}
