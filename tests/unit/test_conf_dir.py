"""Files of the desired state: what has changed in them is ordered, what is gone is removed, and the rest left alone."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagentd.control.conf_dir import IDENTITY, ConfDir
from rtcagentd.control.join_tokens import JoinTokens
from rtcagentd.control.ledger import Edit, Ledger, Order
from rtcagentd.control.objects import capture_key, room_key, slot_key
from rtcagentd.control.orders import Orders
from rtcagentd.control.reconciler import Reconciler
from rtcagentd.control.room_tokens import ServerKey
from rtcagentd.control.state import State

from tests.unit.test_ledger import opened as ledger_opened

SERVER = ServerKey("ws://127.0.0.1:7880", "ws://127.0.0.1:7880", "key", "secret-of-32-characters-or-more!!")
DEMO = "rooms: [{config: {room_id: demo}}]\n"
BARS = "captures: [{config: {input: {test_pattern: {kind: bars}}}}]\n"


class Machine:
    """A folder of files, and a daemon that reads them."""

    def __init__(self, folder: Path, state: State, ledger: Ledger, conf_dir: ConfDir) -> None:
        self.folder = folder
        self.state = state
        self.ledger = ledger
        self.conf_dir = conf_dir

    def write(self, name: str, text: str) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / name).write_text(text)

    async def order(self, edit, keep: ty.Keep.Kind.ValueType = ty.Keep.KIND_FOREVER) -> None:  # type: ignore[no-untyped-def]
        """By a controller."""
        await self.ledger.take(Order("JoinRoom", ty.Controller(identity="ann"), ty.Keep(kind=keep)), edit)

    def who(self, room_id: str) -> str:
        """By whom a room was asked for last; empty where nobody asks for it."""
        row = self.state.rows.get(room_key(room_id))
        return row.body.order.controller.identity if row is not None else ""

    async def errors(self) -> list[str]:
        page = await self.state._journal.read(0)
        return [entry.type for entry in page if entry.type == "error_occurred"]  # type: ignore[union-attr]


@contextlib.asynccontextmanager
async def started(path: Path, boot_id: str = "this boot") -> AsyncIterator[Machine]:
    async with ledger_opened(path / "a.db", boot_id) as (state, ledger):
        orders = Orders(state, "kiosk", SERVER, [])
        reconciler = Reconciler(state, JoinTokens(state, SERVER, None).complete, 0.1, 1.0)
        conf_dir = ConfDir(path / "conf.d", state, ledger, orders, reconciler, boot_id)
        yield Machine(path / "conf.d", state, ledger, conf_dir)


def joined(room_id: str, user_id: str = "kiosk"):  # type: ignore[no-untyped-def]
    config = ty.RoomConfig(room_id=room_id, user_id=user_id)
    return lambda edits: edits.put(room_key(room_id), st.DesiredRoom(config=config))


async def test_no_folder_asks_for_nothing(tmp_path: Path) -> None:
    async with started(tmp_path) as machine:
        assert await machine.conf_dir.reapply()
        assert machine.state.revision == 0


async def test_files_are_ordered_together_and_hold_for_ever(tmp_path: Path) -> None:
    async with started(tmp_path) as machine:
        machine.write("20-camera.yaml", "captures: [{source_id: front, config: {input: {camera: {slot: front-cam}}}}]")
        machine.write("30-slots.json", '{"slots": [{"slot": {"name": "front-cam", "matches": [{"serial": "A1"}]}}]}')
        machine.write("10-room.yml", DEMO)
        machine.write("README", "not for me: [")
        machine.write(".hidden.yaml", "neither: [")
        assert await machine.conf_dir.reapply()
        assert set(machine.state.rows) == {room_key("demo"), capture_key("front"), slot_key("front-cam")}
        order = machine.state.rows[room_key("demo")].body.order
        assert (order.controller.identity, order.keep.kind) == (IDENTITY, ty.Keep.KIND_FOREVER)
        assert machine.state.revision == 1
    async with started(tmp_path) as machine:
        assert await machine.conf_dir.reapply()
        assert machine.state.revision == 1


async def test_what_is_gone_from_the_files_is_removed_and_nothing_else(tmp_path: Path) -> None:
    async with started(tmp_path) as machine:
        machine.write(
            "a.yaml", "rooms: [{config: {room_id: one}}, {config: {room_id: two}}, {config: {room_id: taken}}]"
        )
        await machine.conf_dir.reapply()
        await machine.order(joined("other"))
        await machine.order(joined("taken", user_id="somebody"))
        machine.write("a.yaml", "rooms: [{config: {room_id: one}}]")
        assert await machine.conf_dir.reapply()
        assert [machine.who(room) for room in ("one", "two", "other", "taken")] == [IDENTITY, "", "ann", "ann"]


async def test_neither_restart_nor_reload_undoes_what_a_controller_has_ordered_since(tmp_path: Path) -> None:
    """A room that was left, and a room that was changed, stay so until the file changes."""
    async with started(tmp_path) as machine:
        machine.write("a.yaml", "rooms: [{config: {room_id: left}}, {config: {room_id: changed}}]")
        await machine.conf_dir.reapply()

        def change(edits: Edit) -> None:
            edits.remove_room(room_key("left"))
            joined("changed", user_id="somebody")(edits)

        await machine.order(change)
        assert await machine.conf_dir.reapply()
    async with started(tmp_path) as machine:
        assert await machine.conf_dir.reapply()
        assert (machine.who("left"), machine.who("changed")) == ("", "ann")
        machine.write("b.yaml", BARS)  # another file, another object
        assert await machine.conf_dir.reapply()
        assert (machine.who("left"), machine.who("changed")) == ("", "ann")
        machine.write("a.yaml", "rooms: [{config: {room_id: left, auto_publish: false}}]")
        assert await machine.conf_dir.reapply()
        assert (machine.who("left"), machine.who("changed")) == (IDENTITY, "ann")


async def test_a_boot_brings_back_what_nobody_asks_for_any_more(tmp_path: Path) -> None:
    async with started(tmp_path) as machine:
        machine.write("a.yaml", "rooms: [{config: {room_id: left}}, {config: {room_id: changed}}]")
        await machine.conf_dir.reapply()
        await machine.order(joined("changed", user_id="somebody"))
        await machine.order(lambda edits: edits.remove_room(room_key("left")))
    async with started(tmp_path, "next boot") as machine:
        assert await machine.conf_dir.reapply()
        assert (machine.who("left"), machine.who("changed")) == (IDENTITY, "ann")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rooms: [", "b.yaml:2: no YAML"),
        ("rooms:\n- config: {roomid: x}", "b.yaml:2: rooms[0].config.roomid: there is no such key"),
        ("rooms:\n- config:\n    room_id: two words", "b.yaml:3: rooms[0].config.room_id: room_id 'two words'"),
        ("\nrooms: [{config: {room_id: demo}}]", "b.yaml:2: rooms[0]: the same is asked for in a.yaml:1: rooms[0]"),
        (
            "captures: [{source_id: side, config: {input: {camera: {slot: none}}}}]",
            "b.yaml:1: captures[0]: there is no slot",
        ),
    ],
)
async def test_a_broken_file_is_reported_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, said: str
) -> None:
    async with started(tmp_path) as machine:
        machine.write("a.yaml", DEMO)
        await machine.conf_dir.reapply()
        machine.write("a.yaml", DEMO + BARS)
        machine.write("b.yaml", text + "\n")
        with caplog.at_level(logging.ERROR):
            assert not await machine.conf_dir.reapply()
        assert said in caplog.text
        assert await machine.errors() == ["error_occurred"]
        assert set(machine.state.rows) == {room_key("demo")}
        machine.write("b.yaml", "")
        assert await machine.conf_dir.reapply()
        assert set(machine.state.rows) == {room_key("demo"), capture_key("camera")}


async def test_a_camera_named_by_its_id_waits_for_the_engine_to_tell_its_devices(tmp_path: Path) -> None:
    async with started(tmp_path) as machine:
        machine.write("a.yaml", DEMO + "captures: [{config: {input: {camera: {device_id: usb-1}}}}]")
        assert not await machine.conf_dir.reapply()
        assert await machine.errors() == []
        again = asyncio.create_task(machine.conf_dir.run())
        machine.state.reported.devices.add(device_id="usb-1", present=True)
        machine.conf_dir._reconciler.session = object()  # type: ignore[assignment]  # an engine has attached
        machine.state.touch()
        while capture_key("camera") not in machine.state.rows:
            await machine.state.wait_for_change(machine.state.version)
        assert machine.who("demo") == IDENTITY
        again.cancel()


async def test_a_secret_that_everybody_may_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with started(tmp_path) as machine:
        machine.write("a.yaml", "captures: [{config: {input: {rtsp: {url: 'rtsp://u:p@host/1'}}}}]")
        (machine.folder / "a.yaml").chmod(0o644)
        assert await machine.conf_dir.reapply()
        assert "may be read by everybody" in caplog.text
        assert "u:p" not in caplog.text
