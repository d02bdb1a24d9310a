"""ApplyState as an edit: it replaces just what it names, whole or not at all, at the revision that is meant."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from rtcagent.v1 import agent_pb2
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import documents
from rtcagentd.api.status import to_status
from rtcagentd.control.apply import DryRun, apply_state
from rtcagentd.control.errors import Code, OrderError, OrderProblems
from rtcagentd.control.ledger import Change, Ledger, Order, Taken, digest_of
from rtcagentd.control.objects import Key, capture_key, room_key, slot_key, stream_key, subscription_key
from rtcagentd.control.orders import Orders
from rtcagentd.control.room_tokens import ServerKey
from rtcagentd.control.state import State

from tests.unit.test_ledger import opened as ledger_opened

SERVER = ServerKey("ws://127.0.0.1:7880", "ws://127.0.0.1:7880", "key", "secret-of-32-characters-or-more!!")
WITHOUT_KEY = ServerKey("wss://rooms.example.org", "wss://rooms.example.org")
ADDED, CHANGED, REMOVED = Change.KIND_ADDED, Change.KIND_CHANGED, Change.KIND_REMOVED
ALL = documents.PARTS

EVERYTHING = """
rooms:
- config: {room_id: demo, auto_publish: false}
- config: {room_id: lab}
captures:
- source_id: camera
  config: {input: {test_pattern: {kind: bars}}, output: {width: 640, height: 360}}
- source_id: door
  config: {input: {rtsp: {url: "rtsp://user:password@door.example.org/1"}}}
- source_id: front
  config: {input: {camera: {slot: front-cam}}}
