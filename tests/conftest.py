"""Fixtures of all tests: the real parts, and what is shown of them when a test fails."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

if str(Path(__file__).parents[1]) not in sys.path:  # `tests` is imported by its name, from wherever pytest was called
    sys.path.insert(0, str(Path(__file__).parents[1]))

if TYPE_CHECKING:  # imported in the fixtures, so that unit tests need neither browser nor RTC SDK
    from tests.parts.chromium import Chromium
    from tests.parts.daemon import Daemon, MakeDaemon
    from tests.parts.listener import Listener
    from tests.parts.pulse import Pulse
    from tests.parts.room_server import RoomServer

TEST_TIMEOUT_S = 60
LOG_TAIL_LINES = 60
LOG_LINE_CHARACTERS = 400  # the room server writes whole session descriptions

_logs = pytest.StashKey[dict[str, Callable[[], str]]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No test hangs: what takes longer says so with a timeout marker of its own."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT_S))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failed test shows what its daemon and its room server wrote."""
    report = yield
    if report.failed:  # type: ignore[attr-defined]
        for name, read in item.stash.get(_logs, {}).items():
            lines = [line[:LOG_LINE_CHARACTERS] for line in read().splitlines()[-LOG_TAIL_LINES:]]
            report.sections.append((f"log of {name}", "\n".join(lines)))  # type: ignore[attr-defined]
    return report


@pytest.fixture
def shown_logs(request: pytest.FixtureRequest) -> dict[str, Callable[[], str]]:
    """Logs to show if the test fails, by name."""
    return request.node.stash.setdefault(_logs, {})  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def packages() -> list[Path]:
    """Two Debian packages of different versions."""
    from tests.parts.packages import build

    return build()


@pytest_asyncio.fixture
async def room_server(tmp_path: Path, shown_logs: dict[str, Callable[[], str]]) -> AsyncIterator[RoomServer]:
    """A running livekit-server."""
    from tests.parts.room_server import RoomServer

    server = RoomServer(tmp_path)
    shown_logs["livekit-server"] = server.log
    async with server:
        yield server


@pytest_asyncio.fixture
async def make_daemon(tmp_path: Path, shown_logs: dict[str, Callable[[], str]]) -> AsyncIterator[MakeDaemon]:
    """Daemons that the test configures; all of them are ended after it."""
    from tests.parts.daemon import Daemon

    async with contextlib.AsyncExitStack() as daemons:

        async def make(
            room_server: RoomServer | None = None,
            *,
            settings: Mapping[str, Any] | None = None,
            also_listen: Sequence[Mapping[str, Any]] = (),
            environment: Mapping[str, str] | None = None,
        ) -> Daemon:
            folder = tmp_path / f"agent-{len(shown_logs)}"
            folder.mkdir()
            daemon = Daemon(
                folder,
                room_server=room_server,
                settings=settings,
                also_listen=also_listen,
                environment=environment,
            )
            shown_logs[f"rtcagentd ({folder.name})"] = daemon.log
            daemons.push_async_callback(daemon.close)
            await daemon.start()
            return daemon

        yield make


@pytest_asyncio.fixture
async def daemon(make_daemon: MakeDaemon, room_server: RoomServer) -> Daemon:
    """A running rtcagentd that knows `room_server` and its key."""
    return await make_daemon(room_server)


@pytest_asyncio.fixture
async def listener() -> AsyncIterator[Listener]:
    """A second participant; joins with `await listener.join(url, token)`."""
    from tests.parts.listener import Listener

    participant = Listener()
    yield participant
    await participant.close()


@pytest_asyncio.fixture
async def pulse(shown_logs: dict[str, Callable[[], str]]) -> AsyncIterator[Pulse]:
    """A running PulseAudio server without devices."""
    from tests.parts.pulse import Pulse

    server = Pulse()
    shown_logs["pulseaudio"] = server.log
    try:
        await server.start()
        yield server
    finally:
        await server.close()


@pytest_asyncio.fixture
async def pipewire(shown_logs: dict[str, Callable[[], str]]) -> AsyncIterator[Pulse]:
    """A running PipeWire server with pipewire-pulse, without devices."""
    from tests.parts.pipewire import PipeWire

    server = PipeWire()
    shown_logs["pipewire"] = server.log
    try:
        await server.start()
        yield server
    finally:
        await server.close()


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Chromium]:
    """A browser with the page of tests/e2e/page; joins with `await browser.join(url, token)`."""
    from tests.parts.chromium import Chromium

    async with Chromium() as chromium:
        yield chromium
