"""Who is blamed for an engine's death, who comes up when after it, and what lifts a quarantine."""

from collections.abc import Iterable

import pytest
from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import types_pb2 as ty
from rtcagentd.control import plan, recording_plan
from rtcagentd.control.objects import Key, capture_key, recording_key, room_key
from rtcagentd.control.quarantine import RECENT_S, WINDOW_S, Quarantine
from rtcagentd.supervise.engine_end import EXIT_ORPHANED, EngineEnd
from rtcagentd.supervise.engine_memory import READINGS, RECYCLE_EVERY_S, MemoryLimit

CAMERA, POISON, ROOM = capture_key("camera"), capture_key("poison"), room_key("demo")


def step_of(key: Key) -> plan.Step:
    if key.kind == "recording":
        return recording_plan.SetRecording(key, b"", en.SetRecordingRequest(recording_id=key.text))
    if key.kind == "room":
        return plan.Join(key, b"", ty.RoomConfig(room_id=key.text), "")
    return plan.OpenSource(key, b"", key.text, ty.CaptureConfig())


class Engine:
    """Opens and joins what is wanted, in an engine that dies as soon as it opens POISON."""

    def __init__(self) -> None:
        self.quarantine = Quarantine()
        self.now = 1000.0
        self.up: set[Key] = set()

    def run(self, wanted: Iterable[Key]) -> bool:
        """Bring up what is not; False when the engine died."""
        while True:
            left = [step_of(key) for key in wanted if key not in self.up]
            steps = list(self.quarantine.admit(left, self.now))
            made = [step for step in steps if not isinstance(step, plan.Withhold)]
            if not made:
                until = self.quarantine.next_trial(self.now)
                if until is None:
                    return True
                self.now = until
                continue
            for step in made:
                self.quarantine.began(step, self.now)
            if any(step.key == POISON for step in made):
                self.quarantine.engine_ended(self.now, crashed=True)
                self.up.clear()
                return False
            for step in made:
                self.quarantine.ended(step, self.now)
                self.up.add(step.key)

    def withheld(self) -> list[Key]:
        steps = self.quarantine.admit(map(step_of, (CAMERA, POISON, ROOM)), self.now)
        return [step.key for step in steps if isinstance(step, plan.Withhold)]


def test_a_recording_is_blamed_like_a_source() -> None:
    quarantine, film = Quarantine(), step_of(recording_key("film"))
    for _ in range(3):
        assert list(quarantine.admit([film], 0)) == [film]
        quarantine.began(film, 0)
        quarantine.engine_ended(0, crashed=True)
    (withheld,) = quarantine.admit([film], 0)
    assert isinstance(withheld, plan.Withhold)
    quarantine.lift([film.key])
    assert list(quarantine.admit([film], 0)) == [film]


@pytest.fixture
def engine() -> Engine:
    return Engine()


def test_the_third_death_is_a_quarantine_of_the_one_that_did_it(engine: Engine) -> None:
    """All three come up at once at first, and are suspects."""
    assert [engine.run([CAMERA, POISON, ROOM]) for _ in range(4)] == [False, False, False, True]
    assert engine.up == {CAMERA, ROOM}
    assert engine.now < 1000 + 3 * RECENT_S, "the others had to show their innocence once only"
    assert engine.withheld() == [POISON]


def test_nobody_is_blamed_for_what_came_from_outside_or_long_after(engine: Engine) -> None:
    for _ in range(5):
        engine.run([CAMERA, ROOM])
        engine.quarantine.engine_ended(engine.now, crashed=False)
        engine.up.clear()
    for _ in range(5):
        engine.run([CAMERA, ROOM])
        engine.now += RECENT_S
        engine.quarantine.engine_ended(engine.now, crashed=True)
        engine.up.clear()
    assert engine.withheld() == []


def test_deaths_that_are_far_apart_are_no_quarantine(engine: Engine) -> None:
    for _ in range(5):
        assert engine.run([POISON]) is False
        engine.now += WINDOW_S / 2
    assert engine.withheld() == []


def test_what_was_not_suspected_does_not_wait(engine: Engine) -> None:
    assert engine.run([CAMERA, POISON]) is False
    steps = engine.quarantine.admit(map(step_of, (CAMERA, POISON, ROOM)), engine.now)
    assert sorted(step.key for step in steps) == [CAMERA, ROOM]


def test_a_trial_that_takes_long_does_not_hold_up_the_others(engine: Engine) -> None:
    """A join without an answer, say."""
    engine.quarantine.began(step_of(CAMERA), engine.now)
    engine.quarantine.began(step_of(ROOM), engine.now)
    engine.quarantine.engine_ended(engine.now, crashed=True)
    (first,) = engine.quarantine.admit(map(step_of, (CAMERA, ROOM)), engine.now)
    engine.quarantine.began(first, engine.now)
    assert list(engine.quarantine.admit([step_of(ROOM)], engine.now)) == []
    until = engine.quarantine.next_trial(engine.now)
    assert until is not None
    assert [step.key for step in engine.quarantine.admit([step_of(ROOM)], until)] == [ROOM]


def test_an_order_forgets_and_a_device_gives_one_more_try(engine: Engine) -> None:
    while not engine.run([POISON]):
        pass
    engine.quarantine.try_again([POISON], engine.now)
    assert [engine.run([POISON]), engine.run([POISON])] == [False, True]
    engine.quarantine.lift([POISON])
    assert [engine.run([POISON]) for _ in range(4)] == [False, False, False, True]


def test_an_end_says_whose_doing_it_was() -> None:
    lost = EngineEnd(EngineEnd.Kind.LOST, "the connection broke")
    hung = EngineEnd(EngineEnd.Kind.CRASHED, "no sign of life")
    assert lost.as_the_process_ended(-11, "SIGSEGV").kind is EngineEnd.Kind.CRASHED
    assert lost.as_the_process_ended(0, "status 0").kind is EngineEnd.Kind.CRASHED  # a panic sends SIGTERM
    assert lost.as_the_process_ended(-9, "SIGKILL") == EngineEnd(EngineEnd.Kind.LOST, "SIGKILL")
    assert lost.as_the_process_ended(EXIT_ORPHANED, "status 72").kind is EngineEnd.Kind.LOST
    assert lost.as_the_process_ended(-9, "SIGKILL", killed=True) == lost
    assert hung.as_the_process_ended(-9, "SIGKILL", killed=True) == hung
    assert hung.as_the_process_ended(-6, "SIGABRT", killed=True).why == "SIGABRT"
    assert lost.as_the_process_ended(None, "") == lost


def test_memory_over_the_limit_is_told_once_in_a_while() -> None:
    limit = MemoryLimit(100)
    small, large = 50 << 20, 150 << 20
    assert [limit.exceeded(small, 0.0)] + [limit.exceeded(large, 0.0) for _ in range(READINGS - 1)] == [""] * READINGS
    assert "150 MB" in limit.exceeded(large, 0.0)
    assert [limit.exceeded(large, RECYCLE_EVERY_S / 2) for _ in range(20)] == [""] * 20
    assert "150 MB" in limit.exceeded(large, RECYCLE_EVERY_S)
    assert MemoryLimit(0).exceeded(large, 0.0) == ""
