"""rtcctl get, apply and diff: what they ask the agent for, what they print, and how they end."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import text_format
from rtcagent.v1.agent_pb2 import ApplyStateResponse, GetDesiredStateResponse
from rtcagent.v1.types_pb2 import Keep
from rtcagent_client.rtcctl import main

from tests.unit.fake_agent import Failure, FakeAgent

BEFORE = """
desired {
  revision: 3
  rooms { config { room_id: "demo" } order { keep { kind: KIND_THIS_BOOT } } }
  captures { source_id: "camera" config { mirror: true } order { keep { kind: KIND_FOREVER } } }
  slots { slot { name: "front" matches { serial: "A" } } order { keep { kind: KIND_FOREVER } } }
}
"""
AFTER = """
result { revision: 3 }
desired {
  revision: 4
  rooms { config { room_id: "demo" } order { keep { kind: KIND_FOREVER } } }
  captures { source_id: "camera" config { mirror: false } order { keep { kind: KIND_FOREVER } } }
  slots { slot { name: "front" matches { serial: "A" } } order { keep { kind: KIND_FOREVER } } }
}
changes { object { room_id: "demo" } kind: KIND_CHANGED }
changes { object { source_id: "camera" } kind: KIND_CHANGED }
"""


def before() -> GetDesiredStateResponse:
    return text_format.Parse(BEFORE, GetDesiredStateResponse())


def response(text: str) -> ApplyStateResponse:
    return text_format.Parse(text, ApplyStateResponse())


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAgent]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "state.yaml").write_text("rooms:\n- config:\n    room_id: demo\nslots: []\n")
    with FakeAgent(f"unix:{tmp_path}/control.sock") as fake:
        monkeypatch.setenv("RTCAGENT_ADDRESS", fake.address)
        yield fake


def rtcctl(line: str) -> int:
    return main(shlex.split(line))


def test_get_prints_what_apply_reads(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    agent.answers["GetDesiredState"].extend([before()] * 4)
    assert rtcctl("get --only rooms,slots") == 0
    assert capsys.readouterr().out == (
        "rooms:\n- config:\n    room_id: demo\nslots:\n- slot:\n    name: front\n    matches:\n    - serial: A\n"
    )
    assert rtcctl("get -o json --orders") == 0
    assert json.loads(capsys.readouterr().out)["rooms"][0]["order"] == {"keep": {"kind": "this-boot"}}
    assert rtcctl("get --json") == 0
    assert json.loads(capsys.readouterr().out)["captures"] == [{"source_id": "camera", "config": {"mirror": True}}]


def test_apply_asks_for_just_what_is_named(agent: FakeAgent) -> None:
    assert rtcctl("apply -f state.yaml --if-revision 3 --dry-run --keep this-boot --wait 0 --request-id r") == 0
    assert rtcctl("apply -f state.yaml --only slots") == 0
    both, slots = agent.requests("ApplyState")
    assert list(both.field_mask.paths) == ["rooms", "slots"]
    assert [room.config.room_id for room in both.desired.rooms] == ["demo"]
    assert (both.if_revision, both.dry_run, both.order.request_id, both.order.wait_ms) == (3, True, "r", 0)
    assert both.order.keep.kind == Keep.KIND_THIS_BOOT
    assert list(slots.field_mask.paths) == ["slots"]
    assert not slots.desired.rooms
    assert (slots.if_revision, slots.dry_run, slots.order.HasField("keep")) == (0, False, False)


def test_apply_says_what_was_done_and_what_became_of_it(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    agent.answers["ApplyState"].append(
        response(
            """
            result {
              revision: 4
              outcomes { object { room_id: "demo" } kind: KIND_WAITING
                         cause { reason: REASON_SERVER_UNREACHABLE message: "no answer" } }
              outcomes { object { slot: "front" } kind: KIND_REACHED }
              outcomes { object { source_id: "camera" } kind: KIND_REACHED }
            }
            changes { object { room_id: "demo" } kind: KIND_ADDED }
            changes { object { slot: "front" } kind: KIND_REMOVED }
            """
        )
    )
    assert rtcctl("apply -f state.yaml") == 3
    assert capsys.readouterr().out.splitlines() == [
        "room demo: added: WAITING: SERVER_UNREACHABLE no answer",
        "slot front: removed: REACHED",
        "capture camera: unchanged: REACHED",
    ]


def test_a_dry_run_says_what_would_be(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    agent.answers["ApplyState"].extend([response(AFTER), response("result { revision: 3 }")])
    assert rtcctl("apply -f state.yaml --dry-run") == 0
    assert capsys.readouterr().out == "room demo: would be changed\ncapture camera: would be changed\n"
    assert rtcctl("apply -f state.yaml --dry-run") == 0
    assert capsys.readouterr().out == "nothing would be changed (revision 3)\n"


def test_mistakes_that_the_agent_finds_are_told_with_their_lines(
    agent: FakeAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = {"rooms[0].config.room_id": "it is wrong", "slots": "slot 'front' is used"}
    failure = Failure(grpc.StatusCode.INVALID_ARGUMENT, "4 problems: ...; and 2 more", "STATE_INVALID", fields=fields)
    agent.answers["ApplyState"].extend([failure, failure])
    assert rtcctl("apply -f state.yaml") == 1
    assert capsys.readouterr().err.splitlines() == [
        "rtcctl: state.yaml:3: rooms[0].config.room_id: it is wrong",
        "rtcctl: state.yaml:4: slots: slot 'front' is used",
        "rtcctl: and 2 more",
    ]
    assert rtcctl("apply -f state.yaml --json") == 1
    assert json.loads(capsys.readouterr().err)["error"]["fields"] == fields


@pytest.mark.parametrize(
    ("line", "text", "said"),
    [
        ("apply -f no-such.yaml", "", ["no-such.yaml: No such file or directory"]),
        ("apply -f x.yaml", "", ["x.yaml has none of the lists rooms, captures, streams, subscriptions, slots"]),
        ("apply -f x.yaml --only slots", "rooms: []", ["x.yaml has no slots"]),
        ("diff -f x.yaml", "a: 1\nb: 2", ["x.yaml:1: a: there is no such key", "x.yaml:2: b: there is no such key"]),
    ],
)
def test_a_file_of_no_use(
    agent: FakeAgent, capsys: pytest.CaptureFixture[str], tmp_path: Path, line: str, text: str, said: list[str]
) -> None:
    (tmp_path / "x.yaml").write_text(text)
    assert rtcctl(line) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == len(said)
    assert all(each.startswith(f"rtcctl: {start}") for each, start in zip(told, said, strict=True))
    assert not agent.calls


def test_diff_shows_what_apply_would_change(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    """Also what the file does not show: for how long an object holds."""
    agent.answers["GetDesiredState"].extend([before(), before()])
    agent.answers["ApplyState"].extend([response(AFTER), response(AFTER)])
    assert rtcctl("diff -f state.yaml") == 7
    assert capsys.readouterr().out.splitlines() == [
        "--- the agent, revision 3",
        "+++ state.yaml",
        "@@ -3,8 +3,7 @@",
        "     room_id: demo",
        " captures:",
        " - source_id: camera",
        "-  config:",
        "-    mirror: true",
        "+  config: {}",
        " streams: []",
        " subscriptions: []",
        " slots:",
        "# room demo: holds forever, not this boot",
    ]
    (request,) = agent.requests("ApplyState")
    assert (request.dry_run, request.if_revision) == (True, 3)
    assert rtcctl("diff -f state.yaml --json") == 7
    told = json.loads(capsys.readouterr().out)
    assert told["changes"][0] == {"object": "room demo", "kind": "changed"}
    assert "-    mirror: true" in told["diff"]


def test_diff_of_what_is_so_already(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    """A state that changes meanwhile is read again."""
    agent.answers["GetDesiredState"].extend([before(), before()])
    lost = Failure(grpc.StatusCode.ABORTED, "at revision 4", reason="REVISION_CHANGED")
    same = response("result { revision: 3 }")
    same.desired.CopyFrom(before().desired)
    agent.answers["ApplyState"].extend([lost, same])
    assert rtcctl("diff -f state.yaml") == 0
    assert capsys.readouterr() == ("", "")
    assert len(agent.requests("GetDesiredState")) == 2


def test_a_lost_compare_and_set_is_an_error(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    lost = Failure(grpc.StatusCode.ABORTED, "the desired state is at revision 4, not at 3", reason="REVISION_CHANGED")
    agent.answers["ApplyState"].append(lost)
    assert rtcctl("apply -f state.yaml --if-revision 3") == 1
    assert capsys.readouterr().err == "rtcctl: the desired state is at revision 4, not at 3 (REVISION_CHANGED)\n"
