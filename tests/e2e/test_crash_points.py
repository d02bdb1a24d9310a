"""`kill -9` of daemon, engine or both at named places and at random moments: what was acknowledged is so, whole.

40 points in `make test`, 200 in `make soak`. RTCAGENT_TEST_SEED repeats a run's orders and moments.
"""

import asyncio
import contextlib
import copy
import math
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from rtcagent.v1 import agent_pb2 as ag
from rtcagent.v1 import canvases_pb2 as cv
from rtcagent.v1 import capture_pb2 as cap
from rtcagent.v1 import devices_pb2 as dv
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import rooms_pb2 as rm
from rtcagent.v1 import screen_pb2 as sc
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts import sound
from tests.parts.controller import Controller, bars, error_reason
from tests.parts.daemon import NAME, Daemon, MakeDaemon, faults_environment
from tests.parts.faults.crash_points import PLACES
from tests.parts.listener import Listener
from tests.parts.room_server import RoomServer
from tests.parts.waiting import NotInTime, until
from tests.parts.xvfb import Xvfb

ROOM, CAMERA, SECOND, SLOT = "lobby", "camera", "second", "slot"
VOICE, SCREEN, CANVAS, OTHER = "voice", "screen", "corner", "listener"
WHOM = ("daemon", "engine", "both")
MEDIA_EVERY = 10  # points between two looks at what a listener receives
SMALL = bars(320, 240, 10, kind=ty.STREAM_KIND_OTHER_VIDEO)  # not published by itself
LATEST_MS = 150  # of a random kill, after the order
PLACE_MS = 2000  # from an order to the place where it leads
CALL_S = 8.0
BACK_MS = 30_000


@dataclass
class Wanted:
    """The desired state as the orders make it, in short."""

    is_in_room: bool = False
    captures: set[str] = field(default_factory=set)
    streams: dict[str, tuple[bool | None, bool]] = field(default_factory=dict)  # published, muted
    serial: str = ""
    volumes: dict[str, int] = field(default_factory=dict)  # own while captured, others in the room
    canvas_x: int = -1  # none


def wanted_by(desired: st.DesiredState) -> Wanted:
    return Wanted(
        is_in_room=bool(desired.rooms),
        captures={each.source_id for each in desired.captures},
        streams={
            each.source_id: (each.published if each.HasField("published") else None, each.muted)
            for each in desired.streams
        },
        serial=desired.slots[0].slot.matches[0].serial if desired.slots else "",
        volumes={each.source_id: each.audio.volume for each in desired.captures if each.HasField("audio")}
        | {each.user_id: each.volume for each in desired.remote_volumes},
        canvas_x=desired.canvases[0].config.place.geometry.x if desired.canvases else -1,
    )


Call = Callable[[Controller, ty.OrderOptions], Awaitable[ty.OrderResult]]


