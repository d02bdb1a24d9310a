"""Muted stays muted: after any sequence of orders and faults, no more is sent than the orders allow, at no moment.

Listeners in two rooms write down when frames, or sound, of which stream arrive: of two cameras, a voice and a screen.
From the answer to an order that takes a stream away, and MARGIN_S for frames under way, until the next order that
allows it, none may. RTCAGENT_TEST_SEED repeats a run's orders and faults.
"""

import asyncio
import copy
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest
from rtcagent.v1 import capture_pb2 as cap
from rtcagent.v1 import rooms_pb2 as rm
from rtcagent.v1 import screen_pb2 as sc
from rtcagent.v1 import types_pb2 as ty

from tests.parts import sound
from tests.parts.controller import Controller, bars
from tests.parts.daemon import NAME, Daemon, MakeDaemon, faults_environment
from tests.parts.listener import SILENT_DBFS, Listener
from tests.parts.processes import KnownProcess
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until
from tests.parts.xvfb import Xvfb

ROOMS = ("lobby", "stage")
VOICE, SCREEN = "voice", "screen"
SOURCES = ("camera", "second", VOICE, SCREEN)
RUN_S = 25.0
MARGIN_S = 1.0
FAULT_EVERY = 5  # steps, on average
LOOK_EVERY = 12  # steps between two looks whether what is allowed does arrive
CALL_S = 8.0
BACK_MS = 30_000

Stream = tuple[str, str]  # room_id, source_id
Order = Callable[[ty.OrderOptions], Awaitable[Any]]


@dataclass
class Allowed:
    """What the orders allow to be sent."""

    rooms: set[str] = field(default_factory=set)
    captures: set[str] = field(default_factory=set)
    published: dict[Stream, bool] = field(default_factory=dict)  # else as auto_publish says: all but the screen
    muted: set[Stream] = field(default_factory=set)

    def streams(self) -> set[Stream]:
        return {
            (room, source)
            for room in self.rooms
            for source in self.captures
            if self.is_published((room, source)) and (room, source) not in self.muted
        }

    def is_published(self, stream: Stream) -> bool:
        return self.published.get(stream, stream[1] != SCREEN)

    def left(self, room: str) -> None:
        """With the room go the orders about its streams, and the screen that is shared nowhere else."""
        if {other for other in self.rooms if self.is_published((other, SCREEN))} == {room}:
            self.captures.discard(SCREEN)
        self.rooms.discard(room)
        self.published = {stream: value for stream, value in self.published.items() if stream[0] != room}
        self.muted = {stream for stream in self.muted if stream[0] != room}


class Judge:
    """Knows when each stream was forbidden, and when its frames arrived."""

    def __init__(self) -> None:
        self._forbidden_since: dict[Stream, float] = {(room, source): 0.0 for room in ROOMS for source in SOURCES}
        self._forbidden: dict[Stream, list[tuple[float, float]]] = {stream: [] for stream in self._forbidden_since}
        self.listeners: list[tuple[str, Listener]] = []

    def allow(self, streams: set[Stream]) -> None:
        """From now on these may be sent, beside what could be before."""
        now = time.monotonic()
        for stream in streams & self._forbidden_since.keys():
            self._forbidden[stream].append((self._forbidden_since.pop(stream), now))

    def forbid_all_but(self, streams: set[Stream]) -> None:
        """The order that took the rest away is acknowledged."""
        since = time.monotonic() + MARGIN_S
        for stream in self._forbidden.keys() - streams:
            self._forbidden_since.setdefault(stream, since)

    def violations(self) -> Iterator[str]:
        for room, listener in self.listeners:
            for source in SOURCES:
                stream = (room, source)
                times = [*self._forbidden[stream]]
                if stream in self._forbidden_since:
                    times.append((self._forbidden_since[stream], time.monotonic()))
                arrivals = _arrivals(listener, source)
                for begin, end in times:
                    late = [at for at in arrivals if begin < at < end]
                    if late:
                        yield f"{len(late)} frames of {stream}, from {begin:.2f} on: {late[0]:.2f}-{late[-1]:.2f}"


