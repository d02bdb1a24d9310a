"""The commands of rtcctl: each method has one, the arguments reach the agent, and exit codes say what became of it."""

import json
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from rtcagent.v1.capture_pb2 import TakeSnapshotResponse
from rtcagent.v1.types_pb2 import OrderResult, Outcome, Reason
from rtcagent_client.rtcctl import main
from rtcagent_client.rtcctl.screen import Screen

from tests.unit.fake_agent import METHODS, Failure, FakeAgent, outcome

Run = Callable[[str], int]

COMMANDS = {
    "GetAgent": "agent",
    "GetState": "state",
    "GetDesiredState": "desired",
    "ApplyState": "apply -f state.yaml",
    "ResetEngine": "reset-engine",
    "WatchEvents": "watch --from-start --count 1",
    "JoinRoom": "join demo",
    "LeaveRoom": "leave demo",
    "ListRooms": "rooms",
    "UpdateToken": "token demo --room-token-file room-token",
    "CreateInvite": "invite demo --user ann",
    "PublishStream": "publish demo",
    "UnpublishStream": "unpublish demo",
    "MuteStream": "mute demo",
    "SubscribeStream": "subscribe demo ann",
    "UnsubscribeStream": "unsubscribe demo ann",
    "SetUserInfo": "user-info demo --name 'Front desk' --attribute seat=4",
    "SendMessage": "send demo hello",
    "WatchMessages": "messages --count 1",
    "GetMessage": "message m1",
    "SetRemoteMuted": "user-volume demo ann --mute",
    "SetRemoteVolume": "user-volume demo ann 50",
    "SetAudioPlaybackDevice": "speaker device hall",
    "SetPlaybackVolume": "speaker volume 50",
    "TestSpeaker": "speaker test",
    "EnableAudioPropertiesReport": "levels --every 0",
    "WatchAudioProperties": "levels --every 100 --count 1",
    "GetStatistics": "statistics",
    "WatchStatistics": "statistics --watch --count 1",
    "SetStatisticsInterval": "statistics-interval demo 500",
    "StartVideoCapture": "camera on",
    "StopVideoCapture": "camera off",
    "StartAudioCapture": "mic on",
    "StopAudioCapture": "mic off",
    "SetCaptureVolume": "mic volume 50",
    "SetAudioProfile": "audio-profile hd",
    "SetVideoEncoderConfig": "encoder camera --codec vp9",
    "SetLocalVideoMirror": "mirror both",
    "SetVideoRotation": "rotation 90",
    "ListEncoders": "encoders",
    "TakeSnapshot": "snapshot out.png",
    "GetCaptureStats": "stats",
    "ListDevices": "devices",
    "SetSlot": "slot set front --serial A",
    "SetCaptureDevice": "capture-device camera --slot front",
    "TestMicrophone": "mic test --slot desk",
    "ListSlots": "slots",
}


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAgent]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "room-token").write_text("abc\n")
    (tmp_path / "state.yaml").write_text("rooms: []\n")
    with FakeAgent(f"unix:{tmp_path}/control.sock") as fake:
        monkeypatch.setenv("RTCAGENT_ADDRESS", fake.address)
        yield fake


def rtcctl(line: str) -> int:
    return main(shlex.split(line))


def test_every_rpc_has_a_command() -> None:
    """A method that is added to the API is missing here until rtcctl has it."""
    assert set(COMMANDS) == set(METHODS)


