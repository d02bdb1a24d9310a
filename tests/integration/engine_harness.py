"""A real engine process, driven over its socket as the daemon does it, and everything that it tells."""

import asyncio
import contextlib
import itertools
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import pytest_asyncio
from rtcagent.engine.v1 import engine_pb2 as contract
from rtcagent.engine.v1 import engine_pb2_grpc as contract_grpc
from rtcagent.v1 import state_pb2 as state
from rtcagent.v1 import types_pb2 as types

from tests.parts.room_server import RoomServer
from tests.parts.waiting import Changes, until

BUILD_VERSION = "test-build"
START_MS = 20_000
EVENT_MS = 10_000
HEARTBEAT_S = 1.0

_names = itertools.count(1)


class StepFailed(Exception):
    """The engine answered with a Failure."""

    def __init__(self, failure: contract.Failure) -> None:
        super().__init__(f"{types.Reason.Name(failure.cause.reason)}: {failure.cause.message}")
        self.reason = failure.cause.reason
        self.message = failure.cause.message
        self.permanent = failure.permanent


class EngineUnderTest:
    """One engine process. Its calls carry the generation that attached last; a Failure raises StepFailed."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.socket = folder / f"engine-{next(_names)}.sock"
        self.log_path = self.socket.with_suffix(".log")
        self.generation = 0
        self.events: list[contract.EngineEvent] = []
        self._arguments = arguments
        self._changes = Changes()
        self._tasks: list[asyncio.Task[None]] = []
        self._process: asyncio.subprocess.Process | None = None

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    async def start(self) -> None:
        """Run it; returns when it takes calls."""
        with open(self.log_path, "ab") as log:  # noqa: ASYNC230 -- the process has its own handle of it
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "rtcagentd.engine.main"),
                *("--socket", str(self.socket), "--kind", "livekit", "--build-version", BUILD_VERSION),
                *("--log-level", "info", *self._arguments),
                stdout=log,
                stderr=log,
                stdin=asyncio.subprocess.DEVNULL,
            )
        await until(self._is_serving, timeout_ms=START_MS, what=lambda: f"the engine serves:\n{self.log()}")
        self.channel = grpc.aio.insecure_channel(f"unix:{self.socket}")
        async with asyncio.timeout(START_MS / 1000):
            await self.channel.channel_ready()
        self.stub: Any = contract_grpc.EngineStub(self.channel)

    def _is_serving(self) -> bool:
        if self.process.returncode is not None:
            raise RuntimeError(f"the engine ended with {self.process.returncode}:\n{self.log()}")
        return self.socket.exists()  # gRPC would try again only a second after it found no socket

    async def attach(self, *, heartbeat: bool = True, watch: bool = True) -> contract.AttachResponse:
        """Be the engine's next daemon."""
        self.generation += 1
        response = await self.stub.Attach(
            contract.AttachRequest(build_version=BUILD_VERSION, generation=self.generation), timeout=10
        )
        if watch:
            self._tasks.append(asyncio.create_task(self._watch(self.generation)))
        if heartbeat:
            self._tasks.append(asyncio.create_task(self._beat(self.generation)))
        return response  # type: ignore[no-any-return]

    async def set_gate(self, *capture: str, send: list[tuple[str, str]] | None = None) -> float:
        """Allow just this; the seconds that the engine took."""
        begin = time.monotonic()
        sends = [contract.SetGateRequest.Send(room_id=room_id, source_id=source) for room_id, source in send or []]
        request = contract.SetGateRequest(generation=self.generation, capture=capture, send=sends)
        await self.stub.SetGate(request, timeout=5)
        return time.monotonic() - begin

    async def open_pattern(
        self, source_id: str, *, size: tuple[int, int] = (320, 240), fps: float = 15, **config: Any
    ) -> state.CaptureStatus:
        """Capture the colour bars."""
        pattern = types.VideoInput.TestPattern(kind=types.VideoInput.TestPattern.KIND_BARS_AND_CLOCK)
        output = types.VideoFormat(width=size[0], height=size[1], max_fps=fps)
        return await self.open_source(
            source_id, types.CaptureConfig(input=types.VideoInput(test_pattern=pattern), output=output, **config)
        )

    async def open_source(self, source_id: str, config: types.CaptureConfig) -> state.CaptureStatus:
        request = contract.OpenSourceRequest(generation=self.generation, source_id=source_id, config=config)
        response = await self.stub.OpenSource(request, timeout=15)
        _check(response)
        return response.capture  # type: ignore[no-any-return]

    async def close_source(self, source_id: str) -> None:
        await self.stub.CloseSource(
            contract.CloseSourceRequest(generation=self.generation, source_id=source_id), timeout=10
        )

    def join_request(self, room_server: RoomServer, room_id: str, user_id: str, **fields: Any) -> contract.JoinRequest:
        config = types.RoomConfig(
            room_id=room_id,
            user_id=user_id,
            auto_publish=True,
            auto_subscribe_audio=fields.pop("auto_subscribe_audio", True),
            auto_subscribe_video=fields.pop("auto_subscribe_video", True),
            server_url=fields.pop("server_url", room_server.url),
            token=fields.pop("token", None) or room_server.token(room_id, user_id),
            **fields,
        )
        return contract.JoinRequest(generation=self.generation, config=config)

    async def join(
        self, room_server: RoomServer, room_id: str, user_id: str = "agent", **fields: Any
    ) -> state.RoomStatus:
        response = await self.stub.Join(self.join_request(room_server, room_id, user_id, **fields), timeout=30)
        _check(response)
        return response.room  # type: ignore[no-any-return]

    async def leave(self, room_id: str) -> None:
        await self.stub.Leave(contract.LeaveRequest(generation=self.generation, room_id=room_id), timeout=10)

    async def publish(self, room_id: str, source_id: str, **fields: Any) -> state.PublicationStatus:
        fields.setdefault("kind", types.STREAM_KIND_CAMERA)
        fields.setdefault("name", source_id)
        fields.setdefault("format", types.VideoFormat(width=320, height=240, max_fps=15))
        request = contract.PublishRequest(generation=self.generation, room_id=room_id, source_id=source_id, **fields)
        response = await self.stub.Publish(request, timeout=15)
        _check(response)
        return response.publication  # type: ignore[no-any-return]

    async def unpublish(self, room_id: str, source_id: str) -> None:
        request = contract.UnpublishRequest(generation=self.generation, room_id=room_id, source_id=source_id)
        await self.stub.Unpublish(request, timeout=10)

    async def mute(self, room_id: str, source_id: str, muted: bool) -> None:
        request = contract.SetMutedRequest(
            generation=self.generation, room_id=room_id, source_id=source_id, muted=muted
        )
        _check(await self.stub.SetMuted(request, timeout=10))

    async def subscribe(
        self, room_id: str, user_id: str, kind: types.StreamKind.ValueType, name: str, subscribed: bool
    ) -> None:
        request = contract.SetSubscribedRequest(
            generation=self.generation, room_id=room_id, user_id=user_id, kind=kind, name=name, subscribed=subscribed
        )
        _check(await self.stub.SetSubscribed(request, timeout=10))

    async def snapshot(self, **of: Any) -> contract.TakeSnapshotResponse:
        request = contract.TakeSnapshotRequest(generation=self.generation, **of)
        return await self.stub.TakeSnapshot(request, timeout=10)  # type: ignore[no-any-return]

    async def stats(self) -> Any:
        response = await self.stub.GetMediaStats(contract.GetMediaStatsRequest(generation=self.generation), timeout=5)
        return response.stats

    async def event(
        self, kind: str, fits: Callable[[Any], bool] = lambda _: True, *, timeout_ms: float = EVENT_MS
    ) -> Any:
        """The first event of this kind that fits, told already or to come."""

        def found() -> Any:
            payloads = (getattr(event, kind) for event in self.events if event.WhichOneof("event") == kind)
            return next((payload for payload in payloads if fits(payload)), None)

        await self._changes.until(
            lambda: found() is not None,
            timeout_ms=timeout_ms,
            what=lambda: f"a fitting {kind}; there were {[event.WhichOneof('event') for event in self.events]}",
        )
        return found()

    async def exit_code(self, timeout_ms: float) -> int:
        """Waits until the process has ended."""
        async with asyncio.timeout(timeout_ms / 1000):
            return await self.process.wait()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._process is not None:
            await self.channel.close()
            if self._process.returncode is None:
                self._process.terminate()
                try:
                    await self.exit_code(5000)
                finally:
                    if self._process.returncode is None:
                        self._process.kill()
                        await self._process.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _watch(self, generation: int) -> None:
        with contextlib.suppress(grpc.aio.AioRpcError):  # the engine ended, or another generation attached
            async for event in self.stub.WatchEvents(contract.WatchEventsRequest(generation=generation)):
                self.events.append(event)
                self._changes.tell()

    async def _beat(self, generation: int) -> None:
        with contextlib.suppress(grpc.aio.AioRpcError):
            while True:
                await self.stub.Heartbeat(contract.HeartbeatRequest(generation=generation), timeout=5)
                await asyncio.sleep(HEARTBEAT_S)


@pytest_asyncio.fixture
async def engine(tmp_path: Path, shown_logs: dict[str, Callable[[], str]]) -> AsyncIterator[EngineUnderTest]:
    """An engine that the test is attached to."""
    the_engine = EngineUnderTest(tmp_path, "--media-folder", str(tmp_path))
    shown_logs["rtcagent-engine"] = the_engine.log
    async with the_engine:
        await the_engine.attach()
        yield the_engine


def _check(response: Any) -> None:
    if response.HasField("failure"):
        raise StepFailed(response.failure)