@dataclass
class Orders:
    """What can be ordered in a state, and what each order makes of it."""

    now: Wanted = field(default_factory=Wanted)
    count: int = 0

    def possible(self) -> dict[str, Call]:
        """By the step that the order brings about."""
        stream = self.now.streams.get(SECOND, (None, False))
        orders: dict[str, Call] = {"slot": self._slot, "voice": self._voice, "set_canvas": self._canvas}
        orders |= {"remove_canvas": _remove_canvas} if self.now.canvas_x >= 0 else {}
        orders |= {} if SCREEN in self.now.captures else {"screen": _share}
        orders |= {"close_source": _stop} if SECOND in self.now.captures else {"open_source": _start}
        if not self.now.is_in_room:
            return orders | {"join": _join}
        orders["leave"] = _leave
        orders["set_remote_volume"] = self._remote_volume
        if SCREEN in self.now.captures and SCREEN not in self.now.streams:
            orders["show"] = _show
        orders["set_muted"] = _unmute if self._is_muted() else _mute
        if SECOND in self.now.captures:
            orders |= {"unpublish": _unpublish} if stream[0] else {"publish": _publish}
        return orders

    def after(self, kind: str) -> Wanted:
        after = copy.deepcopy(self.now)
        stream = after.streams.get(SECOND, (None, False))
        match kind:
            case "slot":
                after.serial = str(self.count)
            case "open_source":
                after.captures.add(SECOND)
            case "close_source":
                after.captures.remove(SECOND)
            case "join":
                after.is_in_room = True
            case "leave":
                if SCREEN in after.streams:  # a screen that nobody is left to see
                    after.captures.remove(SCREEN)
                after.is_in_room, after.streams = False, {}
                after.volumes.pop(OTHER, None)
            case "voice":
                after.captures.add(VOICE)
                after.volumes[VOICE] = self._number()
            case "set_remote_volume":
                after.volumes[OTHER] = self._number()
            case "set_canvas":
                after.canvas_x = self._number()
            case "remove_canvas":
                after.canvas_x = -1
            case "screen":
                after.captures.add(SCREEN)
            case "show":
                after.streams[SCREEN] = (True, False)
            case "set_muted":
                after.streams[CAMERA] = (None, not self._is_muted())
            case "publish" | "unpublish":
                after.streams[SECOND] = (kind == "publish", stream[1])
        return after

    def towards(self, kind: str) -> str:
        """An order that makes one of this kind possible sooner, or the kind itself."""
        if kind in self.possible():
            return kind
        match kind:
            case "close_source":
                return "open_source"
            case "open_source":
                return "close_source"
            case "join":
                return "leave"
            case "remove_canvas":
                return "set_canvas"
            case "publish" | "unpublish" if self.now.is_in_room and SECOND not in self.now.captures:
                return "open_source"
            case "publish" if self.now.is_in_room:
                return "unpublish"
            case "unpublish" if self.now.is_in_room:
                return "publish"
        return "join"

    def _is_muted(self) -> bool:
        return self.now.streams.get(CAMERA, (None, False))[1]

    def _number(self) -> int:
        """Another one for each order."""
        return 1 + self.count % 400

    async def _voice(self, control: Controller, order: ty.OrderOptions) -> ty.OrderResult:
        tone = ty.AudioInput(test_tone=ty.AudioInput.TestTone(level_dbfs=-6))
        config = ty.AudioCaptureConfig(input=tone, volume=self._number())
        request = cap.StartAudioCaptureRequest(source_id=VOICE, config=config, order=order)
        return (await control.capture.StartAudioCapture(request, timeout=CALL_S)).result  # type: ignore[no-any-return]

    async def _remote_volume(self, control: Controller, order: ty.OrderOptions) -> ty.OrderResult:
        request = rm.SetRemoteVolumeRequest(room_id=ROOM, user_id=OTHER, volume=self._number(), order=order)
        return (await control.rooms.SetRemoteVolume(request, timeout=CALL_S)).result  # type: ignore[no-any-return]

    async def _canvas(self, control: Controller, order: ty.OrderOptions) -> ty.OrderResult:
        place = ty.CanvasPlace(geometry=ty.CanvasPlace.Geometry(x=self._number(), y=0, width=160, height=120))
        request = cv.SetLocalVideoCanvasRequest(canvas_id=CANVAS, source_id=CAMERA, place=place, order=order)
        return (await control.canvases.SetLocalVideoCanvas(request, timeout=CALL_S)).result  # type: ignore[no-any-return]

    async def _slot(self, control: Controller, order: ty.OrderOptions) -> ty.OrderResult:
        slot = ty.Slot(name=SLOT, matches=[ty.Slot.Match(serial=str(self.count))])
        return (await control.devices.SetSlot(dv.SetSlotRequest(slot=slot, order=order), timeout=CALL_S)).result  # type: ignore[no-any-return]


async def _start(control: Controller, order: ty.OrderOptions) -> ty.OrderResult:
    request = cap.StartVideoCaptureRequest(source_id=SECOND, config=SMALL, order=order)
    return (await control.capture.StartVideoCapture(request, timeout=CALL_S)).result  # type: ignore[no-any-return]


async def _remove_canvas(control: Controller, order: ty.OrderOptions) -> ty.OrderResult:
    request = cv.RemoveCanvasRequest(canvas_id=CANVAS, order=order)
    return (await control.canvases.RemoveCanvas(request, timeout=CALL_S)).result  # type: ignore[no-any-return]


async def _share(control: Controller, order: ty.OrderOptions) -> ty.OrderResult:
    screen = ty.VideoInput.Screen(region=ty.ScreenRegion(x=0, y=120, width=160, height=120))
    request = sc.StartScreenCaptureRequest(source_id=SCREEN, screen=screen, max_fps=5, order=order)
    return (await control.screen.StartScreenCapture(request, timeout=CALL_S)).result  # type: ignore[no-any-return]


