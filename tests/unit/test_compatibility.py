"""Clients and agents of neighbouring versions work together: nothing of the API was taken away, and what a newer side
adds does the older one no harm.
"""

import importlib.util
import io
from pathlib import Path
from types import ModuleType

import pytest
from rtcagent.v1 import agent_pb2 as ag
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import errors, fold
from rtcagent_client.events import Cursor
from rtcagent_client.rtcctl.render.agent import show_agent, show_desired
from rtcagent_client.rtcctl.render.events import event_line
from rtcagent_client.rtcctl.render.state import show_state
from rtcagent_client.rtcctl.screen import Screen

from tests.parts.newer_version import UNKNOWN_FIELD, filled, with_unknown_fields

PAYLOADS = [field.name for field in ev.Event.DESCRIPTOR.oneofs_by_name["payload"].fields]


@pytest.fixture(scope="module")
def compatibility() -> ModuleType:
    """proto/compatibility.py, which is a script beside the .proto files."""
    path = Path(__file__).resolve().parents[2] / "proto" / "compatibility.py"
    spec = importlib.util.spec_from_file_location("compatibility", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def screen() -> Screen:
    return Screen(as_json=False, out=io.StringIO())


def test_nothing_of_the_last_release_was_taken_away(compatibility: ModuleType) -> None:
    baseline = compatibility.BASELINE.read_text().splitlines()
    assert len(baseline) > 500
    assert compatibility.broken(baseline, compatibility.api()) == []


def test_what_would_break_others_is_named(compatibility: ModuleType) -> None:
    before = [
        "field a.M.kept = 1 string",
        "field a.M.gone = 2 string",
        "field a.M.renumbered = 3 string",
        "field a.M.retyped = 4 uint32",
        "field a.M.many = 5 string",
        "value a.E.E_GONE = 1",
        "method a.S.Watch = a.M -> stream a.M",
    ]
    now = [
        "field a.M.kept = 1 string",
        "field a.M.renumbered = 7 string",
        "field a.M.retyped = 4 int64",
        "field a.M.many = 5 repeated string",
        "field a.M.added = 8 string",
        "value a.E.E_ADDED = 2",
        "method a.S.Watch = a.M -> a.M",
    ]
    problems = compatibility.broken(before, now)
    assert [problem.split(" ")[1] for problem in problems] == [
        *("a.M.gone", "a.M.renumbered", "a.M.retyped", "a.M.many", "a.E.E_GONE", "a.S.Watch")
    ]
    assert problems[0].endswith("is gone")
    assert problems[1].endswith("is now field a.M.renumbered = 7 string")


def test_the_api_is_listed_with_oneofs_optional_and_streams(compatibility: ModuleType) -> None:
    lines = compatibility.api()
    for line in (
        "field rtcagent.v1.OrderOptions.wait_ms = 2 optional uint32",
        "field rtcagent.v1.Event.agent_started = 20 rtcagent.v1.AgentStarted in payload",
        "field rtcagent.v1.DesiredState.rooms = 2 repeated rtcagent.v1.DesiredRoom",
        "value rtcagent.v1.Keep.Kind.KIND_FOREVER = 1",
        "method rtcagent.v1.Agent.GetState = rtcagent.v1.GetStateRequest -> rtcagent.v1.GetStateResponse",
    ):
        assert line in lines


@pytest.mark.parametrize("payload", PAYLOADS)
def test_events_of_a_newer_agent_are_shown_and_applied(payload: str, screen: Screen) -> None:
    event = filled(ev.Event, payload)
    assert payload in event_line(event, screen)
    state = filled(st.ReportedState)
    fold.apply(state, event)
    fold.apply(st.ReportedState(), event)
    assert UNKNOWN_FIELD in ev.Event.FromString(event.SerializeToString()).SerializeToString()  # handed on whole


def test_an_event_of_a_kind_that_is_not_known_is_passed_over(screen: Screen) -> None:
    later = ev.Event.FromString(ev.Event(seq=8).SerializeToString() + UNKNOWN_FIELD)
    cursor = Cursor(st.Position(log_id="a", seq=7), (), ())
    cursor.take(ag.WatchEventsResponse(log_id="a", events=[later], seq=8))
    assert cursor.give() == later
    before = filled(st.ReportedState)
    state = st.ReportedState()
    state.CopyFrom(before)
    fold.apply(state, later)
    assert state == before
    assert "unknown event" in event_line(later, screen)


def test_the_state_of_a_newer_agent_is_shown(screen: Screen) -> None:
    state = filled(ag.GetStateResponse)
    show_state(state, filled(ag.GetAgentResponse), screen)
    show_desired(state.desired, screen)
    show_agent(filled(ag.GetAgentResponse), "unix:/x", screen)


def test_an_outcome_that_is_not_known_is_not_taken_for_reached() -> None:
    result = with_unknown_fields(ty.OrderResult(revision=1, outcomes=[filled(ty.Outcome)]))
    with pytest.raises(errors.NotReached, match="99"):
        errors.check(result)
