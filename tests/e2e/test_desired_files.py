"""The desired state as a file: what it asks for is seen in the room, and the agent says when it differs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import grpc.aio
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from rtcagent.v1 import agent_pb2 as ag
from rtcagent.v1 import types_pb2 as ty

from tests.parts.controller import all_reached, bars, error_reason, violated_fields, watching
from tests.parts.daemon import NAME, Daemon, MakeDaemon
from tests.parts.listener import Listener
from tests.parts.picture import shows_bars
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until

RTCCTL = Path(sys.executable).with_name("rtcctl")
ROOM, CAMERA = "lobby", "front"

STATE = """\
rooms:
- config:
    room_id: lobby
    auto_publish: false
captures:
- source_id: front
  config:
    input: {test_pattern: {kind: bars}}
    output: {width: 640, height: 360, max_fps: 30}
streams:
- room_id: lobby
  source_id: front
  published: true
  encoder: {codec: vp8, max_bitrate_bps: 1_000_000}
"""


async def rtcctl(daemon: Daemon, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """The exit code, and what was printed on standard output and error."""
    process = await asyncio.create_subprocess_exec(
        *(str(RTCCTL), "--address", daemon.address, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_file_is_applied_and_its_picture_seen(
    room_server: RoomServer, daemon: Daemon, listener: Listener, tmp_path: Path
) -> None:
    file = tmp_path / "state.yaml"
    file.write_text(STATE)
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))

    code, out, err = await rtcctl(daemon, "apply", "-f", str(file), "--dry-run")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "capture front: would be added",
        "room lobby: would be added",
        "stream lobby/front: would be added",
    ]
    code, out, err = await rtcctl(daemon, "diff", "-f", str(file))
    assert (code, err) == (7, "")
    assert "+    room_id: lobby" in out.splitlines()
    assert (await daemon.control.desired()).revision == 0

    code, out, err = await rtcctl(daemon, "apply", "-f", str(file))
    assert (code, err) == (0, "")
    assert "stream lobby/front: added: REACHED" in out
    assert shows_bars(await listener.picture(NAME, CAMERA, until=shows_bars))

    assert await rtcctl(daemon, "diff", "-f", str(file)) == (0, "", "")
    code, out, err = await rtcctl(daemon, "get")
    assert (code, err) == (0, "")
    assert (await rtcctl(daemon, "diff", "-f", "-", stdin=out))[:2] == (0, "")
    code, again, _ = await rtcctl(daemon, "apply", "-f", "-", stdin=out)
    assert code == 0
    assert "room lobby: unchanged: REACHED" in again
    assert (await daemon.control.desired()).revision == 1

    code, out, _ = await rtcctl(daemon, "diff", "-f", "-", "--only", "rooms", stdin="rooms: []\nslots: []\n")
    assert code == 7
    assert "-    room_id: lobby" in out.splitlines()
    file.write_text(STATE.replace("published: true", "published: true\n  muted: true"))
    code, out, err = await rtcctl(daemon, "apply", "-f", str(file), "--if-revision", "1")
    assert (code, err) == (0, "")
    await listener.until_muted(NAME, CAMERA, True)


async def test_mistakes_are_told_with_their_lines_and_a_lost_race_as_such(daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "state.yaml"
    file.write_text(
        "rooms:\n- config:\n    room_id: two words\ncaptures:\n- config:\n    output: {width: 641, height: 360}\n"
    )
    code, out, err = await rtcctl(daemon, "apply", "-f", str(file))
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert len(lines) == 2
    assert f"{file}:6: captures[0].config.output.width: width is 641" in lines[0]
    assert f"{file}:3: rooms[0].config.room_id: room_id 'two words' is not" in lines[1]
    file.write_text("room: []\n")
    code, _, err = await rtcctl(daemon, "apply", "-f", str(file))
    assert code == 2
    assert f"{file}:1: room: there is no such key; there are: rooms, " in err

    await daemon.control.start_capture(bars())
    request = ag.ApplyStateRequest(field_mask=FieldMask(paths=["captures"]), if_revision=7)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await daemon.control.agent.ApplyState(request, timeout=10)
    assert raised.value.code() is grpc.StatusCode.ABORTED
    assert error_reason(raised.value) == "REVISION_CHANGED"
    request.if_revision, request.field_mask.paths[0] = 1, "cameras"
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await daemon.control.agent.ApplyState(request, timeout=10)
    assert violated_fields(raised.value) == ["field_mask.paths[0]"]
    request.field_mask.paths[0] = "captures"
    response = await daemon.control.agent.ApplyState(request, timeout=10)
    assert all_reached(response.result)
    assert [change.kind for change in response.changes] == [ag.ObjectChange.KIND_REMOVED]
    assert not (await daemon.control.state()).reported.captures


@pytest.mark.timeout(120)
async def test_files_of_the_machine_hold_from_the_start_and_are_read_again(
    make_daemon: MakeDaemon, room_server: RoomServer, listener: Listener, tmp_path: Path
) -> None:
    """At boot; at SIGHUP; and a mute of a controller outlasts a restart of the daemon, whatever the files say."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "kiosk.yaml").write_text(STATE)
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    daemon = await make_daemon(room_server, settings={"desired": {"folder": str(folder)}})
    assert shows_bars(await listener.picture(NAME, CAMERA, until=shows_bars))
    order = (await daemon.control.desired()).rooms[0].order
    assert (order.controller.identity, order.keep.kind) == ("conf.d", ty.Keep.KIND_FOREVER)

    async with watching(daemon.control, types=["error_occurred"]) as watcher:
        (folder / "broken.yaml").write_text("rooms: {}\n")
        os.kill(daemon.pid, signal.SIGHUP)
        told = await watcher.event("error_occurred")
        assert told.error_occurred.cause.reason == ty.REASON_FILE_INVALID
        assert "broken.yaml:1: rooms: expected a list" in told.error_occurred.cause.message

    await daemon.control.mute(ROOM, True, source_id=CAMERA)
    await listener.until_muted(NAME, CAMERA, True)
    await daemon.kill()
    await daemon.start()  # with a broken file
    assert (await daemon.control.desired()).streams[0].muted
    (folder / "broken.yaml").unlink()
    await daemon.kill()
    await daemon.start()
    stream = (await daemon.control.desired()).streams[0]
    assert stream.muted
    assert stream.order.controller.identity != "conf.d"

    (folder / "kiosk.yaml").write_text("captures: []\n")
    os.kill(daemon.pid, signal.SIGHUP)

    async def is_gone() -> bool:
        desired = await daemon.control.desired()
        return not desired.rooms and not desired.captures and len(desired.streams) == 1

    await until(is_gone, timeout_ms=20_000, what="what the file asked for is gone, and the controller's mute is not")
