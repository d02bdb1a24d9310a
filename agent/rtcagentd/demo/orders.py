"""The demo's orders, and what it says about the agent's state."""

import asyncio
from collections.abc import Callable

from rtcagent.v1 import state_pb2 as state
from rtcagent.v1.types_pb2 import Device, VideoInput
from rtcagent_client import AsyncClient, RtcAgentError, inputs, keep

ROOM = "demo"
SOURCE = "camera"
_POLL_S = 0.1  # the state of a machine that starts changes all the time; no event ends the wait


async def give_first_orders(client: AsyncClient, *, camera: bool) -> bool:
    """Join the room and capture, unless anybody ever gave an order here: what was ordered later stays so."""
    if (await client.get_desired_state()).revision != 0:
        return False
    picture = await _camera(client) if camera else None
    picture = picture or inputs.test_pattern("bars-and-clock")
    # at once, so that an interruption leaves both or none; what is still waiting is shown with the state
    orders = (
        client.start_video_capture(SOURCE, input=picture, keep=keep.forever(), wait_ms=0, check=False),
        client.join_room(ROOM, keep=keep.forever(), wait_ms=0, check=False),
    )
    await asyncio.gather(*orders)
    return True


async def _camera(client: AsyncClient) -> VideoInput | None:
    for device in await client.list_devices():
        if device.present and device.kind == Device.KIND_CAMERA:
            return inputs.camera(device.device_id)
    return None


async def until_serving(client: AsyncClient, timeout_s: float) -> None:
    """Return when the API answers and the engine runs. TimeoutError with what is missing."""
    missing = "its API does not answer"
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    engine = (await client.get_state()).reported.engine
                except RtcAgentError as error:
                    missing = str(error)
                else:
                    if engine.state == state.ENGINE_STATE_RUNNING:
                        return
                    missing = f"its engine does not run: {engine.cause.message or 'it is starting'}"
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise TimeoutError(missing) from None


async def until_shown(client: AsyncClient, timeout_s: float) -> state.ReportedState:
    """The state once every order is settled, or when the time is over."""
    now = await client.get_state()
    try:
        async with asyncio.timeout(timeout_s):
            while not _is_settled(now.desired, now.reported):
                await asyncio.sleep(_POLL_S)
                now = await client.get_state()
    except TimeoutError:
        pass  # an absent camera, say: it is told as it is
    return now.reported


def _is_settled(desired: state.DesiredState, reported: state.ReportedState) -> bool:
    """Whether nothing more is to come: everything is reached, or refused."""
    publications = [publication for room in reported.rooms for publication in room.publications]
    joined = [room for room in reported.rooms if room.state == state.ROOM_STATE_JOINED]
    return (
        # what was ordered a moment ago is not reported yet
        {each.source_id for each in desired.captures} <= {each.source_id for each in reported.captures}
        and {each.config.room_id for each in desired.rooms} <= {each.room_id for each in reported.rooms}
        and all(
            each.state in (state.CAPTURE_STATE_CAPTURING, state.CAPTURE_STATE_REFUSED) for each in reported.captures
        )
        and all(each.state in (state.ROOM_STATE_JOINED, state.ROOM_STATE_REFUSED) for each in reported.rooms)
        and all(
            each.state in (state.PUBLICATION_STATE_PUBLISHED, state.PUBLICATION_STATE_REFUSED) for each in publications
        )
        and (bool(publications) or not (reported.captures and joined))
    )


def describe(reported: state.ReportedState) -> list[str]:
    """Lines on what is captured and where it is shown."""
    lines = []
    for capture in reported.captures:
        what = capture.input or capture.source_id
        lines.append(f"{capture.source_id}: {what}, {_word(state.CaptureState.Name(capture.state), 'CAPTURE_STATE_')}")
        if capture.cause.message:
            lines.append(f"  {capture.cause.message}")
    for room in reported.rooms:
        shown = [each for each in room.publications if each.state == state.PUBLICATION_STATE_PUBLISHED]
        published = ", ".join(each.source_id for each in shown) or "nothing"
        lines.append(
            f"room {room.room_id!r}: {_word(state.RoomState.Name(room.state), 'ROOM_STATE_')}"
            f" as {room.user_id!r}, publishing {published}"
        )
        for cause in [room.cause, *(each.cause for each in room.publications)]:
            if cause.message:
                lines.append(f"  {cause.message}")
    return lines or ["nothing is captured and no room is joined: so it was ordered"]


def live_cameras(reported: state.ReportedState) -> dict[str, str]:
    """The real cameras that deliver pictures now: their names by source_id."""
    names = {device.device_id: device.name for device in reported.devices}
    return {
        capture.source_id: names.get(capture.device_id) or capture.device_id
        for capture in reported.captures
        if capture.device_id and capture.state == state.CAPTURE_STATE_CAPTURING
    }


async def tell_live_cameras(client: AsyncClient, tell: Callable[[dict[str, str]], None]) -> None:
    """For ever: tell of every change of the cameras that are live, whoever ordered it."""
    told: dict[str, str] = {}
    async with client.events(types=["capture_state_changed", "engine_state_changed"], on_gap="yield") as events:
        while True:
            live = live_cameras((await client.get_state()).reported)
            if live != told:
                tell(live)
                told = live
            await anext(events)


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()
