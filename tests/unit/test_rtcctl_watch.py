"""rtcctl watch: where it begins, what it does about lost connections and gaps, and how it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rtcagent_client.rtcctl import main

from tests.unit.fake_agent import FakeAgent


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAgent]:
    with FakeAgent(f"unix:{tmp_path}/control.sock") as fake:
        monkeypatch.setenv("RTCAGENT_ADDRESS", fake.address)
        yield fake


def seqs(text: str) -> list[int]:
    return [int(line.split()[0]) for line in text.splitlines()]


def test_begins_anywhere(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    agent.put_events(9)
    assert main(["watch", "--from-start", "--count", "3"]) == 0
    assert seqs(capsys.readouterr().out) == [1, 2, 3]
    assert main(["watch", "--from", "7", "--count", "2"]) == 0
    assert seqs(capsys.readouterr().out) == [7, 8]
    assert main(["watch", "--from", "1", "--type", "first_frame_sent", "--room", "lab", "--count", "1"]) == 0
    assert seqs(capsys.readouterr().out) == [6]


def test_goes_on_after_a_lost_connection_and_says_so(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    agent.put_events(9)
    agent.cut_after.append(4)
    assert main(["watch", "--from-start", "--count", "9"]) == 0
    captured = capsys.readouterr()
    assert seqs(captured.out) == list(range(1, 10))
    assert captured.err == (
        f"rtcctl: cannot reach rtcagentd at {agent.address}: the connection was cut; reconnecting\n"
        "rtcctl: connected again\n"
    )


def test_a_gap_is_told(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    agent.put_events(9)
    agent.first_seq = 6
    assert main(["watch", "--from", "3", "--count", "1"]) == 6
    captured = capsys.readouterr()
    assert seqs(captured.out) == [6]
    assert captured.err == "rtcctl: events 3 to 5 are lost: past the retention\n"
    assert main(["watch", "--from", "3", "--count", "1", "--json"]) == 6
    gap, event = map(json.loads, capsys.readouterr().out.splitlines())
    assert gap == {"gap": {"first_missing_seq": "3", "next_seq": "6", "message": "past the retention"}}
    assert event["seq"] == "6"
    # that the oldest events are gone is no loss to one who asks for what there is
    assert main(["watch", "--from-start", "--count", "1"]) == 0


def test_json_is_one_line_for_each_event(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    agent.put_events(2)
    assert main(["watch", "--from-start", "--count", "2", "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["seq"] for event in events] == ["1", "2"]
    assert events[0]["user_left"] == {"room_id": "demo"}


def test_a_timeout_ends_it(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "--timeout", "0.2"]) == 0
    assert capsys.readouterr() == ("", "")


def test_ctrl_c_ends_it_cleanly(agent: FakeAgent) -> None:
    agent.put_events(1)
    with subprocess.Popen(
        [sys.executable, "-m", "rtcagent_client.rtcctl", "watch", "--from-start"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "RTCAGENT_ADDRESS": agent.address},
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "user_left" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert err == ""


def test_a_reader_that_has_enough_ends_it(agent: FakeAgent) -> None:
    """`rtcctl watch | head -1` is no error."""
    agent.put_events(3)
    with subprocess.Popen(
        [sys.executable, "-m", "rtcagent_client.rtcctl", "watch", "--from-start"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "RTCAGENT_ADDRESS": agent.address},
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        agent.put_events(50)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
