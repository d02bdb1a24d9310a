"""Orders and errors, in both clients: what is repeated, what is raised, and what it says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from rtcagent.v1.state_pb2 import DesiredState
from rtcagent.v1.types_pb2 import Outcome, Reason, Slot, VideoInput
from rtcagent_client import (
    AsyncClient,
    Client,
    InvalidArgument,
    NotFound,
    NotReached,
    Refused,
    RtcAgentError,
    Superseded,
    Unavailable,
    Waiting,
    device_match,
    inputs,
    keep,
)

from tests.unit.fake_agent import METHODS, Failure, FakeAgent, outcome


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    with FakeAgent(f"unix:{tmp_path}/control.sock") as fake:
        yield fake


@pytest.fixture
def client(agent: FakeAgent) -> Iterator[Client]:
    with Client.connect(agent.address) as client:
        yield client


CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "GetAgent": ("get_agent", {}),
    "GetState": ("get_state", {}),
    "GetDesiredState": ("get_desired_state", {}),
    "ApplyState": ("apply_state", {"desired": DesiredState(), "parts": ["rooms"]}),
    "ResetEngine": ("reset_engine", {}),
    "JoinRoom": ("join_room", {"room_id": "demo"}),
    "LeaveRoom": ("leave_room", {"room_id": "demo"}),
    "ListRooms": ("list_rooms", {}),
    "UpdateToken": ("update_token", {"room_id": "demo", "token": "text"}),
    "CreateInvite": ("create_invite", {"room_id": "demo", "user_id": "ann"}),
    "PublishStream": ("publish_stream", {"room_id": "demo"}),
    "UnpublishStream": ("unpublish_stream", {"room_id": "demo"}),
    "MuteStream": ("mute_stream", {"room_id": "demo"}),
    "SubscribeStream": ("subscribe_stream", {"room_id": "demo", "user_id": "ann"}),
    "UnsubscribeStream": ("unsubscribe_stream", {"room_id": "demo", "user_id": "ann"}),
    "SetUserInfo": ("set_user_info", {"room_id": "demo", "name": "Front desk"}),
    "SendMessage": ("send_message", {"room_id": "demo", "content": "hello"}),
    "GetStatistics": ("get_statistics", {}),
    "SetStatisticsInterval": ("set_statistics_interval", {"room_id": "demo", "interval_ms": 500}),
    "GetMessage": ("get_message", {"message_id": "m1"}),
    "StartVideoCapture": ("start_video_capture", {}),
    "StopVideoCapture": ("stop_video_capture", {}),
    "StartAudioCapture": ("start_audio_capture", {}),
    "StopAudioCapture": ("stop_audio_capture", {}),
    "SetCaptureVolume": ("set_capture_volume", {"volume": 100}),
    "SetAudioProfile": ("set_audio_profile", {"profile": "hd"}),
    "SetVideoEncoderConfig": ("set_video_encoder_config", {"codec": "vp9"}),
    "SetLocalVideoMirror": ("set_local_video_mirror", {"mirror_in": "both"}),
    "SetVideoRotation": ("set_video_rotation", {"rotation": 90}),
    "ListEncoders": ("list_encoders", {}),
    "TakeSnapshot": ("take_snapshot", {}),
    "GetCaptureStats": ("get_capture_stats", {}),
    "ListDevices": ("list_devices", {}),
    "SetSlot": ("set_slot", {"name": "front"}),
    "SetCaptureDevice": ("set_capture_device", {"slot": "front"}),
    "TestMicrophone": ("test_microphone", {"slot": "desk"}),
    "ListSlots": ("list_slots", {}),
    "SetRemoteMuted": ("set_remote_muted", {"room_id": "demo", "user_id": "ann"}),
    "SetRemoteVolume": ("set_remote_volume", {"room_id": "demo", "user_id": "ann", "volume": 50}),
    "SetAudioPlaybackDevice": ("set_audio_playback_device", {"device_id": "hall"}),
    "SetPlaybackVolume": ("set_playback_volume", {"volume": 50, "muted": False}),
    "TestSpeaker": ("test_speaker", {"duration_ms": 100}),
    "EnableAudioPropertiesReport": ("enable_audio_properties_report", {"interval_ms": 100}),
}


def test_every_rpc_has_a_method_in_both_clients() -> None:
    """A method that is added to the API is missing here until the clients have it."""
    watches = {"WatchEvents", "WatchMessages", "WatchStatistics", "WatchAudioProperties"}
    assert set(CALLS) | watches == set(METHODS)
    for rpc, (method, _) in CALLS.items():
        assert method == re.sub("(?<!^)(?=[A-Z])", "_", rpc).lower()
        assert getattr(Client, method).__doc__ == getattr(AsyncClient, method).__doc__
    assert callable(Client.events)
    assert callable(AsyncClient.events)
    assert callable(Client.messages)
    assert callable(AsyncClient.messages)
    assert callable(Client.audio_properties)
    assert callable(AsyncClient.audio_properties)
    assert callable(Client.statistics)
    assert callable(AsyncClient.statistics)


@pytest.mark.parametrize("rpc", CALLS)
async def test_every_method_makes_its_call(agent: FakeAgent, client: Client, rpc: str) -> None:
    """Both clients make the same call; orders carry a request_id of their own."""
    method, arguments = CALLS[rpc]
    getattr(client, method)(**arguments)
    async with AsyncClient.connect(agent.address) as aclient:
        await getattr(aclient, method)(**arguments)
    first, second = agent.requests(rpc)
    if "order" in first.DESCRIPTOR.fields_by_name:
        assert len(first.order.request_id) == 32
        assert first.order.request_id != second.order.request_id
        assert not first.order.HasField("wait_ms")
        second.order.request_id = first.order.request_id
    assert first == second


def test_arguments_become_the_request(agent: FakeAgent, client: Client) -> None:
    client.join_room(
        "demo",
        server_url="wss://x",
        token="t",
        user_id="kiosk",
        extra_info="{}",
        profile="meeting",
        auto_subscribe_video=False,
        wait_ms=0,
        keep=keep.until_alone(60),
        request_id="mine",
    )
    (request,) = agent.requests("JoinRoom")
    assert request.config.profile == 4
    assert request.config.auto_publish
    assert request.config.HasField("auto_subscribe_video")
    assert not request.config.auto_subscribe_video
    assert request.order.request_id == "mine"
    assert request.order.HasField("wait_ms")
    assert request.order.wait_ms == 0
    assert request.order.keep.alone_s == 60

    client.start_video_capture(
        "cam2", input=inputs.camera(slot="front", width=640, height=480), rotation=90, max_fps=15
    )
    (capture,) = agent.requests("StartVideoCapture")
    assert capture.config.input.camera.slot == "front"
    assert capture.config.input.camera.format.width == 640
    assert capture.config.output.max_fps == 15
    assert capture.config.rotation == 2

    client.start_video_capture(input=inputs.test_pattern("ball"))
    assert agent.requests("StartVideoCapture")[1].config.input.test_pattern.kind == VideoInput.TestPattern.KIND_BALL

    client.publish_stream("demo", codec="h264", max_bitrate_bps=500_000, degradation="balanced")
    (publish,) = agent.requests("PublishStream")
    assert (publish.encoder.codec, publish.encoder.max_bitrate_bps, publish.encoder.degradation) == (3, 500_000, 3)

    client.set_slot("front", [device_match(serial="A"), device_match(usb_port="1-2")])
    assert list(agent.requests("SetSlot")[0].slot.matches) == [Slot.Match(serial="A"), Slot.Match(usb_port="1-2")]

    client.take_remote_snapshot("demo", "ann", format="jpeg")
    assert agent.requests("TakeSnapshot")[0].remote_stream.user_id == "ann"

    with pytest.raises(ValueError, match="'h265' is none of vp8, vp9, h264, av1"):
        client.publish_stream("demo", codec="h265")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "exception"),
    [
        (Outcome.KIND_WAITING, Waiting),
        (Outcome.KIND_REFUSED, Refused),
        (Outcome.KIND_SUPERSEDED, Superseded),
    ],
)
async def test_orders_raise_unless_reached(
    agent: FakeAgent, client: Client, kind: Outcome.Kind.ValueType, exception: type[NotReached]
) -> None:
    result = outcome(kind, Reason.REASON_SERVER_UNREACHABLE, "no answer from ws://10.0.0.9")
    agent.answers["JoinRoom"].extend([result, result, result])
    with pytest.raises(exception, match=r"room demo: [A-Z]+: SERVER_UNREACHABLE no answer from ws") as caught:
        client.join_room("demo")
    assert caught.value.result == result
    async with AsyncClient.connect(agent.address) as aclient:
        with pytest.raises(exception):
            await aclient.join_room("demo")
    assert client.join_room("demo", check=False) == result
    assert len(agent.requests("JoinRoom")) == 3


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED]
)
async def test_a_lost_answer_repeats_the_order_with_its_request_id(
    agent: FakeAgent, client: Client, code: grpc.StatusCode
) -> None:
    agent.answers["JoinRoom"].extend([Failure(code), Failure(code), outcome(Outcome.KIND_REACHED)])
    client.join_room("demo")
    agent.answers["JoinRoom"].extend([Failure(code), outcome(Outcome.KIND_REACHED)])
    async with AsyncClient.connect(agent.address) as aclient:
        await aclient.join_room("demo")
    ids = [request.order.request_id for request in agent.requests("JoinRoom")]
    assert len(ids) == 5
    assert len(set(ids[:3])) == 1
    assert len(set(ids[3:])) == 1


async def test_repeating_ends(agent: FakeAgent) -> None:
    """Never more than retry_s after the first failure, and never past timeout_s."""
    agent.answers["JoinRoom"].extend([Failure(grpc.StatusCode.UNAVAILABLE, "busy", reason="STOPPING")] * 100)
    async with AsyncClient.connect(agent.address, retry_s=0.3) as aclient:
        with pytest.raises(Unavailable, match="busy") as caught:
            await aclient.join_room("demo")
    assert caught.value.reason == "STOPPING"
    assert 2 <= len(agent.calls) <= 5
    agent.calls.clear()
    with Client.connect(agent.address, timeout_s=0.3) as client, pytest.raises(Unavailable):
        client.join_room("demo")
    assert 2 <= len(agent.calls) <= 5


async def test_only_orders_are_repeated(agent: FakeAgent, client: Client) -> None:
    agent.answers["GetState"].extend([Failure(grpc.StatusCode.UNAVAILABLE), Failure(grpc.StatusCode.CANCELLED)])
    with pytest.raises(Unavailable):
        client.get_state()
    async with AsyncClient.connect(agent.address) as aclient:
        with pytest.raises(RtcAgentError) as caught:
            await aclient.get_state()
    assert caught.value.code is grpc.StatusCode.CANCELLED
    assert len(agent.calls) == 2


async def test_errors_carry_their_details(agent: FakeAgent, client: Client) -> None:
    wrong = Failure(
        grpc.StatusCode.INVALID_ARGUMENT,
        "room_id 'a b' has a space",
        reason="ROOM_ID_INVALID",
        metadata={"room_id": "a b"},
        fields={"config.room_id": "only A-Z"},
    )
    agent.answers["JoinRoom"].extend([wrong, wrong])
    with pytest.raises(InvalidArgument) as caught:
        client.join_room("a b")
    async with AsyncClient.connect(agent.address) as aclient:
        with pytest.raises(InvalidArgument) as acaught:
            await aclient.join_room("a b")
    for error in (caught.value, acaught.value):
        assert str(error) == "room_id 'a b' has a space"
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT
        assert error.reason == "ROOM_ID_INVALID"
        assert error.metadata == {"room_id": "a b"}
        assert error.fields == {"config.room_id": "only A-Z"}
    assert len(agent.calls) == 2
    agent.answers["LeaveRoom"].append(Failure(grpc.StatusCode.NOT_FOUND, "not asked to be in it"))
    with pytest.raises(NotFound):
        client.leave_room("demo")


async def test_an_agent_that_restarts_gets_the_order(tmp_path: Path) -> None:
    """The connection itself is restored soon enough for the repeats."""
    address = f"unix:{tmp_path}/control.sock"
    with Client.connect(address) as client:
        async with AsyncClient.connect(address) as aclient:
            with FakeAgent(address):
                client.get_agent()
                await aclient.get_agent()
            with pytest.raises(Unavailable, match=r"cannot reach rtcagentd at unix:.*control\.sock: .*"):
                client.get_agent()
            with pytest.raises(Unavailable):
                await aclient.get_agent()
            with FakeAgent(address) as agent:
                client.join_room("demo")
                await aclient.join_room("lab")
                assert [request.config.room_id for request in agent.requests("JoinRoom")] == ["demo", "lab"]