async def _show(control: Controller, order: ty.OrderOptions) -> ty.OrderResult:
    request = rm.PublishStreamRequest(room_id=ROOM, source_id=SCREEN, order=order)
    return (await control.rooms.PublishStream(request, timeout=CALL_S)).result  # type: ignore[no-any-return]


async def _stop(control: Controller, order: ty.OrderOptions) -> ty.OrderResult:
    request = cap.StopVideoCaptureRequest(source_id=SECOND, order=order)
    return (await control.capture.StopVideoCapture(request, timeout=CALL_S)).result  # type: ignore[no-any-return]


async def _join(control: Controller, order: ty.OrderOptions) -> ty.OrderResult:
    return await control.join(ROOM, order=order, deadline_s=CALL_S)


async def _leave(control: Controller, order: ty.OrderOptions) -> ty.OrderResult:
    return (await control.rooms.LeaveRoom(rm.LeaveRoomRequest(room_id=ROOM, order=order), timeout=CALL_S)).result  # type: ignore[no-any-return]


async def _mute(control: Controller, order: ty.OrderOptions) -> ty.OrderResult:
    request = rm.MuteStreamRequest(room_id=ROOM, muted=True, order=order)
    return (await control.rooms.MuteStream(request, timeout=CALL_S)).result  # type: ignore[no-any-return]


async def _unmute(control: Controller, order: ty.OrderOptions) -> ty.OrderResult:
    request = rm.MuteStreamRequest(room_id=ROOM, muted=False, order=order)
    return (await control.rooms.MuteStream(request, timeout=CALL_S)).result  # type: ignore[no-any-return]


async def _publish(control: Controller, order: ty.OrderOptions) -> ty.OrderResult:
    request = rm.PublishStreamRequest(room_id=ROOM, source_id=SECOND, order=order)
    return (await control.rooms.PublishStream(request, timeout=CALL_S)).result  # type: ignore[no-any-return]


async def _unpublish(control: Controller, order: ty.OrderOptions) -> ty.OrderResult:
    request = rm.UnpublishStreamRequest(room_id=ROOM, source_id=SECOND, order=order)
    return (await control.rooms.UnpublishStream(request, timeout=CALL_S)).result  # type: ignore[no-any-return]


