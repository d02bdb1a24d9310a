"""Finds the source, room or recording that brings the engine down, and keeps it out of the next engine until something
changes.

Blame. Suspects of a crash are those of them with a step under way when the engine died, or with one that ended less
than RECENT_S before. Each gets a strike; those that have one already are blamed alone. In the next engine
whatever has no strike comes up at once, and those that have come up one at a time, the least suspected first, so that
the next crash has one suspect; who survives that was wrongly suspected with others. THREE_STRIKES within WINDOW_S are a
quarantine.

An order about the object lifts it and forgets its strikes; a change of devices gives a camera one more try. It is not
stored: a new daemon finds out again.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator

from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control import plan, recording_plan
from rtcagentd.control.events import cause
from rtcagentd.control.objects import Key, capture_key, room_key

log = logging.getLogger(__name__)

THREE_STRIKES = 3
WINDOW_S = 300.0
RECENT_S = 3.0
TRIAL_MAX_S = 10.0  # a step may take longer (a join without an answer): the others do not wait for that


def suspect_of(step: plan.Step) -> Key | None:
    """What to blame if the engine does not survive this step. Steps that end something are not blamed."""
    match step:
        case plan.OpenSource() | recording_plan.SetRecording():
            return step.key
        case plan.Publish():
            return capture_key(step.stream.source_id)
        case plan.Join():
            return step.key
        case plan.SetSubscribed() if step.subscribed:
            return room_key(step.room_id)
    return None


class Quarantine:
    """What is held against which object. Told of each step and of each crash; all times are the event loop's."""

    def __init__(self) -> None:
        self._strikes: dict[Key, list[float]] = {}
        self._shared: set[Key] = set()  # have one strike, and so had others for the same crash
        self._quarantined: dict[Key, ty.Cause] = {}
        self._new_engine()

    def _new_engine(self) -> None:
        self._under_way: Counter[Key] = Counter()
        self._ended_at: dict[Key, float] = {}
        self._on_trial_until: dict[Key, float] = {}

    # -- steps

    def admit(self, steps: Iterable[plan.Step], now: float) -> Iterator[plan.Step]:
        """The steps that may be made now; for an object in quarantine, that it is withheld."""
        self._forgive(now)
        waiting: list[tuple[int, Key, plan.Step]] = []
        for step in steps:
            key = suspect_of(step)
            if key in self._quarantined and isinstance(step, plan.OpenSource | plan.Join | recording_plan.SetRecording):
                yield plan.Withhold(step.key, step.digest, self._quarantined[key])
            elif key is None or not self._strikes_of(key, now) or key in self._on_trial_until:
                yield step
            else:
                waiting.append((len(self._strikes_of(key, now)), key, step))
        if waiting and now >= max(self._on_trial_until.values(), default=0.0):
            yield min(waiting, key=lambda item: item[:2])[2]

    def _forgive(self, now: float) -> None:
        for key, until in self._on_trial_until.items():
            if key in self._shared and until <= now and not self._under_way[key]:
                self._shared.discard(key)
                self._strikes.pop(key, None)

    def next_trial(self, now: float) -> float | None:
        """When the next struck object may come up, if one is on trial now."""
        return min((at for at in self._on_trial_until.values() if at > now), default=None)

    def began(self, step: plan.Step, now: float) -> None:
        """A step that was admitted is being made."""
        key = suspect_of(step)
        if key is not None:
            self._under_way[key] += 1
            if self._strikes_of(key, now):
                self._on_trial_until.setdefault(key, now + TRIAL_MAX_S)

    def ended(self, step: plan.Step, now: float) -> None:
        """The step of this engine is over, however it went."""
        key = suspect_of(step)
        if key is not None and self._under_way[key]:
            self._under_way[key] -= 1
            if key not in self._ended_at and key in self._on_trial_until:
                self._on_trial_until[key] = min(self._on_trial_until[key], now + RECENT_S)
            self._ended_at[key] = now

    # -- engines

    def engine_ended(self, now: float, *, crashed: bool) -> None:
        """The engine is gone; `crashed`: it was its own doing."""
        recent = [key for key, at in self._ended_at.items() if now - at < RECENT_S]
        suspects = {key for key, count in self._under_way.items() if count} | set(recent)
        self._new_engine()
        if not crashed:
            return
        suspects = {key for key in suspects if self._strikes_of(key, now)} or suspects
        self._shared -= suspects
        for key in sorted(suspects):
            strikes = self._strikes[key] = [*self._strikes_of(key, now), now]
            log.warning("the engine died with %s %s just begun: strike %d", key.kind, key.text, len(strikes))
            if len(strikes) == 1 and len(suspects) > 1:
                self._shared.add(key)
            if len(strikes) >= THREE_STRIKES:
                self._quarantined[key] = _sentence(key)

    # -- what lifts it

    def lift(self, keys: Iterable[Key]) -> None:
        """An order was about these objects: nothing is held against them any more."""
        for key in keys:
            self._quarantined.pop(key, None)
            self._strikes.pop(key, None)
            self._on_trial_until.pop(key, None)
            self._shared.discard(key)

    def try_again(self, keys: Iterable[Key], now: float) -> None:
        """Something about these objects has changed: one more crash, and they are in quarantine again."""
        for key in keys:
            if self._quarantined.pop(key, None) is not None:
                self._strikes[key] = [now] * (THREE_STRIKES - 1)

    def _strikes_of(self, key: Key, now: float) -> list[float]:
        strikes = [at for at in self._strikes.get(key, ()) if now - at < WINDOW_S]
        if not strikes:
            self._strikes.pop(key, None)
        return strikes


def _sentence(key: Key) -> ty.Cause:
    begun, again = {
        "capture": ("opened", "order its capture again to try once more, or capture something else"),
        "recording": ("begun", "order it again to try once more, or stop it"),
        "room": ("joined", "order to join it again to try once more, or leave it"),
    }[key.kind]
    minutes = round(WINDOW_S / 60)
    text = f"the engine died three times within {minutes} minutes while this was {begun}: it is left out; {again}"
    return cause(ty.REASON_QUARANTINED, text)
