"""The daemon's work as a whole: it ends, and says so, when a part that should run on does not."""

import asyncio

import pytest
from rtcagentd.main import WorkFailed, _stop_asked_for


async def test_a_part_that_fails_ends_the_daemon() -> None:
    async def broken_part() -> None:
        raise KeyError("defect")

    async def part_with_nothing_to_do() -> None:
        return

    async def sound_part() -> None:
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(part()) for part in (sound_part, part_with_nothing_to_do, broken_part)]
    with pytest.raises(WorkFailed, match="what was ordered is stored") as failure:
        await _stop_asked_for(asyncio.Event(), tasks)
    assert isinstance(failure.value.__cause__, KeyError)
    tasks[0].cancel()


async def test_a_stop_that_is_asked_for_is_none() -> None:
    stopping = asyncio.Event()
    stopping.set()
    await _stop_asked_for(stopping, [])
