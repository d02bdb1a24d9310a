"""The plan: from what is desired and what is reported to the next step of each object. No engine, no clock."""

from pathlib import Path
from typing import Any, cast

import pytest
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import fold
from rtcagentd.control import plan
from rtcagentd.control.events import capture_changed, cause, event, publication_changed, room_changed
from rtcagentd.control.objects import Desired, Key, capture_key, room_key, slot_key, stream_key, subscription_key
from rtcagentd.control.outcomes import Outcomes
from rtcagentd.control.progress import ProgressTable
from rtcagentd.control.state import Row, State
from rtcagentd.control.wanted import Gate, gate

CAMERA = ty.Device(device_id="usb-1", kind=ty.Device.KIND_CAMERA, present=True, serial="S1")


def camera_of(step: plan.OpenSource) -> str:
    assert isinstance(step.config, ty.CaptureConfig)
    return step.config.input.camera.device_id


class Desk:
    """A state that is edited directly, and the plan for it."""

    def __init__(self) -> None:
        self.state = State(cast(Any, None), cast(Any, None))
        self.progress = ProgressTable(1.0, 60.0)
        self.outcomes = Outcomes(self.state, self.progress)
        self.happened(event(ev.EngineStateChanged(engine=st.EngineStatus(state=st.ENGINE_STATE_RUNNING))))

    def want(self, key: Key, body: Desired, secret: str = "") -> None:
        self.state.rows[key] = Row(body, secret)

    def want_room(self, **config: Any) -> None:
        full: dict[str, Any] = {"room_id": "demo", "auto_publish": True, "auto_subscribe_video": True} | config
        self.want(room_key("demo"), st.DesiredRoom(config=ty.RoomConfig(**full)), "token")

    def want_capture(self, source_id: str = "camera", config: ty.CaptureConfig | None = None) -> None:
        pattern = ty.CaptureConfig(input=ty.VideoInput(test_pattern=ty.VideoInput.TestPattern()))
        self.want(capture_key(source_id), st.DesiredCapture(source_id=source_id, config=config or pattern))

    def happened(self, *events: ev.Event) -> None:
        for item in events:
            fold.apply(self.state.reported, item)

    def steps(self, now: float = 0.0) -> list[plan.Step]:
        return list(plan.plan(self.state, self.progress, now))

    def reach(self) -> None:
        """Make every step succeed, as steps.py would, until there is none left."""
        for _ in range(10):
            steps = self.steps()
            for step in steps:
                self.progress.succeeded(step.key, getattr(step, "digest", b""))
                match step:
                    case plan.OpenSource():
                        opened = st.CaptureStatus(source_id=step.source_id, state=st.CAPTURE_STATE_CAPTURING)
                        opened.device_id = camera_of(step)
                        self.happened(capture_changed(opened))
                    case plan.Join():
                        self.happened(room_changed(st.RoomStatus(room_id="demo", state=st.ROOM_STATE_JOINED)))
                    case plan.Publish():
                        published = st.PublicationStatus(room_id="demo", source_id=step.stream.source_id)
                        published.state = st.PUBLICATION_STATE_PUBLISHED
                        published.muted = step.stream.muted
                        self.happened(publication_changed(published))
            if not steps:
                return
        raise AssertionError(f"the plan never ends: {self.steps()}")


@pytest.fixture
def desk() -> Desk:
    return Desk()


def kinds(steps: list[plan.Step]) -> list[str]:
    return [type(step).__name__ for step in steps]


def test_nothing_desired_needs_no_step(desk: Desk) -> None:
    assert desk.steps() == []
    assert gate(desk.state) == Gate()


def test_source_and_room_are_brought_up_side_by_side_and_then_published(desk: Desk) -> None:
    desk.want_room()
    desk.want_capture()
    assert kinds(desk.steps()) == ["OpenSource", "Join"]
    desk.reach()
    assert desk.steps() == []
    assert list(desk.outcomes.differences()) == []
    assert fold.find_publication(desk.state.reported, "demo", "camera") is not None
    assert gate(desk.state).send == {("demo", "camera")}


def test_auto_publish_never_sends_a_screen(desk: Desk) -> None:
    desk.want_room()
    config = ty.CaptureConfig(kind=ty.STREAM_KIND_SCREEN)
    config.input.test_pattern.SetInParent()
    desk.want_capture("screen", config)
    desk.reach()
    assert fold.find_publication(desk.state.reported, "demo", "screen") is None
    assert gate(desk.state).send == frozenset()


def test_an_explicit_unpublish_holds_against_auto_publish(desk: Desk) -> None:
    desk.want_room()
    desk.want_capture()
    desk.reach()
    ordered = st.DesiredStream(room_id="demo", source_id="camera", published=False)
    desk.want(stream_key("demo", "camera"), ordered)
    assert kinds(desk.steps()) == ["Unpublish"]
    assert gate(desk.state).send == frozenset()


