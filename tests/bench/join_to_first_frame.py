"""From an order to the first frame that a second participant has decoded: this project and the bare SDK in turns."""

import asyncio
import time
from pathlib import Path

from rtcagent.v1 import types_pb2 as ty

from tests.bench.publishers import HEIGHT, STREAM, WIDTH, BareProcess
from tests.bench.report import Measurement, median
from tests.parts.controller import bars, kind_and_reason
from tests.parts.daemon import Daemon
from tests.parts.listener import Listener
from tests.parts.room_server import RoomServer

ROUNDS = 9
WARM_UP = 1  # the first join of a process also loads libraries and makes certificates
AIM = 1.2


class _Race:
    """One server, one agent and one bare process, all running before any time is taken."""

    def __init__(self, server: RoomServer, daemon: Daemon, bare: BareProcess) -> None:
        self._server, self._control, self._bare = server, daemon.control, bare

    async def agent_join(self, room_id: str) -> float:
        """JoinRoom with the source captured already and auto_publish on."""
        await self._control.start_capture(bars(WIDTH, HEIGHT))
        async with _listening(self._server, room_id) as listener:
            begin = time.monotonic()
            joining = asyncio.ensure_future(self._control.join(room_id, user_id="agent"))
            await listener.frames("agent", STREAM)
            taken = listener.video("agent", STREAM).arrivals[0] - begin
            assert kind_and_reason_of_room(await joining) == "REACHED"
        await self._control.leave(room_id)
        return taken

    async def agent_capture(self, room_id: str) -> float:
        """StartVideoCapture in a room with auto_publish."""
        await self._control.stop_capture()
        async with _listening(self._server, room_id) as listener:
            await self._control.join(room_id, user_id="agent")
            begin = time.monotonic()
            starting = asyncio.ensure_future(self._control.start_capture(bars(WIDTH, HEIGHT)))
            await listener.frames("agent", STREAM)
            taken = listener.video("agent", STREAM).arrivals[0] - begin
            await starting
        await self._control.leave(room_id)
        return taken

    async def bare_join(self, room_id: str) -> float:
        """Connect and publish what is captured already."""
        await self._bare.obey(self._bars())
        async with _listening(self._server, room_id) as listener:
            begin = time.monotonic()
            joining = asyncio.ensure_future(self._bare.obey(self._join(room_id), {"do": "publish"}))
            await listener.frames("bare", STREAM)
            taken = listener.video("bare", STREAM).arrivals[0] - begin
            await joining
        await self._bare.obey({"do": "close"})
        return taken

    async def bare_capture(self, room_id: str) -> float:
        """Begin to make frames and publish them in a room."""
        async with _listening(self._server, room_id) as listener:
            await self._bare.obey(self._join(room_id))
            begin = time.monotonic()
            starting = asyncio.ensure_future(self._bare.obey(self._bars(), {"do": "publish"}))
            await listener.frames("bare", STREAM)
            taken = listener.video("bare", STREAM).arrivals[0] - begin
            await starting
        await self._bare.obey({"do": "close"})
        return taken

    def _bars(self) -> dict[str, object]:
        return {"do": "capture_bars", "width": WIDTH, "height": HEIGHT}

    def _join(self, room_id: str) -> dict[str, object]:
        return {"do": "join", "url": self._server.url, "token": self._server.token(room_id, "bare")}


class _listening:
    """A listener that is in the room before anything begins, and leaves at the end."""

    def __init__(self, server: RoomServer, room_id: str) -> None:
        self._server, self._room_id, self._listener = server, room_id, Listener()

    async def __aenter__(self) -> Listener:
        await self._listener.join(self._server.url, self._server.token(self._room_id, "listener"))
        return self._listener

    async def __aexit__(self, *_: object) -> None:
        await self._listener.close()


def kind_and_reason_of_room(result: ty.OrderResult) -> str:
    """The outcome for the room; an order may touch streams too."""
    rooms = [each for each in result.outcomes if each.object.WhichOneof("object") == "room_id"]
    return kind_and_reason(ty.OrderResult(outcomes=rooms))[0]


async def measure(folder: Path) -> Measurement:
    times: dict[str, list[float]] = {}
    async with RoomServer(folder) as server, BareProcess() as bare:
        daemon = Daemon(folder, room_server=server, settings={"log_level": "info"})
        try:
            await daemon.start()
            race = _Race(server, daemon, bare)
            for turn in range(WARM_UP + ROUNDS):
                for run in (race.agent_join, race.bare_join, race.agent_capture, race.bare_capture):
                    taken = await run(f"{run.__name__}-{turn}")
                    if turn >= WARM_UP:
                        times.setdefault(run.__name__, []).append(taken)
        finally:
            await daemon.close()
    result = Measurement("From the order to the first frame decoded at a second participant", raw={"seconds": times})
    for case, label in {"join": "JoinRoom, source captured", "capture": "StartVideoCapture, joined"}.items():
        ours, bares = median(times[f"agent_{case}"]), median(times[f"bare_{case}"])
        result.add(
            f"{label}: rtcagent; bare SDK; ratio",
            f"{ours * 1000:.0f} ms; {bares * 1000:.0f} ms; {ours / bares:.2f}",
            f"at most {AIM}",
            ours / bares <= AIM,
        )
    return result
