"""The daemon's state in a line of words, for those who look at the service and not at the API."""

from collections.abc import Iterable

from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control.objects import key_of
from rtcagentd.control.outcomes import Outcomes
from rtcagentd.control.state import State


def in_words(state: State, outcomes: Outcomes) -> str:
    """Such as: in room demo, publishing camera; capture front: waiting for the device."""
    parts = [*_rooms(state.reported), *_differences(outcomes)]
    if state.reported.engine.state != st.ENGINE_STATE_RUNNING:
        parts.insert(0, _engine(state.reported.engine))
    return "; ".join(parts) or "nothing is asked for"


def _rooms(reported: st.ReportedState) -> Iterable[str]:
    for room in reported.rooms:
        if room.state == st.ROOM_STATE_JOINED:
            sent = [item.source_id for item in room.publications if item.state == st.PUBLICATION_STATE_PUBLISHED]
            yield f"in room {room.room_id}, " + (
                f"publishing {', '.join(sorted(sent))}" if sent else "publishing nothing"
            )


def _differences(outcomes: Outcomes) -> Iterable[str]:
    for outcome in outcomes.differences():
        key = key_of(outcome.object)
        verb = " refused:" if outcome.kind == ty.Outcome.KIND_REFUSED else ""
        yield f"{key.kind} {key.text}:{verb} {outcome.cause.message}"


def _engine(engine: st.EngineStatus) -> str:
    name = st.EngineState.Name(engine.state).removeprefix("ENGINE_STATE_").lower()
    return f"engine {name}" + (f": {engine.cause.message}" if engine.cause.message else "")
