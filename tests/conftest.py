"""Fixtures of all tests: the real parts, and what is shown of them when a test fails."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

if str(Path(__file__).parents[1]) not in sys.path:  # `tests` is imported by its name, from wherever pytest was called
    sys.path.insert(0, str(Path(__file__).parents[1]))

if TYPE_CHECKING:  # imported in the fixtures, so that unit tests need neither browser nor RTC SDK
    from tests.parts.chromium import Chromium
    from tests.parts.listener import Listener
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


@pytest_asyncio.fixture
async def room_server(tmp_path: Path, shown_logs: dict[str, Callable[[], str]]) -> AsyncIterator[RoomServer]:
    """A running livekit-server."""
    from tests.parts.room_server import RoomServer

    server = RoomServer(tmp_path)
    shown_logs["livekit-server"] = server.log
    async with server:
        yield server


@pytest_asyncio.fixture
async def listener() -> AsyncIterator[Listener]:
    """A second participant; joins with `await listener.join(url, token)`."""
    from tests.parts.listener import Listener

    participant = Listener()
    yield participant
    await participant.close()


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Chromium]:
    """A browser with the page of tests/e2e/page; joins with `await browser.join(url, token)`."""
    from tests.parts.chromium import Chromium

    async with Chromium() as chromium:
        yield chromium
