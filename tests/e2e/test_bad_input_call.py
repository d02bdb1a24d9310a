"""Bad input of sound, canvases, subscriptions and devices; orders that meet, and devices that go in their middle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio
from rtcagent.v1 import canvases_pb2 as cv
from rtcagent.v1 import capture_pb2 as cap
from rtcagent.v1 import devices_pb2 as dv
from rtcagent.v1 import rooms_pb2 as rm
from rtcagent.v1 import screen_pb2 as sc
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import statistics_pb2 as stat
from rtcagent.v1 import types_pb2 as ty

from tests.e2e.test_bad_input import INVALID, NOT_FOUND, PRECONDITION, Case, fails
from tests.parts.controller import CALL_S, Controller, bars, error_reason, names, watching
from tests.parts.daemon import Daemon, MakeDaemon
from tests.parts.pulse import Pulse
from tests.parts.waiting import until
from tests.parts.x_windows import XWindows
from tests.parts.xvfb import Xvfb

TIMES = 3  # each with the device gone a little later
LATER_S = 0.02
Place, Geometry = ty.CanvasPlace, ty.CanvasPlace.Geometry


@pytest_asyncio.fixture
async def screen() -> AsyncIterator[Xvfb]:
    async with Xvfb(640, 480) as server:
        yield server


@pytest_asyncio.fixture
async def kiosk(make_daemon: MakeDaemon, pulse: Pulse, screen: Xvfb) -> Daemon:
    """With two speakers, a microphone and a display."""
    for name in ("right", "left"):
        await pulse.add_speaker(name)
    await pulse.add_microphone("desk")
    settings = {"display": {"default_layout": False}}
    return await make_daemon(settings=settings, environment={**pulse.environment, **screen.environment})


def local(**fields: Any) -> Callable[[Controller], Awaitable[Any]]:
    request = cv.SetLocalVideoCanvasRequest(**fields)
    return lambda it: it.canvases.SetLocalVideoCanvas(request, timeout=CALL_S)


def remote(**fields: Any) -> Callable[[Controller], Awaitable[Any]]:
    request = cv.SetRemoteVideoCanvasRequest(**{"room_id": "room", "user_id": "ann"} | fields)
    return lambda it: it.canvases.SetRemoteVideoCanvas(request, timeout=CALL_S)


def at(x: int, y: int, width: int, height: int) -> Callable[[Controller], Awaitable[Any]]:
    return local(place=Place(geometry=Geometry(x=x, y=y, width=width, height=height)))


def sound(source_id: str = "microphone", **config: Any) -> Callable[[Controller], Awaitable[Any]]:
    request = cap.StartAudioCaptureRequest(source_id=source_id, config=ty.AudioCaptureConfig(**config))
    return lambda it: it.capture.StartAudioCapture(request, timeout=CALL_S)


def of(**microphone: Any) -> ty.AudioInput:
    return ty.AudioInput(microphone=ty.AudioInput.Microphone(**microphone))


def subscribe(**fields: Any) -> Callable[[Controller], Awaitable[Any]]:
    request = rm.SubscribeStreamRequest(**{"room_id": "room", "user_id": "ann"} | fields)
    return lambda it: it.rooms.SubscribeStream(request, timeout=CALL_S)


def call(service: str, request: Any) -> Callable[[Controller], Awaitable[Any]]:
    method = request.DESCRIPTOR.name.removesuffix("Request")
    return lambda it: getattr(getattr(it, service), method)(request, timeout=CALL_S)


Quality = ty.StreamQuality
CASES = [
    Case("canvas id", local(canvas_id="a b"), INVALID, "CANVAS_ID_INVALID", "canvas_id"),
    Case("canvas source", local(source_id="a b"), INVALID, "SOURCE_ID_INVALID", "source_id"),
    Case("canvas width 0", at(0, 0, 0, 100), INVALID, "SIZE_INVALID", "geometry.width"),
    Case("canvas too high", at(0, 0, 100, 20_000), INVALID, "SIZE_INVALID", "geometry.height"),
    Case("canvas right of the display", at(640, 0, 100, 100), INVALID, "GEOMETRY_OUTSIDE", "geometry"),
    Case("canvas above the display", at(0, -100, 100, 100), INVALID, "GEOMETRY_OUTSIDE", "geometry"),
    Case("canvas far away", at(-20_000, 0, 100, 100), INVALID, "GEOMETRY_OUTSIDE", "geometry.x"),
    Case("canvas fit", local(place=Place(fit=9)), INVALID, "VALUE_UNKNOWN", "fit"),  # type: ignore[arg-type]
    Case("canvas colour", local(place=Place(background_rgb=1 << 24)), INVALID, "COLOUR_INVALID", "background_rgb"),
    Case("canvas display", local(place=Place(display="a\n")), INVALID, "DISPLAY_INVALID", "display"),
    Case("canvas room", remote(room_id="a b"), INVALID, "ROOM_ID_INVALID", "room_id"),
    Case("canvas user", remote(user_id=""), INVALID, "USER_ID_INVALID", "user_id"),
    Case("canvas of sound", remote(kind=ty.STREAM_KIND_MICROPHONE), INVALID, "KIND_NOT_VIDEO", "kind"),
    Case("no such canvas", call("canvases", cv.RemoveCanvasRequest(canvas_id="none")), NOT_FOUND, "CANVAS_NOT_FOUND"),
    Case(
        "layout mode",
        call("canvases", cv.SetDefaultLayoutRequest(mode=9)),  # type: ignore[arg-type]
        INVALID,
        "VALUE_UNKNOWN",
        "mode",
    ),
    Case("unknown microphone", sound(input=of(device_id="none")), NOT_FOUND, "DEVICE_NOT_FOUND"),
    Case("a speaker as microphone", sound(input=of(device_id="left")), NOT_FOUND, "DEVICE_NOT_FOUND"),
    Case("unknown microphone slot", sound(input=of(slot="none")), NOT_FOUND, "SLOT_NOT_FOUND"),
    Case("a slot's name", sound(input=of(slot="a b")), INVALID, "SLOT_NAME_INVALID", "slot"),
    Case("volume", sound(volume=401), INVALID, "VOLUME_INVALID", "volume"),
    Case("sound as video", sound("camera"), PRECONDITION, "SOURCE_IS_VIDEO"),
    Case("sound of kind camera", sound(kind=ty.STREAM_KIND_CAMERA), INVALID, "VALUE_UNKNOWN", "kind"),
    Case(
        "level of a tone",
        sound(input=ty.AudioInput(test_tone=ty.AudioInput.TestTone(level_dbfs=1))),
        INVALID,
        "LEVEL_INVALID",
        "level_dbfs",
    ),
    Case("volume of nothing", call("capture", cap.SetCaptureVolumeRequest(volume=50)), NOT_FOUND, "CAPTURE_NOT_FOUND"),
    Case("profile of nothing", call("capture", cap.SetAudioProfileRequest()), NOT_FOUND, "CAPTURE_NOT_FOUND"),
    Case("no sound to stop", call("capture", cap.StopAudioCaptureRequest()), NOT_FOUND, "CAPTURE_NOT_FOUND"),
    Case(
        "sound to stop that is video",
        call("capture", cap.StopAudioCaptureRequest(source_id="camera")),
        NOT_FOUND,
        "CAPTURE_NOT_FOUND",
    ),
    Case(
        "a device for nothing",
        call("devices", dv.SetCaptureDeviceRequest(source_id="none")),
        NOT_FOUND,
        "CAPTURE_NOT_FOUND",
    ),
    Case("subscribed user", subscribe(user_id="a b"), INVALID, "USER_ID_INVALID", "user_id"),
    Case("subscribed kind", subscribe(kind=99), INVALID, "VALUE_UNKNOWN", "kind"),
    Case("half a size", subscribe(quality=Quality(width=640)), INVALID, "QUALITY_INVALID", "quality"),
    Case(
        "a layer and a size",
        subscribe(quality=Quality(layer=Quality.LAYER_LOW, width=640, height=360)),
        INVALID,
        "QUALITY_INVALID",
        "quality",
    ),
    Case(
        "who one shows oneself as, in no room",
        call("rooms", rm.SetUserInfoRequest(room_id="none", name="ann")),
        NOT_FOUND,
        "ROOM_NOT_FOUND",
    ),
    Case(
        "statistics of no room",
        call("rooms", stat.SetStatisticsIntervalRequest(room_id="none", interval_ms=1000)),
        NOT_FOUND,
        "ROOM_NOT_FOUND",
    ),
]


async def test_each_bad_input_gets_its_error_and_changes_nothing(kiosk: Daemon, subtests: pytest.Subtests) -> None:
    await kiosk.control.start_capture(bars(320, 180, 5))
    for case in CASES:
        with subtests.test(msg=case.what):
            await fails(kiosk, case)


async def test_who_and_what_is_not_there_yet_is_waited_for(kiosk: Daemon) -> None:
    """An unknown display, user, stream or source is no error: it may come."""
    control = kiosk.control
    for order, reason in (
        (local(place=Place(display="HDMI-9")), "NO_DISPLAY"),
        (local(canvas_id="other", source_id="none"), "SOURCE_NOT_CAPTURED"),
        (remote(user_id="nobody"), "STREAM_NOT_PUBLISHED"),
        (subscribe(user_id="nobody"), "ROOM_NOT_JOINED"),
        (call("rooms", rm.PublishStreamRequest(room_id="room", source_id="none")), "ROOM_NOT_JOINED"),
    ):
        result = (await order(control)).result
        assert [names(each) for each in result.outcomes] == [("WAITING", reason)], result
    differences = [names(each)[0] for each in (await control.state()).differences]
    assert differences == ["WAITING"] * 5


async def test_orders_for_one_slot_at_once(kiosk: Daemon) -> None:
    """Each is taken whole and answered; the last one holds, and the log has them all."""
    control = kiosk.control

    async def order(serial: str) -> ty.OrderResult:
        slot = ty.Slot(name="front", matches=[ty.Slot.Match(serial=serial)])
        return (await control.devices.SetSlot(dv.SetSlotRequest(slot=slot), timeout=CALL_S)).result  # type: ignore[no-any-return]

    async with watching(control) as events:
        serials = [f"S{number}" for number in range(8)]
        results = await asyncio.gather(*map(order, serials))
        revisions = [result.revision for result in results]
        assert sorted(set(revisions)) == sorted(revisions), "two orders have one revision"
        desired = await control.desired()
        assert desired.revision == max(revisions)
        last = serials[revisions.index(max(revisions))]
        assert desired.slots[0].slot.matches[0].serial == last
        for result in results:
            kind = names(result.outcomes[0])[0]
            assert kind == "REACHED" if result.revision == max(revisions) else kind in ("REACHED", "SUPERSEDED")
        for revision in revisions:
            await events.event("desired_state_changed", lambda e, revision=revision: e.revision == revision)  # type: ignore[misc]


async def nothing_differs(control: Controller) -> bool:
    return not (await control.state()).differences


async def test_devices_that_go_in_the_middle_of_an_order(kiosk: Daemon, pulse: Pulse) -> None:
    """The order is taken, or refused by its reason; it is waited for, and reached when the device is back."""
    control = kiosk.control
    speaker = call("devices", dv.SetAudioPlaybackDeviceRequest(device_id="left"))
    default = call("devices", dv.SetAudioPlaybackDeviceRequest())
    microphone = sound(input=of(device_id="desk"))
    stop = call("capture", cap.StopAudioCaptureRequest())
    for order, undo, device_id, plug_in in (
        (speaker, default, "left", pulse.add_speaker),
        (microphone, stop, "desk", pulse.add_microphone),
    ):
        for number in range(TIMES):
            ordering = asyncio.ensure_future(order(control))
            await asyncio.sleep(number * LATER_S)  # the moment is what is tried
            await pulse.remove(device_id)
            outcomes = [names(each) for each in (await ordering).result.outcomes]
            assert outcomes in ([("REACHED", "")], [("WAITING", "DEVICE_ABSENT")]), outcomes

            async def is_told() -> bool:
                found = [names(each) for each in (await control.state()).differences]
                return found == [("WAITING", "DEVICE_ABSENT")]

            await until(is_told, timeout_ms=10_000, what=f"{device_id} is missed")
            await plug_in(device_id)
            await until(lambda: nothing_differs(control), timeout_ms=10_000, what=f"{device_id} is used again")
            await undo(control)


async def test_a_window_that_closes_in_the_middle_of_an_order(kiosk: Daemon, screen: Xvfb) -> None:
    """The order is an error, or ends with the window; no share is left."""
    control = kiosk.control
    seen: set[str] = set()
    for number in range(TIMES):
        with XWindows(screen.display) as windows:
            window = windows.open("slides", "green", 0, 0, 100, 100)
            request = sc.StartScreenCaptureRequest(screen=ty.VideoInput.Screen(window_id=window.id))
            ordering = asyncio.ensure_future(control.screen.StartScreenCapture(request, timeout=CALL_S))
            await asyncio.sleep(number * LATER_S)  # the moment is what is tried
            window.close()
            begun = time.monotonic()
            try:
                (outcome,) = (await ordering).result.outcomes
                seen.add(names(outcome)[1])
                assert names(outcome)[0] in ("REACHED", "SUPERSEDED", "REFUSED"), outcome
            except grpc.aio.AioRpcError as error:
                seen.add(error_reason(error))
            assert time.monotonic() - begun < CALL_S / 2

            async def is_over() -> bool:
                return not (await control.desired()).captures and not (await control.state()).reported.captures

            await until(is_over, timeout_ms=10_000, what="the share of the closed window has ended")
    assert (await control.state()).reported.engine.state == st.ENGINE_STATE_RUNNING
    assert seen <= {"", "SUPERSEDED", "WINDOW_CLOSED", "WINDOW_NOT_FOUND"}