class Life:
    """One agent, its orders and its faults."""

    def __init__(self, server: RoomServer, daemon: Daemon, chance: random.Random) -> None:
        self.server = server
        self.daemon = daemon
        self.judge = Judge()
        self.allowed = Allowed()
        self.told: list[str] = []
        self.began_at = time.monotonic()
        self._chance = chance
        self._listening: dict[str, Listener] = {}
        self._count = 0

    # -- listeners

    async def listen(self) -> None:
        """Be in the rooms, anew where a server was restarted."""
        await self.close()
        for room in ROOMS:
            listener = self._listening[room] = Listener()
            await listener.join(self.server.url, self.server.token(room, "listener"))
            self.judge.listeners.append((room, listener))

    async def close(self) -> None:
        for listener in self._listening.values():
            await listener.close()
        self._listening.clear()

    async def all_arrive(self) -> None:
        """What is allowed is sent: else there would be nothing to judge."""
        for room, source in sorted(self.allowed.streams()):
            if source == VOICE:
                loud = lambda samples: sound.level(samples[0]) > SILENT_DBFS  # noqa: E731
                await self._listening[room].hear(NAME, VOICE, seconds=0.1, until=loud, timeout_ms=BACK_MS)
            else:
                await self._listening[room].frames(NAME, source, count=2, timeout_ms=BACK_MS)

    # -- orders

    async def order(self) -> None:
        """One at random; seldom one that leaves nothing to be sent."""
        for _ in range(3):
            order, change = self._any_order()
            after = copy.deepcopy(self.allowed)
            change(after)
            if after.streams() or not self.allowed.rooms:
                break
        await self._give(order, change)

    def _any_order(self) -> tuple[Order, Callable[[Allowed], None]]:
        room, source = self._chance.choice(ROOMS), self._chance.choice(SOURCES)
        stream = (room, source)
        order: Order
        is_in, is_captured = room in self.allowed.rooms, source in self.allowed.captures
        control = self.daemon.control
        kinds = ["capture", "publish", "publish", "mute", "mute", "mute"] if is_in else ["capture", "join"]
        match self._chance.choice([*kinds, *(["leave"] if self._chance.random() < 0.3 and is_in else [])]):
            case "capture" if is_captured:

                def change(allowed: Allowed) -> None:
                    allowed.captures.discard(source)

                order = _stop(control, source)
            case "capture":

                def change(allowed: Allowed) -> None:
                    allowed.captures.add(source)

                order = _start(control, source)
            case "join":

                def change(allowed: Allowed) -> None:
                    allowed.rooms.add(room)

                order = _call(control.rooms.JoinRoom, rm.JoinRoomRequest(config=ty.RoomConfig(room_id=room)))
            case "leave":

                def change(allowed: Allowed) -> None:
                    allowed.left(room)

                order = _call(control.rooms.LeaveRoom, rm.LeaveRoomRequest(room_id=room))
            case "publish":
                published = not self.allowed.is_published(stream)

                def change(allowed: Allowed) -> None:
                    allowed.published[stream] = published

                if published:
                    order = _call(control.rooms.PublishStream, rm.PublishStreamRequest(room_id=room, source_id=source))
                else:
                    request = rm.UnpublishStreamRequest(room_id=room, source_id=source)
                    order = _call(control.rooms.UnpublishStream, request)
            case _:
                muted = stream not in self.allowed.muted

                def change(allowed: Allowed) -> None:
                    (allowed.muted.add if muted else allowed.muted.discard)(stream)

                mute = rm.MuteStreamRequest(room_id=room, source_id=source, muted=muted)
                order = _call(control.rooms.MuteStream, mute)
        return order, change

    async def _give(self, order: Order, change: Callable[[Allowed], None]) -> None:
        """Until it is acknowledged, perhaps by the next daemon."""
        self._count += 1
        options = ty.OrderOptions(request_id=str(self._count), wait_ms=self._chance.choice((0, 0, 1000)))
        change(self.allowed)
        self._tell(f"ordered: {', '.join('/'.join(stream) for stream in sorted(self.allowed.streams()))}")
        self.judge.allow(self.allowed.streams())

        async def acknowledged() -> bool:
            try:
                await order(options)
            except grpc.aio.AioRpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise
                return False
            return True

        await until(acknowledged, timeout_ms=BACK_MS, what="the order is acknowledged")
        self.judge.forbid_all_but(self.allowed.streams())
        self._tell("acknowledged")

    # -- faults

    async def fault(self) -> None:
        which = self._chance.choice(("engine", "engine", "daemon", "daemon", "server"))
        self._tell(f"{which} killed")
        match which:
            case "engine":
                if self.daemon.pids()[1:]:
                    os.kill(self.daemon.pids()[1], 9)
            case "daemon":
                await self.daemon.kill()
                await self.daemon.start(wait=False)
            case "server":
                await self.server.restart()
                await self.listen()
        self._tell(f"{which} runs again" if which != "engine" else "")

    def _tell(self, what: str) -> None:
        if what:
            self.told.append(f"{time.monotonic() - self.began_at:.2f} {what}")