@pytest.mark.parametrize("rpc", COMMANDS)
def test_every_command_makes_its_call(agent: FakeAgent, rpc: str, capsys: pytest.CaptureFixture[str]) -> None:
    agent.put_events(1)
    assert rtcctl(COMMANDS[rpc]) == 0
    assert len(agent.requests(rpc)) == 1
    assert capsys.readouterr().err == ""
    assert rtcctl(f"--json {COMMANDS[rpc]}") == 0
    json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("line", "rpc", "expected"),
    [
        (
            "join demo --server wss://x --user kiosk --extra-info {} --no-auto-publish --no-auto-subscribe-audio "
            "--keep until-alone:60 --wait 0 --request-id r1",
            "JoinRoom",
            {
                "config": {
                    "room_id": "demo",
                    "server_url": "wss://x",
                    "user_id": "kiosk",
                    "extra_info": "{}",
                    "auto_publish": False,
                    "auto_subscribe_audio": False,
                    "auto_subscribe_video": True,
                },
                "order": {"request_id": "r1", "wait_ms": 0, "keep": {"kind": "KIND_UNTIL_ALONE", "alone_s": 60}},
            },
        ),
        (
            "publish demo cam2 --codec h264 --max-bitrate-bps 800000 --max-fps 15 --simulcast --name x "
            "--degradation balanced --request-id r --keep until:2030-01-31T18:00:00+01:00",
            "PublishStream",
            {
                "room_id": "demo",
                "source_id": "cam2",
                "encoder": {
                    "codec": "VIDEO_CODEC_H264",
                    "max_bitrate_bps": 800000,
                    "max_fps": 15.0,
                    "simulcast": True,
                    "degradation": "DEGRADATION_PREFERENCE_BALANCED",
                },
                "name": "x",
                "order": {"request_id": "r", "keep": {"kind": "KIND_UNTIL", "until": "2030-01-31T17:00:00Z"}},
            },
        ),
        (
            "camera on --source s --slot front --device-width 640 --device-height 480 --device-fps 30 "
            "--pixel-format mjpeg --width 320 --height 240 --fps 15 --rotate 90 --mirror --request-id r --keep forever",
            "StartVideoCapture",
            {
                "source_id": "s",
                "config": {
                    "input": {
                        "camera": {
                            "slot": "front",
                            "format": {"width": 640, "height": 480, "max_fps": 30.0},
                            "pixel_format": "PIXEL_FORMAT_MJPEG",
                        }
                    },
                    "output": {"width": 320, "height": 240, "max_fps": 15.0},
                    "rotation": "ROTATION_90",
                    "mirror": True,
                },
                "order": {"request_id": "r", "keep": {"kind": "KIND_FOREVER"}},
            },
        ),
        (
            "camera on --test-pattern --request-id r",
            "StartVideoCapture",
            {
                "source_id": "camera",
                "config": {"input": {"test_pattern": {"kind": "KIND_BARS_AND_CLOCK"}}},
                "order": {"request_id": "r"},
            },
        ),
        (
            "camera on --file /media/a.mp4 --loop --kind screen --request-id r",
            "StartVideoCapture",
            {
                "source_id": "camera",
                "config": {"input": {"file": {"path": "/media/a.mp4", "loop": True}}, "kind": "STREAM_KIND_SCREEN"},
                "order": {"request_id": "r"},
            },
        ),
        (
            "unmute demo --request-id r",
            "MuteStream",
            {"room_id": "demo", "source_id": "camera", "order": {"request_id": "r"}},
        ),
        (
            "slot set front --serial A --usb-port 1-2 --or --name Webcam --request-id r",
            "SetSlot",
            {
                "slot": {"name": "front", "matches": [{"serial": "A", "usb_port": "1-2"}, {"name": "Webcam"}]},
                "order": {"request_id": "r"},
            },
        ),
        ("slot remove front --request-id r", "SetSlot", {"slot": {"name": "front"}, "order": {"request_id": "r"}}),
        (
            "snapshot out.jpg --room demo --user ann --kind screen",
            "TakeSnapshot",
            {
                "remote_stream": {"room_id": "demo", "user_id": "ann", "kind": "STREAM_KIND_SCREEN"},
                "format": "IMAGE_FORMAT_JPEG",
            },
        ),
        (
            "invite demo --user ann --ttl 60 --watch-only",
            "CreateInvite",
            {"room_id": "demo", "user_id": "ann", "ttl_s": 60, "watch_only": True},
        ),
    ],
)
def test_arguments_become_the_request(agent: FakeAgent, line: str, rpc: str, expected: dict[str, object]) -> None:
    assert rtcctl(line) == 0
    (request,) = agent.requests(rpc)
    assert MessageToDict(request, preserving_proto_field_name=True) == expected


def test_the_room_token_is_read_from_a_file(agent: FakeAgent, tmp_path: Path) -> None:
    assert rtcctl("join demo --room-token-file room-token") == 0
    assert agent.requests("JoinRoom")[0].config.token == "abc"
    assert rtcctl("token demo --room-token-file room-token") == 0
    assert agent.requests("UpdateToken")[0].token == "abc"
    assert rtcctl("join demo --room-token-file no-such") == 2


@pytest.mark.parametrize(
    ("result", "code", "text"),
    [
        (outcome(Outcome.KIND_REACHED), 0, "room demo: REACHED\n"),
        (
            outcome(Outcome.KIND_WAITING, Reason.REASON_SERVER_UNREACHABLE, "no answer from ws://10.0.0.9:7880"),
            3,
            "room demo: WAITING: SERVER_UNREACHABLE no answer from ws://10.0.0.9:7880\n",
        ),
        (
            outcome(Outcome.KIND_REFUSED, Reason.REASON_TOKEN_REJECTED, "the token has expired"),
            4,
            "room demo: REFUSED: TOKEN_REJECTED the token has expired\n",
        ),
        (
            outcome(Outcome.KIND_SUPERSEDED, Reason.REASON_SUPERSEDED, "left again"),
            4,
            "room demo: SUPERSEDED: SUPERSEDED left again\n",
        ),
        (OrderResult(revision=9), 0, "stored; there is nothing to do (revision 9)\n"),
    ],
)
def test_an_order_says_what_became_of_it(
    agent: FakeAgent, capsys: pytest.CaptureFixture[str], result: OrderResult, code: int, text: str
) -> None:
    agent.answers["JoinRoom"].extend([result, result])
    assert rtcctl("join demo") == code
    assert capsys.readouterr().out == text
    assert rtcctl("join demo --json") == code
    assert json.loads(capsys.readouterr().out)["revision"] == str(result.revision)


