"""rtcctl drain: what counts as a call that an upgrade would disturb."""

from pathlib import Path

import pytest
from rtcagent.v1.agent_pb2 import GetStateResponse
from rtcagent.v1.state_pb2 import (
    ROOM_STATE_JOINED,
    ROOM_STATE_RECONNECTING,
    ROOM_STATE_WAITING,
    ReportedState,
    RoomStatus,
    User,
)
from rtcagent_client.rtcctl import exits, main
from rtcagent_client.rtcctl.commands.drain import calls

from tests.unit.fake_agent import FakeAgent


def _state(*rooms: RoomStatus) -> GetStateResponse:
    return GetStateResponse(reported=ReportedState(rooms=rooms))


def _room(room_id: str, state: int, *users: str) -> RoomStatus:
    return RoomStatus(room_id=room_id, state=state, users=[User(user_id=user) for user in users])  # type: ignore[arg-type]


def test_a_room_shared_with_somebody_is_a_call() -> None:
    state = _state(
        _room("alone", ROOM_STATE_JOINED),
        _room("call", ROOM_STATE_JOINED, "ann", "ben"),
        _room("cut", ROOM_STATE_RECONNECTING, "cem"),
        _room("lost", ROOM_STATE_WAITING, "dot"),
    )
    assert calls(state) == {"call": ["ann", "ben"], "cut": ["cem"]}


@pytest.mark.parametrize(("users", "code"), [([], exits.REACHED), (["ann"], exits.WAITING)])
def test_the_exit_code_tells_whether_a_call_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], users: list[str], code: int
) -> None:
    with FakeAgent(f"unix:{tmp_path}/control.sock") as agent:
        agent.answers["GetState"].extend([_state(_room("demo", ROOM_STATE_JOINED, *users))] * 9)
        assert main(["--address", agent.address, "--timeout", "2", "drain"]) == code
    assert all(user in capsys.readouterr().err for user in users)