def test_muting_shuts_the_gate_before_any_step(desk: Desk) -> None:
    desk.want_room()
    desk.want_capture()
    desk.reach()
    before = gate(desk.state)
    desk.want(stream_key("demo", "camera"), st.DesiredStream(room_id="demo", source_id="camera", muted=True))
    assert gate(desk.state).takes_away_from(before)
    assert kinds(desk.steps()) == ["SetMuted"]


def test_publishing_waits_for_capture_and_for_the_room(desk: Desk) -> None:
    key = stream_key("demo", "camera")
    desk.want(key, st.DesiredStream(room_id="demo", source_id="camera", published=True))
    assert desk.steps() == []
    assert desk.outcomes.of(key).cause.reason == ty.REASON_ROOM_NOT_JOINED
    desk.want_room()
    desk.reach()
    assert desk.outcomes.of(key).cause.reason == ty.REASON_SOURCE_NOT_CAPTURED
    desk.want_capture()
    desk.reach()
    assert desk.outcomes.of(key).kind == ty.Outcome.KIND_REACHED


def test_stopping_the_capture_unpublishes_and_the_order_waits(desk: Desk) -> None:
    desk.want_room()
    desk.want_capture()
    desk.want(stream_key("demo", "camera"), st.DesiredStream(room_id="demo", source_id="camera", published=True))
    desk.reach()
    del desk.state.rows[capture_key("camera")]
    assert kinds(desk.steps()) == ["CloseSource"]
    assert gate(desk.state) == Gate()
    desk.happened(capture_changed(st.CaptureStatus(source_id="camera", state=st.CAPTURE_STATE_STOPPED)))
    desk.progress.forget(capture_key("camera"))
    assert kinds(desk.steps()) == ["Unpublish"]


def test_a_source_that_is_unplugged_keeps_its_publication(desk: Desk) -> None:
    desk.happened(event(ev.DeviceAdded(device=CAMERA)))
    desk.want_room()
    desk.want_capture(config=ty.CaptureConfig())
    desk.reach()
    gone = cause(ty.REASON_DEVICE_UNPLUGGED, "gone")
    applied = desk.progress.of(capture_key("camera")).applied
    assert applied is not None
    desk.progress.failed(capture_key("camera"), applied, gone, False, 0.0)
    lost = st.CaptureStatus(source_id="camera", state=st.CAPTURE_STATE_WAITING, cause=gone)
    desk.happened(capture_changed(lost), event(ev.DeviceRemoved(device_id="usb-1")))
    assert kinds(desk.steps(now=100.0)) == ["AwaitDevice"]
    desk.happened(event(ev.DeviceAdded(device=CAMERA)))
    assert kinds(desk.steps(now=100.0)) == ["OpenSource"]


def test_a_new_camera_does_not_take_over_from_the_one_in_use(desk: Desk) -> None:
    desk.happened(event(ev.DeviceAdded(device=CAMERA)))
    desk.want_capture(config=ty.CaptureConfig())
    desk.reach()
    desk.happened(event(ev.DeviceAdded(device=ty.Device(device_id="a", kind=ty.Device.KIND_CAMERA, present=True))))
    assert desk.steps() == []


def test_a_slot_falls_back_and_returns_to_its_first_device(desk: Desk) -> None:
    other = ty.Device(device_id="usb-2", kind=ty.Device.KIND_CAMERA, present=True, serial="S2")
    slot = ty.Slot(name="front", matches=[ty.Slot.Match(serial="S1"), ty.Slot.Match(serial="S2")])
    desk.want(slot_key("front"), st.DesiredSlot(slot=slot))
    config = ty.CaptureConfig()
    config.input.camera.slot = "front"
    desk.want_capture(config=config)
    (waits,) = desk.steps()
    assert isinstance(waits, plan.AwaitDevice)
    assert waits.cause.reason == ty.REASON_DEVICE_ABSENT
    desk.happened(event(ev.DeviceAdded(device=other)))
    (fallback,) = desk.steps()
    assert isinstance(fallback, plan.OpenSource)
    assert camera_of(fallback) == "usb-2"
    desk.happened(event(ev.DeviceAdded(device=CAMERA)))
    (first,) = desk.steps()
    assert isinstance(first, plan.OpenSource)
    assert camera_of(first) == "usb-1"


def test_what_failed_is_tried_later_and_what_was_refused_only_when_it_changes(desk: Desk) -> None:
    desk.want_room()
    (join,) = desk.steps()
    assert isinstance(join, plan.Join)
    desk.progress.failed(join.key, join.digest, cause(ty.REASON_SERVER_UNREACHABLE, "no"), False, now=0.0)
    assert desk.steps(now=0.5) == []
    assert kinds(desk.steps(now=1.0)) == ["Join"]
    desk.progress.failed(join.key, join.digest, cause(ty.REASON_TOKEN_REJECTED, "no"), True, now=0.0)
    assert desk.steps(now=1000.0) == []
    desk.want_room(user_id="another")
    assert kinds(desk.steps(now=1000.0)) == ["Join"]