def test_an_error_of_the_agent(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    failure = Failure(
        grpc.StatusCode.NOT_FOUND, "there is no order to be in 'x'", reason="ROOM_NOT_FOUND", metadata={"room_id": "x"}
    )
    agent.answers["LeaveRoom"].extend([failure, failure])
    assert rtcctl("leave x") == 1
    assert capsys.readouterr().err == "rtcctl: there is no order to be in 'x' (ROOM_NOT_FOUND)\n"
    assert rtcctl("leave x --json") == 1
    assert json.loads(capsys.readouterr().err) == {
        "error": {
            "message": "there is no order to be in 'x'",
            "code": "NOT_FOUND",
            "reason": "ROOM_NOT_FOUND",
            "metadata": {"room_id": "x"},
        }
    }


def test_no_agent(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert rtcctl(f"--address unix:{tmp_path}/no state") == 5
    assert capsys.readouterr().err == (
        f"rtcctl: cannot reach rtcagentd at unix:{tmp_path}/no: no such socket; is it running? "
        "(--address or RTCAGENT_ADDRESS)\n"
    )


def test_no_answer_in_time(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    agent.answers["GetState"].append(Failure(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))
    assert rtcctl("state --timeout 3") == 5
    assert capsys.readouterr().err == f"rtcctl: no answer from rtcagentd at {agent.address} in time\n"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        "join",
        "join demo --keep sometimes",
        "join demo --keep until:2030-01-31T18:00:00",
        "join demo --keep until-alone:0",
        "state --timeout 0",
        "camera on --loop",
        "camera on --device a --slot b",
        "camera on --rtsp rtsp://x --device-width 640",
        "camera on --rotate 45",
        "slot set front",
        "slot set front --serial A --serial B",
        "slot set front --serial A --or",
        "snapshot picture.gif",
        "snapshot out.png --user ann",
        "snapshot out.png --name x",
        "watch --type nonsense",
        "watch --from 3 --from-start",
        "--address nonsense state",
        "--token-file no-such state",
    ],
)
def test_wrong_usage_is_said_in_one_line(agent: FakeAgent, capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert rtcctl(line) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("rtcctl: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not agent.calls


def test_global_options_stand_before_and_after_the_command(
    agent: FakeAgent, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RTCAGENT_ADDRESS")
    for line in (
        f"--address {agent.address} --json camera off",
        f"camera off --json --address {agent.address}",
        f"--address {agent.address} camera off --json",
    ):
        assert rtcctl(line) == 0
        json.loads(capsys.readouterr().out)


def test_snapshot_is_written(agent: FakeAgent, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    agent.answers["TakeSnapshot"].extend([TakeSnapshotResponse(image=b"PNG", width=640, height=360)] * 2)
    assert rtcctl("snapshot out.png") == 0
    assert (tmp_path / "out.png").read_bytes() == b"PNG"
    assert capsys.readouterr().out == "out.png: 640x360, 3 bytes\n"
    assert rtcctl("snapshot out.png --json") == 0
    assert json.loads(capsys.readouterr().out) == {"file": "out.png", "bytes": 3, "width": 640, "height": 360}


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert rtcctl("--help") == 0
    text = capsys.readouterr().out
    assert "3    the order is stored and WAITING" in text
    assert "6    watch: events were lost" in text


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["rtcctl", "sl"], ["slots", "slot"]),
        (["rtcctl", "camera", ""], ["on", "off"]),
        (["rtcctl", "--json", "camera", "on", "--rotate", ""], ["0", "90", "180", "270"]),
        (["rtcctl", "--address", "unix", ":", "/x", "publish", "demo", "--codec", "h"], ["h264"]),
        (["rtcctl", "camera", "on", "--device-h"], ["--device-height"]),
        (["rtcctl", "completion", ""], ["bash", "zsh"]),
        (["rtcctl", "publish", "slot", ""], []),
    ],
)
def test_bash_completes(capsys: pytest.CaptureFixture[str], typed: list[str], offered: list[str]) -> None:
    assert rtcctl("completion bash") == 0
    words = " ".join(shlex.quote(word) for word in typed)
    script = (
        f"{capsys.readouterr().out}\nCOMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}; _rtcctl\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    shown = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == offered
    assert shown.stderr == ""


def test_zsh_completion_knows_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert rtcctl("completion zsh") == 0
    script = capsys.readouterr().out
    assert script.startswith("#compdef rtcctl\n")
    for line in COMMANDS.values():
        words = [word for word in line.split() if not word.startswith("-")]
        assert f"_rtcctl_{words[0].replace('-', '_')}() {{" in script


def test_colours_only_on_a_terminal_and_not_with_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert Screen(as_json=False, out=Terminal()).paint("x", "red") == "\x1b[31mx\x1b[0m"  # type: ignore[arg-type]
    monkeypatch.setenv("NO_COLOR", "1")
    assert Screen(as_json=False, out=Terminal()).paint("x", "red") == "x"  # type: ignore[arg-type]