def _start(control: Controller, source: str) -> Order:
    if source == VOICE:
        tone = ty.AudioInput(test_tone=ty.AudioInput.TestTone(level_dbfs=-20))
        sounding = cap.StartAudioCaptureRequest(source_id=source, config=ty.AudioCaptureConfig(input=tone))
        return _call(control.capture.StartAudioCapture, sounding)
    if source == SCREEN:
        share = sc.StartScreenCaptureRequest(source_id=source, screen=ty.VideoInput.Screen(), max_fps=10)
        return _call(control.screen.StartScreenCapture, share)
    start = cap.StartVideoCaptureRequest(source_id=source, config=bars(320, 240, 15))
    return _call(control.capture.StartVideoCapture, start)


def _stop(control: Controller, source: str) -> Order:
    if source == VOICE:
        return _call(control.capture.StopAudioCapture, cap.StopAudioCaptureRequest(source_id=source))
    if source == SCREEN:
        return _call(control.screen.StopScreenCapture, sc.StopScreenCaptureRequest(source_id=source))
    return _call(control.capture.StopVideoCapture, cap.StopVideoCaptureRequest(source_id=source))


def _arrivals(listener: Listener, source: str) -> list[float]:
    """When something of it was received."""
    return listener.heard(NAME, VOICE).loud_at if source == VOICE else listener.video(NAME, source).arrivals


def _account(wrong: list[str], life: Life, seed: int) -> str:
    told = "\n".join(life.told[-20:])
    return f"{wrong}\nseed {seed}, begun at {life.began_at:.2f}\n{told}"


def _call(method: Any, request: Any) -> Order:
    def call(options: ty.OrderOptions) -> Awaitable[Any]:
        request.order.CopyFrom(options)
        return method(request, timeout=CALL_S)  # type: ignore[no-any-return]

    return call


@pytest.mark.timeout(180)
async def test_no_more_is_sent_than_the_orders_allow(room_server: RoomServer, make_daemon: MakeDaemon) -> None:
    seed = int(os.environ.get("RTCAGENT_TEST_SEED", random.randrange(1 << 30)))
    print(f"RTCAGENT_TEST_SEED={seed}")
    chance = random.Random(seed)
    screen = Xvfb(320, 240)
    await screen.start()
    settings = {"display": {"default_layout": False}}
    daemon = await make_daemon(room_server, settings=settings, environment=screen.environment)
    life = Life(room_server, daemon, chance)
    try:
        await life.listen()
        begin = time.monotonic()
        steps = 0
        while time.monotonic() - begin < RUN_S:
            steps += 1
            if chance.randrange(FAULT_EVERY):
                await life.order()
            else:
                await asyncio.gather(life.fault(), life.order())
            if steps % LOOK_EVERY == 0:
                await life.all_arrive()
            # what is sent wrongly is sent at some moment of the recovery, and any may be the one
            await asyncio.sleep(chance.uniform(0, 0.5))
            assert not (wrong := list(life.judge.violations())), _account(wrong, life, seed)
        await life.all_arrive()
        assert not (wrong := list(life.judge.violations())), _account(wrong, life, seed)
        arrived = {source: sum(len(_arrivals(each, source)) for _, each in life.judge.listeners) for source in SOURCES}
        faults = sum("killed" in each for each in life.told)
        print(f"{steps} steps, {faults} faults, arrived: {arrived}")
        assert any(arrived.values()), "nothing was ever sent"
    finally:
        await life.close()
        await screen.stop()


async def test_an_answer_comes_after_the_gate_even_if_nobody_waits_for_the_outcome(
    room_server: RoomServer, make_daemon: MakeDaemon, listener: Listener
) -> None:
    """The engine cannot take a step just then, its frames go on, and the daemon dies right after its answer."""
    room, source = ROOMS[0], SOURCES[0]
    daemon = await make_daemon(room_server, environment=faults_environment())
    await listener.join(room_server.url, room_server.token(room, "listener"))
    await daemon.control.join(room)
    await daemon.control.start_capture(bars(320, 240))
    await listener.frames(NAME, source, count=10)
    engine = KnownProcess(await daemon.engine_pid())
    daemon.hold_gil(engine.pid)
    await daemon.control.mute(room, True, order=ty.OrderOptions(wait_ms=0))
    answered_at = time.monotonic()
    await daemon.kill()
    assert await engine.wait(15_000)
    engine.close()
    assert listener.video(NAME, source).count_since(answered_at + MARGIN_S) == 0
