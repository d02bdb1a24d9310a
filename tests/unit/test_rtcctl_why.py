"""`rtcctl why`: the first broken link, what merely waits for it, since when, and the next step."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import text_format
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent.v1.agent_pb2 import GetStateResponse
from rtcagent.v1.capture_pb2 import GetCaptureStatsResponse
from rtcagent_client.rtcctl import main
from rtcagent_client.rtcctl.why.chain import Chain, Reader, Verdict
from rtcagent_client.rtcctl.why.next_steps import next_step

from tests.unit.fake_agent import FakeAgent

ORDER = 'order { revision: 2 at { seconds: 1000 } controller { identity: "local" } keep { kind: KIND_FOREVER } }'
DESIRED = f"""
    desired {{
      rooms {{ config {{ room_id: "demo" auto_publish: true }} {ORDER} }}
      captures {{ source_id: "camera" config {{ }} {ORDER} }}
    }}
"""
ENGINE = 'engine { state: ENGINE_STATE_RUNNING kind: "livekit" version: "1" }'
DEVICE = 'devices { device_id: "usb-1" name: "Webcam" path: "/dev/video0" present: true }'
CAPTURED = 'captures { source_id: "camera" state: CAPTURE_STATE_CAPTURING device_id: "usb-1" }'
PUBLISHED = 'publications { room_id: "demo" source_id: "camera" state: PUBLICATION_STATE_PUBLISHED %s }'
JOINED = 'rooms { room_id: "demo" state: ROOM_STATE_JOINED user_id: "kiosk" server_url: "ws://x" %s }'
STREAM = 'stream { room_id: "demo" source_id: "camera" }'
NAMES = ["order", "engine", "device", "capture", "server", "room", "permission", "publication", "frames"]


def difference(ref: str, kind: str, reason: str) -> str:
    return f'differences {{ object {{ {ref} }} kind: KIND_{kind} cause {{ reason: REASON_{reason} message: "m" }} }}'


def chain(
    reported: str,
    *differences: str,
    desired: str = DESIRED,
    pushed: tuple[int, int] = (10, 20),
    room_id: str = "demo",
    source_id: str = "camera",
) -> Chain:
    state = text_format.Parse(f"{desired} reported {{ {reported} }} {' '.join(differences)}", GetStateResponse())
    stats = [
        text_format.Parse(
            f'publications {{ room_id: "demo" source_id: "camera" frames_pushed: {count} }}', GetCaptureStatsResponse()
        )
        for count in pushed
    ]
    return Reader(state, *stats).chain(room_id, source_id)


def verdicts(found: Chain) -> str:
    """ "===!?????" """
    marks = {Verdict.OK: "=", Verdict.BROKEN: "!", Verdict.UNKNOWN: "?"}
    assert [link.name for link in found.links] == NAMES
    return "".join(marks[link.verdict] for link in found.links)


def test_all_is_well() -> None:
    found = chain(f"{ENGINE} {DEVICE} {CAPTURED} {JOINED % (PUBLISHED % '')}")
    assert verdicts(found) == "========="
    assert found.broken is None
    assert "Webcam at /dev/video0" in found.links[2].text


@pytest.mark.parametrize(
    ("reported", "differences", "expected"),
    [
        # the engine is away, and with it everything
        ("engine { state: ENGINE_STATE_FAILED }", [], "=!???????"),
        # the camera is away; the room is fine
        (
            f"{ENGINE} {JOINED % ''}",
            [
                difference('source_id: "camera"', "WAITING", "DEVICE_ABSENT"),
                difference(STREAM, "WAITING", "DEVICE_ABSENT"),
            ],
            "==!?==???",
        ),
        (f"{ENGINE}", [difference('source_id: "camera"', "WAITING", "CAPTURE_FAILED")], "==?!?????"),
        (
            f"{ENGINE} {CAPTURED}",
            [
                difference('room_id: "demo"', "WAITING", "SERVER_UNREACHABLE"),
                difference(STREAM, "WAITING", "SERVER_UNREACHABLE"),
            ],
            "====!????",
        ),
        (f"{ENGINE} {CAPTURED}", [difference('room_id: "demo"', "REFUSED", "TOKEN_REJECTED")], "=====!???"),
        (
            f"{ENGINE} {CAPTURED} {JOINED % ''}",
            [difference(STREAM, "REFUSED", "NO_PERMISSION")],
            "======!??",
        ),
        (f"{ENGINE} {CAPTURED} {JOINED % ''}", [difference(STREAM, "WAITING", "TIMEOUT")], "======?!?"),
        (f"{ENGINE} {CAPTURED} {JOINED % (PUBLISHED % 'media_state: MEDIA_STATE_STALLED')}", [], "========!"),
        (f"{ENGINE} {CAPTURED} {JOINED % (PUBLISHED % 'media_state: MEDIA_STATE_PAUSED')}", [], "========="),
        (f"{ENGINE} {CAPTURED} {JOINED % (PUBLISHED % 'muted: true')}", [], "========="),
    ],
)
def test_the_first_broken_link(reported: str, differences: list[str], expected: str) -> None:
    found = chain(reported, *differences)
    assert verdicts(found) == expected
    broken = found.broken
    assert broken is None or next_step(broken.cause.reason, broken.name)
    assert broken is None or broken.is_refused == ("REFUSED" in "".join(differences))


def test_frames_that_do_not_advance_within_a_second() -> None:
    found = chain(f"{ENGINE} {CAPTURED} {JOINED % (PUBLISHED % '')}", pushed=(10, 10))
    assert verdicts(found) == "========!"


def test_nobody_has_asked() -> None:
    asked_for_nothing = chain(f"{ENGINE} {CAPTURED}", desired="")
    assert verdicts(asked_for_nothing).startswith("!=")
    assert "!" not in verdicts(asked_for_nothing)[1:], "what nobody has asked for is not broken"
    unpublished = f'streams {{ room_id: "demo" source_id: "camera" published: false {ORDER} }}'
    not_to_be_sent = f"{DESIRED.strip().removesuffix('}')} {unpublished} }}"
    found = chain(f"{ENGINE} {CAPTURED} {JOINED % ''}", desired=not_to_be_sent)
    assert found.broken is found.links[0]
    assert "not to be published: local" in found.links[0].cause.message


def test_every_reason_has_a_next_step() -> None:
    generic = next_step(9999)
    for reason in ty.Reason.values():
        name = ty.Reason.Name(reason)
        # of users and of orders that were overtaken: nothing that an own room, source or stream is broken for
        of_others = ("UNSPECIFIED", "USER_LEFT", "USER_DROPPED", "SUPERSEDED", "FILE_INVALID", "STORE_MENDED")
        if not name.endswith(of_others):
            assert next_step(reason) != generic, f"what to do about {name}?"


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAgent]:
    with FakeAgent(f"unix:{tmp_path}/control.sock") as fake:
        monkeypatch.setenv("RTCAGENT_ADDRESS", fake.address)
        yield fake


def room_event(state: st.RoomState.ValueType) -> ev.Event:
    return ev.Event(
        room_id="demo", room_state_changed=ev.RoomStateChanged(room=st.RoomStatus(room_id="demo", state=state))
    )


def put(agent: FakeAgent, *events: ev.Event) -> None:
    """Events, a minute apart."""
    for event in events:
        event.seq = len(agent.events) + 1
        event.at.seconds = 1000 + 60 * event.seq
        agent.events.append(event)


def why(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object]]:
    code = main(shlex.split(f"why {line} --json"))
    (found,) = json.loads(capsys.readouterr().out)["chains"]
    return code, found


def test_since_when_is_read_from_the_log(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    put(
        agent,
        ev.Event(engine_state_changed=ev.EngineStateChanged(engine=st.EngineStatus(state=st.ENGINE_STATE_RUNNING))),
    )
    for _ in range(3):
        put(agent, room_event(st.ROOM_STATE_JOINED), room_event(st.ROOM_STATE_RECONNECTING))
    put(agent, room_event(st.ROOM_STATE_WAITING), room_event(st.ROOM_STATE_JOINING))
    waiting = 'rooms { room_id: "demo" state: ROOM_STATE_WAITING }'
    room = f'desired {{ rooms {{ config {{ room_id: "demo" }} {ORDER} }} }}'
    gone = difference('room_id: "demo"', "WAITING", "SERVER_UNREACHABLE")
    state = text_format.Parse(f"{room} reported {{ {ENGINE} {waiting} }} {gone}", GetStateResponse())
    agent.answers["GetState"].append(state)
    code, found = why("demo", capsys)
    assert code == 3
    assert found["broken"] == "server"
    assert found["event"]["seq"] == "7", "the third loss, not what came after it"  # type: ignore[index]
    assert found["since"] == "1970-01-01T00:23:40Z"


def test_the_end_of_an_order_is_found(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    ended = ev.OrderEnded(object=ty.ObjectRef(room_id="demo"), keep=ty.Keep(kind=ty.Keep.KIND_UNTIL))
    put(agent, room_event(st.ROOM_STATE_JOINED), ev.Event(order_ended=ended), room_event(st.ROOM_STATE_LEFT))
    agent.answers["GetState"].append(text_format.Parse(f"reported {{ {ENGINE} }}", GetStateResponse()))
    code, found = why("demo", capsys)
    assert (code, found["broken"]) == (3, "order")
    assert found["event"]["seq"] == "2"  # type: ignore[index]


def test_a_room_and_a_source_of_one_name(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    desired = DESIRED.replace('"camera"', '"demo"')
    for _ in range(2):
        agent.answers["GetState"].append(text_format.Parse(f"{desired} reported {{ {ENGINE} }}", GetStateResponse()))
    assert main(["why", "demo"]) == 2
    assert "--as room" in capsys.readouterr().err
    code, found = why("demo --as source", capsys)
    assert (code, found["source_id"]) == (3, "demo")