streams:
- {room_id: demo, source_id: camera, published: true, encoder: {codec: h264}}
- {room_id: lab, source_id: camera, muted: true}
subscriptions:
- {room_id: demo, user_id: ann, subscribed: true}
slots:
- slot: {name: front-cam, matches: [{serial: A1}]}
"""


class Agent:
    """What is needed of a daemon to take orders."""

    def __init__(self, state: State, ledger: Ledger, server: ServerKey) -> None:
        self.state = state
        self.ledger = ledger
        self.orders = Orders(state, "kiosk", server, [])

    async def apply(
        self,
        text: str | st.DesiredState,
        parts: list[str] | None = None,
        *,
        request_id: str = "",
        limits: agent_pb2.EngineLimits | None = None,
        keep: ty.Keep.Kind.ValueType = ty.Keep.KIND_FOREVER,
        **options: object,
    ) -> Taken:
        document = documents.read(text, "test") if isinstance(text, str) else documents.Document("", text, ALL)
        mask = FieldMask(paths=document.parts if parts is None else parts)
        request = agent_pb2.ApplyStateRequest(desired=document.desired, field_mask=mask, **options)  # type: ignore[arg-type]
        edit = apply_state(self.orders, request, limits or agent_pb2.EngineLimits(), devices_known=True)
        digest = digest_of("ApplyState", request.SerializeToString(deterministic=True))
        order = Order("ApplyState", ty.Controller(identity="ann"), ty.Keep(kind=keep), request_id, digest)
        return await self.ledger.take(order, edit)

    def secret(self, key: Key) -> str:
        return self.state.rows[key].secret


@contextlib.asynccontextmanager
async def opened(path: Path, server: ServerKey = SERVER, boot_id: str = "this boot") -> AsyncIterator[Agent]:
    async with ledger_opened(path / "a.db", boot_id) as (state, ledger):
        yield Agent(state, ledger, server)


def room_token(room_id: str, user_id: str) -> str:
    claims = {"sub": user_id, "video": {"room": room_id, "roomJoin": True}}
    return jwt.encode(claims, "another-secret-of-32-characters!", algorithm="HS256")


def fields(error: OrderError) -> list[str]:
    assert isinstance(error, OrderProblems)
    return [field for field, _ in error.fields]


async def test_everything_at_once_and_again_without_effect(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        taken = await agent.apply(EVERYTHING)
        assert taken.revision == agent.state.revision == 1
        assert set(taken.changes) == set(taken.objects) == set(agent.state.rows)
        assert set(taken.changes.values()) == {ADDED}
        assert len(taken.objects) == 9
        again = await agent.apply(EVERYTHING)
        assert (again.revision, again.changes) == (1, {})
        assert all(again.objects.values())
        room = agent.state.get(room_key("lab"), st.DesiredRoom)
        assert room is not None
        assert room.config.auto_publish, "what is not said has the defaults of JoinRoom"
        assert room.config.user_id == "kiosk"


async def test_what_the_agent_tells_can_be_given_back(tmp_path: Path) -> None:
    """As the message, as YAML and as JSON; what is never shown (passwords) is kept."""
    async with opened(tmp_path) as agent:
        await agent.apply(EVERYTHING)
        desired = agent.state.desired()
        assert "password" not in str(desired)
        for text in (desired, documents.to_yaml(desired), documents.to_json(desired, with_orders=True)):
            assert (await agent.apply(text)).changes == {}
        assert agent.secret(capture_key("door")) == "rtsp://user:password@door.example.org/1"
        assert documents.to_yaml(agent.state.desired()) == documents.to_yaml(desired)


async def test_only_what_is_named_is_replaced(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        await agent.apply(EVERYTHING)
        taken = await agent.apply("captures: [{source_id: camera, config: {input: {test_pattern: {kind: ball}}}}]")
        assert taken.changes == {
            capture_key("camera"): CHANGED,
            capture_key("door"): REMOVED,
            capture_key("front"): REMOVED,
        }
        assert not taken.objects[capture_key("door")]
        revisions = {key.text: row.revision for key, row in agent.state.rows.items()}
        assert revisions == {
            "camera": 2,
            "demo": 1,
            "lab": 1,
            "demo/camera": 1,
            "lab/camera": 1,
            "demo/ann/1/": 1,
            "front-cam": 1,
        }


async def test_a_room_that_is_removed_takes_along_what_is_not_replaced_itself(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        await agent.apply(EVERYTHING)
        taken = await agent.apply(
            """
            rooms: [{config: {room_id: lab}}]
            streams:
            - {room_id: demo, source_id: camera, published: true, encoder: {codec: h264}}
            - {room_id: lab, source_id: camera, muted: true}
            """
        )
        assert taken.changes == {room_key("demo"): REMOVED, subscription_key("demo", "ann", 1, ""): REMOVED}
        taken = await agent.apply("rooms: []")
        assert set(taken.changes) == {room_key("lab"), stream_key("lab", "camera")}
        assert stream_key("demo", "camera") in agent.state.rows, "an order to publish may wait for its room"


async def test_a_lost_compare_and_set_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        await agent.apply(EVERYTHING)
        await agent.apply("slots: [{slot: {name: front-cam, matches: [{serial: A2}]}}]", if_revision=1)
        with pytest.raises(OrderError) as refused:
            await agent.apply("rooms: []", if_revision=1)
        assert (refused.value.code, refused.value.reason) == (Code.ABORTED, "REVISION_CHANGED")
        assert refused.value.metadata == {"revision": "2"}
        assert to_status(refused.value).code.name == "ABORTED"
        assert room_key("demo") in agent.state.rows


async def test_a_dry_run_tells_and_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        await agent.apply(EVERYTHING)
        before = agent.state.desired()
        with pytest.raises(DryRun) as done:
            await agent.apply("rooms: [{config: {room_id: new}}]", dry_run=True)
        assert done.value.revision == 1
        assert done.value.changes[room_key("new")] == ADDED
        assert done.value.changes[room_key("demo")] == REMOVED
        assert [room.config.room_id for room in done.value.desired.rooms] == ["new"]
        assert done.value.desired.revision == 2
    async with opened(tmp_path) as agent:
        assert agent.state.desired() == before


async def test_every_problem_of_every_object_is_told_at_once(tmp_path: Path) -> None:
    """Also those that show in the transaction alone: the slot that is not there, and the one that is in use."""
    async with opened(tmp_path) as agent:
        await agent.apply(EVERYTHING)
        with pytest.raises(OrderProblems) as refused:
            await agent.apply(
                """
                rooms:
                - config: {room_id: ok}
                - config: {room_id: two words, user_id: b}
                - config: {room_id: ok}
                captures:
                - {source_id: odd, config: {output: {width: 641, height: 360}}}
                - {source_id: camera, config: {input: {camera: {slot: nowhere}}}}
                - {source_id: front, config: {input: {camera: {slot: front-cam}}}}
                streams:
                - {room_id: ok, source_id: camera, encoder: {max_bitrate_bps: 5}}
                subscriptions:
                - {room_id: ok, user_id: ""}
                slots:
                - slot: {name: side, matches: [{}]}
                - slot: {name: empty}
                """
            )
        assert sorted(fields(refused.value)) == [
            "captures[0].config.output.width",
            "captures[1]",
            "rooms[1].config.room_id",
            "rooms[2]",
            "slots",
            "slots[0].slot.matches[0]",
            "slots[1].slot.matches",
            "streams[0].encoder.max_bitrate_bps",
            "subscriptions[0].user_id",
        ]
        assert (refused.value.code, refused.value.reason) == (Code.INVALID_ARGUMENT, "STATE_INVALID")
        assert refused.value.message.startswith("9 problems: ")
        assert agent.state.revision == 1


async def test_one_problem_keeps_its_own_code_and_reason(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        with pytest.raises(OrderProblems) as refused:
            await agent.apply("captures: [{config: {input: {camera: {slot: nowhere}}}}]")
        assert (refused.value.code, refused.value.reason) == (Code.NOT_FOUND, "SLOT_NOT_FOUND")
        assert refused.value.metadata == {"slot": "nowhere"}


async def test_hundreds_of_problems_fit_an_answer(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        rooms = [st.DesiredRoom(config=ty.RoomConfig(room_id=f"room {number}")) for number in range(500)]
        with pytest.raises(OrderProblems) as refused:
            await agent.apply(st.DesiredState(rooms=rooms))
        status = to_status(refused.value)
        trailing = sum(len(key) + len(value) for key, value in status.trailing_metadata) + len(status.details)
        assert trailing < 6000, "of the 8 KiB that gRPC gives all metadata"
        assert refused.value.message.startswith("500 problems: ")
        assert refused.value.message.endswith(f"; and {500 - len(refused.value.fields)} more")


async def test_limits_are_judged_after_what_is_removed(tmp_path: Path) -> None:
    limits = agent_pb2.EngineLimits(max_rooms=1)
    async with opened(tmp_path) as agent:
        await agent.apply("rooms: [{config: {room_id: one}}]", limits=limits)
        await agent.apply("rooms: [{config: {room_id: two}}]", limits=limits)
        with pytest.raises(OrderProblems) as refused:
            await agent.apply("rooms: [{config: {room_id: two}}, {config: {room_id: three}}]", limits=limits)
        assert (refused.value.code, fields(refused.value)) == (Code.RESOURCE_EXHAUSTED, ["rooms[1]"])


@pytest.mark.parametrize(
    ("text", "parts", "field"),
    [
        ("rooms: []", [], "field_mask"),
        ("rooms: []", ["rooms", "cameras"], "field_mask.paths[1]"),
        ("rooms: [{config: {room_id: demo}}]", ["captures"], "desired.rooms"),
    ],
)
async def test_the_mask_must_name_what_is_replaced(tmp_path: Path, text: str, parts: list[str], field: str) -> None:
    async with opened(tmp_path) as agent:
        with pytest.raises(OrderError) as refused:
            await agent.apply(text, parts)
        assert (refused.value.code, refused.value.field) == (Code.INVALID_ARGUMENT, field)


async def test_a_room_keeps_its_token_but_never_for_another_server_or_user(tmp_path: Path) -> None:
    token = room_token("demo", "kiosk-3")
    async with opened(tmp_path, WITHOUT_KEY) as agent:
        await agent.apply(f"rooms: [{{config: {{room_id: demo, token: {token}}}}}]")
        key = room_key("demo")
        assert agent.secret(key) == token
        assert token not in str(agent.state.desired())
        taken = await agent.apply("rooms: [{config: {room_id: demo, auto_publish: false}}]")
        assert taken.changes == {key: CHANGED}
        assert agent.secret(key) == token
        assert agent.state.desired().rooms[0].has_token
        assert agent.state.desired().rooms[0].config.user_id == "kiosk-3"
        for config in ("server_url: wss://elsewhere.example.org", "user_id: somebody"):
            with pytest.raises(OrderProblems) as refused:
                await agent.apply(f"rooms: [{{config: {{room_id: demo, {config}}}}}]")
            assert refused.value.reason == "NO_SERVER_KEY"
        newer = room_token("demo", "somebody")
        await agent.apply(f"rooms: [{{config: {{room_id: demo, token: {newer}}}}}]")
        assert agent.secret(key) == newer


async def test_a_password_is_kept_for_the_same_address_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        await agent.apply("captures: [{config: {input: {rtsp: {url: 'rtsp://u:p@host/1'}}}}]")
        await agent.apply("captures: [{config: {mirror: true, input: {rtsp: {url: 'rtsp://host/1'}}}}]")
        assert agent.secret(capture_key("camera")) == "rtsp://u:p@host/1"
        await agent.apply("captures: [{config: {input: {rtsp: {url: 'rtsp://other/1'}}}}]")
        assert agent.secret(capture_key("camera")) == "rtsp://other/1"


async def test_a_slot_goes_together_with_the_capture_that_uses_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        await agent.apply(EVERYTHING)
        with pytest.raises(OrderError) as refused:
            await agent.apply("slots: []")
        assert refused.value.reason == "SLOT_IN_USE"
        taken = await agent.apply("slots: []\ncaptures: []")
        assert taken.changes[slot_key("front-cam")] == REMOVED


async def test_a_repeated_request_tells_the_changes_of_its_one_effect(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        first = await agent.apply(EVERYTHING, request_id="r")
    async with opened(tmp_path) as agent:
        again = await agent.apply(EVERYTHING, request_id="r")
        assert again == first
        assert len(again.changes) == 9


async def test_how_long_it_holds_is_a_change_and_another_boot_is_none(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        await agent.apply("rooms: [{config: {room_id: demo}}]", keep=ty.Keep.KIND_THIS_BOOT)
        taken = await agent.apply("rooms: [{config: {room_id: demo}}]")
        assert taken.changes == {room_key("demo"): CHANGED}
    async with opened(tmp_path, boot_id="next boot") as agent:
        assert (await agent.apply("rooms: [{config: {room_id: demo}}]")).changes == {}