def test_back_off_grows_to_its_cap_and_never_in_step() -> None:
    progress = ProgressTable(1.0, 8.0)
    key = room_key("demo")
    delays = []
    for _ in range(8):
        progress.failed(key, b"", cause(ty.REASON_SERVER_UNREACHABLE, "no"), False, now=0.0)
        delays.append(progress.of(key).retry_at)
    assert all(0.7 * full <= delay <= full for full, delay in zip([1, 2, 4, 8, 8, 8, 8, 8], delays, strict=True))
    assert len(set(delays)) == len(delays)


def test_one_step_at_a_time_for_each_object(desk: Desk) -> None:
    desk.want_room()
    desk.want_capture()
    desk.progress.of(room_key("demo")).in_flight = True
    assert kinds(desk.steps()) == ["OpenSource"]


def test_what_nobody_desires_is_undone(desk: Desk) -> None:
    desk.want_room()
    desk.want_capture()
    desk.reach()
    desk.state.rows.clear()
    assert kinds(desk.steps()) == ["CloseSource", "Leave"]


def test_subscriptions_override_auto_subscribe_until_their_order_ends(desk: Desk) -> None:
    desk.want_room()
    desk.reach()
    stream = st.RemoteStream(kind=ty.STREAM_KIND_CAMERA, name="cam", subscription=st.SUBSCRIPTION_STATE_SUBSCRIBED)
    desk.happened(
        event(ev.UserJoined(room_id="demo", user=st.User(user_id="ann"))),
        event(ev.StreamPublished(room_id="demo", user_id="ann", stream=stream)),
    )
    assert desk.steps() == []
    key = subscription_key("demo", "ann", ty.STREAM_KIND_CAMERA, "")
    ordered = st.DesiredSubscription(room_id="demo", user_id="ann", kind=ty.STREAM_KIND_CAMERA, subscribed=False)
    desk.want(key, ordered)
    (unsubscribe,) = desk.steps()
    assert isinstance(unsubscribe, plan.SetSubscribed)
    assert not unsubscribe.subscribed
    assert desk.outcomes.of(key).kind == ty.Outcome.KIND_WAITING
    desk.progress.succeeded(unsubscribe.key, unsubscribe.digest)
    off = ev.SubscriptionStateChanged(room_id="demo", user_id="ann", kind=ty.STREAM_KIND_CAMERA, name="cam")
    off.subscription = st.SUBSCRIPTION_STATE_UNSUBSCRIBED
    desk.happened(event(off))
    assert desk.outcomes.of(key).kind == ty.Outcome.KIND_REACHED
    del desk.state.rows[key]
    (again,) = desk.steps()
    assert isinstance(again, plan.SetSubscribed)
    assert again.subscribed


def test_an_outcome_names_the_later_order_that_took_its_place(desk: Desk) -> None:
    desk.want_room()
    desk.state.rows[room_key("demo")].body.order.revision = 7
    outcome = desk.outcomes.of_order(room_key("demo"), 5, True)
    assert outcome.kind == ty.Outcome.KIND_SUPERSEDED
    assert "7" in outcome.cause.message
    desk.state.rows.clear()
    assert desk.outcomes.of_order(room_key("demo"), 5, True).kind == ty.Outcome.KIND_SUPERSEDED
    assert desk.outcomes.of_order(room_key("demo"), 8, False).kind == ty.Outcome.KIND_REACHED


def test_a_refusal_is_not_said_of_what_is_asked_for_instead(desk: Desk) -> None:
    desk.want_room()
    (join,) = desk.steps()
    assert isinstance(join, plan.Join)
    why = cause(ty.REASON_TOKEN_REJECTED, "no")
    desk.progress.failed(join.key, join.digest, why, True, now=0.0)
    refused = st.RoomStatus(room_id="demo", state=st.ROOM_STATE_REFUSED, cause=why)
    desk.happened(room_changed(refused))
    assert desk.outcomes.of(join.key).kind == ty.Outcome.KIND_REFUSED
    desk.want_room(user_id="another")
    assert desk.outcomes.of(join.key).kind == ty.Outcome.KIND_WAITING


def test_the_log_of_a_failed_engine_voids_what_it_had(desk: Desk, tmp_path: Path) -> None:
    desk.want_room()
    desk.want_capture()
    desk.reach()
    failed = st.EngineStatus(state=st.ENGINE_STATE_FAILED, cause=cause(ty.REASON_ENGINE_LOST, "killed"))
    desk.happened(event(ev.EngineStateChanged(engine=failed)))
    assert not desk.state.reported.rooms
    assert "killed" in desk.outcomes.of(room_key("demo")).cause.message
