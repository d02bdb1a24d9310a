"""Which streams a recording comes to, what is received for it, and what its outcome is."""

from typing import Any, cast

import pytest
from google.protobuf import text_format
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import inputs
from rtcagentd.control import plan, recording_plan
from rtcagentd.control.objects import capture_key, recording_key, room_key, subscription_key
from rtcagentd.control.outcomes import Outcomes
from rtcagentd.control.progress import ProgressTable
from rtcagentd.control.recording_limits import RecordingLimits
from rtcagentd.control.state import Row, State

REPORTED = """
engine { state: ENGINE_STATE_RUNNING }
captures { source_id: "camera" state: CAPTURE_STATE_CAPTURING }
captures { source_id: "microphone" state: CAPTURE_STATE_CAPTURING }
rooms {
  room_id: "demo" user_id: "kiosk" state: ROOM_STATE_JOINED
  users {
    user_id: "ann"
    streams { kind: STREAM_KIND_CAMERA name: "face" subscription: SUBSCRIPTION_STATE_UNSUBSCRIBED }
    streams { kind: STREAM_KIND_MICROPHONE name: "voice" subscription: SUBSCRIPTION_STATE_UNSUBSCRIBED }
  }
  publications { source_id: "camera" kind: STREAM_KIND_CAMERA name: "camera" state: PUBLICATION_STATE_PUBLISHED }
  publications {
    source_id: "microphone" kind: STREAM_KIND_MICROPHONE name: "microphone" state: PUBLICATION_STATE_PUBLISHED
    muted: true
  }
}
"""
KEY = recording_key("a")


@pytest.fixture
def state() -> State:
    state = State(cast(Any, None), cast(Any, None))
    text_format.Parse(REPORTED, state.reported)
    state.rows[capture_key("camera")] = Row(st.DesiredCapture(source_id="camera", config=ty.CaptureConfig()))
    state.rows[room_key("demo")] = Row(st.DesiredRoom(config=ty.RoomConfig(room_id="demo")))
    return state


def record(state: State, *streams: ty.RecordedStream) -> list[tuple[str, str, str]]:
    """The streams that it comes to: (source_id, user_id, name)."""
    config = ty.RecordingConfig(streams=streams)
    state.rows[KEY] = Row(st.DesiredRecording(recording_id="a", config=config))
    return [(each.source_id, each.user_id, each.name) for each in recording_plan.resolve(state, config).streams]


def missing(state: State) -> list[ty.Reason.ValueType]:
    recording = state.get(KEY, st.DesiredRecording)
    assert recording is not None
    return [why.reason for why in recording_plan.resolve(state, recording.config).missing]


def test_everyone_is_all_that_is_sent_and_not_muted(state: State) -> None:
    anns = [("", "ann", "face"), ("", "ann", "voice")]
    assert record(state, inputs.recorded_room("demo")) == [("camera", "kiosk", "camera"), *anns]
    state.reported.rooms[0].publications[1].muted = False
    assert record(state, inputs.recorded_room("demo"))[1] == ("microphone", "kiosk", "microphone")
    both = record(state, inputs.recorded_room("demo"), inputs.recorded_source("camera"))
    assert both == [("camera", "", "camera"), ("microphone", "kiosk", "microphone"), *anns]  # none twice
    assert not missing(state)


def test_what_is_not_there_is_named(state: State) -> None:
    assert record(state, inputs.recorded_source("desk")) == []
    assert missing(state) == [ty.REASON_SOURCE_NOT_CAPTURED]
    assert record(state, inputs.recorded_stream("demo", "bob", "camera")) == []
    assert missing(state) == [ty.REASON_STREAM_NOT_PUBLISHED]
    assert record(state, inputs.recorded_room("other"), inputs.recorded_source("camera")) == [("camera", "", "camera")]
    assert missing(state) == [ty.REASON_ROOM_NOT_JOINED]


@pytest.mark.parametrize("ordered", [None, False])
def test_what_nobody_takes_is_received_unheard(state: State, ordered: bool | None) -> None:
    """For as long as it is recorded, whether it was ordered off or only not taken."""
    key = subscription_key("demo", "ann", ty.STREAM_KIND_MICROPHONE, "voice")
    if ordered is not None:
        off = st.DesiredSubscription(room_id="demo", user_id="ann", kind=ty.STREAM_KIND_MICROPHONE, name="voice")
        state.rows[key] = Row(off)
    progress = ProgressTable(1, 60)

    def step() -> plan.SetSubscribed | None:
        steps = [each for each in plan.plan(state, progress, 0) if isinstance(each, plan.SetSubscribed)]
        return next((each for each in steps if each.key == key), None)

    assert step() is None
    record(state, inputs.recorded_stream("demo", "ann", "microphone"))
    taken = step()
    assert taken is not None
    assert (taken.subscribed, taken.unheard, taken.ordered) == (True, True, False)
    progress.succeeded(key, taken.digest)
    state.reported.rooms[0].users[0].streams[1].subscription = st.SUBSCRIPTION_STATE_SUBSCRIBED
    assert step() is None
    del state.rows[KEY]
    dropped = step()
    assert dropped is not None
    assert not dropped.subscribed


def test_outcomes(state: State) -> None:
    """Reached when every stream that gives something has its track."""
    progress = ProgressTable(1, 60)
    outcomes = Outcomes(state, progress)
    record(state, inputs.recorded_room("demo"))
    (step,) = (each for each in plan.plan(state, progress, 0) if isinstance(each, recording_plan.SetRecording))
    progress.succeeded(KEY, step.digest)
    status = state.reported.recordings.add(recording_id="a", state=st.RECORDING_STATE_RECORDING)
    status.tracks.extend(step.request.streams[:2])
    assert outcomes.of(KEY).kind == ty.Outcome.KIND_WAITING
    status.tracks.append(step.request.streams[2])
    assert outcomes.of(KEY).kind == ty.Outcome.KIND_REACHED
    del status.tracks[2:]
    state.reported.rooms[0].users[0].streams[1].muted = True  # nothing may come of it
    assert outcomes.of(KEY).kind == ty.Outcome.KIND_REACHED
    status.state = st.RECORDING_STATE_ENDED
    assert outcomes.of(KEY).kind == ty.Outcome.KIND_REFUSED
    assert not [each for each in plan.plan(state, progress, 0) if isinstance(each, recording_plan.SetRecording)]


def test_the_configurations_limits_hold_where_an_order_sets_none(state: State) -> None:
    state.recording_limits = RecordingLimits(5_000_000, 60_000)
    config = ty.RecordingConfig(streams=[inputs.recorded_source("camera")], max_bytes=2_000_000)
    request = recording_plan.request_of(state, st.DesiredRecording(recording_id="a", config=config))
    assert (request.max_bytes, request.max_duration_ms) == (2_000_000, 60_000)