class Log:
    """The events as a watcher gets them, over all the daemon's lives. Finds holes and changed events."""

    def __init__(self, control: Controller) -> None:
        self._control = control
        self._position = st.Position()
        self.count = 0
        self.revisions: set[int] = set()

    async def follow(self) -> None:
        """Until the daemon dies."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            async for response in self._control.watch(self._position if self.count else st.Position(seq=0)):
                self._take(response)

    async def read_to_the_end(self) -> None:
        state = await self._control.state()
        async with asyncio.timeout(20):
            call = self._control.watch(self._position if self.count else st.Position(seq=0))
            async for response in call:
                self._take(response)
                if self._position.seq >= state.position.seq:
                    break
            call.cancel()

    def _take(self, response: ag.WatchEventsResponse) -> None:
        assert not response.HasField("gap"), f"events are missing: {response.gap}"
        if response.log_id:
            assert self._position.log_id in ("", response.log_id), "the log was begun anew"
            self._position.log_id = response.log_id
        for event in response.events:
            assert event.seq == self._position.seq + 1, f"after {self._position.seq} comes {event.seq}"
            self._position.seq = event.seq
            self.count += 1
            self._note(event)

    def _note(self, event: ev.Event) -> None:
        if event.WhichOneof("payload") == "desired_state_changed":
            revision = event.desired_state_changed.revision
            assert revision not in self.revisions, f"two orders have the revision {revision}"
            self.revisions.add(revision)


class Ordeal:
    """One agent that is killed again and again."""

    def __init__(self, daemon: Daemon, crash_file: os.PathLike[str], chance: random.Random) -> None:
        self.daemon = daemon
        self.orders = Orders()
        self.log = Log(daemon.control)
        self.missed: list[str] = []
        self._crash_file = crash_file
        self._chance = chance

    async def order(self, kind: str, request_id: str = "", wait_ms: int = 5000) -> ty.OrderResult:
        call = self.orders.possible()[kind]
        return await call(self.daemon.control, ty.OrderOptions(request_id=request_id, wait_ms=wait_ms))

    async def prepare(self, kind: str) -> None:
        """Give undisturbed orders until `kind` can be ordered and the engine has the rest."""
        while (step := self.orders.towards(kind)) != kind:
            after = self.orders.after(step)
            await self.order(step)
            self.orders.now = after
        await self.settled()

    async def settled(self) -> None:
        left: list[ty.Outcome] = []

        async def reached() -> bool:
            differences = (await self.daemon.control.state()).differences
            # a stream that is to be published as soon as somebody captures its source
            left[:] = [each for each in differences if each.cause.reason != ty.REASON_SOURCE_NOT_CAPTURED]
            return not left

        await until(reached, timeout_ms=BACK_MS, what=lambda: f"everything is as ordered, but {left}")

    async def at_place(self, place: str) -> None:
        step = place.split(".")[1]
        kinds = list(self.orders.possible())
        kind = step if step in _STEPS else self._chance.choice(kinds)
        if step == "set_gate":
            kind = "set_muted"
        if "." in place.removesuffix(".before").removesuffix(".after"):  # a step of the engine
            await self.prepare(kind)
        whom = self._chance.choice(WHOM)
        delay_ms = self._chance.choice((0, 0, 20)) if place.startswith("engine.") and place.endswith("before") else 0
        await asyncio.to_thread(_write, self._crash_file, f"{place} {whom} {delay_ms}")
        if not await self._ordered_and_killed(kind, whom, None):
            self.missed.append(place)

    async def at_random(self) -> None:
        kind = self._chance.choice(list(self.orders.possible()))
        await self._ordered_and_killed(kind, self._chance.choice(WHOM), self._chance.uniform(0, LATEST_MS))

    async def _ordered_and_killed(self, kind: str, whom: str, at_ms: float | None) -> bool:
        """Whether the place was reached. Judges what is left of the order."""
        daemon, before = self.daemon, self.orders.now
        self.orders.count += 1
        after, request_id = self.orders.after(kind), f"order-{self.orders.count}"
        following = asyncio.ensure_future(self.log.follow())
        ordering = asyncio.ensure_future(self._acknowledged(kind, request_id))
        reached = await self._kill(whom, at_ms)
        result = await ordering
        if not reached:
            await daemon.kill()
        elif whom != "engine":
            assert await daemon.wait(5000) is not None, "the daemon was killed and lives"
        died = daemon.returncode is not None
        if died:
            await following
            await daemon.start(wait=False)
            await until(self._answers, timeout_ms=BACK_MS, what="the daemon answers again")
        else:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

        desired = await daemon.control.desired()
        found = wanted_by(desired)
        if result is not None:
            assert found == after, f"{kind} was acknowledged and is lost: {found}, not {after}"
            assert desired.revision == result.revision
        else:
            assert found in (before, after), f"{kind} is half applied: {found}, neither {before} nor {after}"
        # Repeated it has one effect, whatever became of it.
        again = await self._repeated(kind, request_id)
        repeated = await daemon.control.desired()
        assert wanted_by(repeated) == after
        assert again.revision == repeated.revision
        if found == after:
            assert repeated.revision == desired.revision, "the repeated order was made twice"
        self.orders.now = after
        await self.log.read_to_the_end()
        assert repeated.revision in self.log.revisions, "an acknowledged order has no event"
        return reached

    async def _repeated(self, kind: str, request_id: str) -> ty.OrderResult:
        """As a controller does: for as long as the engine, which knows what can be shared, is being started."""
        results: list[ty.OrderResult] = []

        async def taken() -> bool:
            try:
                results.append(await self.order(kind, request_id, wait_ms=0))
            except grpc.aio.AioRpcError as error:
                if not error_reason(error).startswith("ENGINE_"):
                    raise
            return bool(results)

        await until(taken, timeout_ms=BACK_MS, what="the repeated order is taken")
        return results[0]

    async def _answers(self) -> bool:
        with contextlib.suppress(grpc.aio.AioRpcError):  # the connection to the one before breaks at its next use
            await self.daemon.control.desired()
            return True
        return False

    async def _acknowledged(self, kind: str, request_id: str) -> ty.OrderResult | None:
        try:
            return await self.order(kind, request_id, wait_ms=1000)
        except grpc.aio.AioRpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise
            return None  # the outcome is unknown

    async def _kill(self, whom: str, at_ms: float | None) -> bool:
        """Wait until a place is reached, else kill at a time after the order. False: it was not reached."""
        if at_ms is not None:
            await asyncio.sleep(at_ms / 1000)  # the moment is what is tried, and nothing is waited for
            if whom in ("engine", "both"):
                for pid in self.daemon.pids()[1:]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            if whom in ("daemon", "both"):
                await self.daemon.kill()
            return True

        with contextlib.suppress(NotInTime):
            await until(lambda: not os.path.exists(self._crash_file), timeout_ms=PLACE_MS, what="the place is reached")
        try:
            os.unlink(self._crash_file)
        except FileNotFoundError:
            return True
        return False


_STEPS = (
    *("open_source", "close_source", "join", "leave", "publish", "unpublish", "set_muted"),
    *("set_remote_volume", "set_canvas", "remove_canvas"),
)


def _write(path: os.PathLike[str], text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


@pytest_asyncio.fixture
async def screen() -> AsyncIterator[Xvfb]:
    async with Xvfb(640, 240) as server:
        yield server


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(40, marks=pytest.mark.timeout(240)),
        pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(1200)]),
    ],
)
async def test_nothing_acknowledged_is_lost_wherever_it_is_killed(
    room_server: RoomServer,
    make_daemon: MakeDaemon,
    listener: Listener,
    screen: Xvfb,
    tmp_path: os.PathLike[str],
    points: int,
) -> None:
    seed = int(os.environ.get("RTCAGENT_TEST_SEED", random.randrange(1 << 30)))
    print(f"RTCAGENT_TEST_SEED={seed}")
    chance = random.Random(seed)
    crash_file = os.path.join(tmp_path, "crash")
    settings = {"display": {"default_layout": False}}
    environment = faults_environment(crash=crash_file) | screen.environment
    daemon = await make_daemon(room_server, settings=settings, environment=environment)
    await listener.join(room_server.url, room_server.token(ROOM, "listener"))
    ordeal = Ordeal(daemon, crash_file, chance)  # type: ignore[arg-type]
    await daemon.control.start_capture(bars(320, 240, 10))
    ordeal.orders.now.captures.add(CAMERA)

    places = PLACES * (points // 2 // len(PLACES) + 1)
    chosen: list[str] = [*chance.sample(places, points // 2), *[""] * (points - points // 2)]
    chance.shuffle(chosen)
    for number, place in enumerate(chosen, start=1):
        try:
            await (ordeal.at_place(place) if place else ordeal.at_random())
            if number % MEDIA_EVERY == 0:
                await media_is_back(ordeal, listener)
        except BaseException as error:
            error.add_note(f"at point {number}, {place or 'at random'}; seed {seed}")
            raise
    print(f"{points} points, {ordeal.log.count} events; places not reached: {ordeal.missed}")
    assert len(ordeal.missed) <= points // 10, f"the orders do not lead to {ordeal.missed}"


async def media_is_back(ordeal: Ordeal, listener: Listener) -> None:
    """All is as ordered, and the listener receives what is to be sent."""
    await ordeal.prepare("leave")  # so: in the room
    await ordeal.settled()
    now = ordeal.orders.now
    if not now.streams.get(CAMERA, (None, False))[1]:
        await listener.frames(NAME, CAMERA, count=3, timeout_ms=20_000)
    for source_id in (SECOND, SCREEN):
        if now.streams.get(source_id, (None, False))[0] and source_id in now.captures:
            await listener.frames(NAME, source_id, count=3, timeout_ms=20_000)
    if VOICE in now.captures:
        wanted = -9 + 20 * math.log10(now.volumes[VOICE] / 100)
        if -40 < wanted < -10:  # else too quiet to tell, or held below 0 by the limiter
            is_it = lambda samples: abs(sound.level(samples.mean(axis=0)) - wanted) < 3  # noqa: E731
            try:
                await listener.hear(NAME, VOICE, until=is_it, timeout_ms=20_000)
            except NotInTime as error:
                captures = (await ordeal.daemon.control.state()).reported.captures
                error.add_note(
                    f"it is to have {wanted:.1f} dBFS; {[each for each in captures if each.HasField('audio')]}"
                )
                raise
