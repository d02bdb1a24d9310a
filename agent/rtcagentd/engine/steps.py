"""One step at a time for each object, and no step left half made by a caller that went away."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class Steps:
    """Runs steps in tasks of their own. A step whose caller goes away is cancelled, and keeps its object until it has
    cleaned up after itself; the next step for that object waits for that.
    """

    def __init__(self) -> None:
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._users: defaultdict[str, int] = defaultdict(int)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, key: str, step: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `step`, which has `key` to itself."""
        task = asyncio.create_task(self._locked(key, step), name=f"step {key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            _cancel(task)
            raise

    async def cancel_all(self, timeout_s: float) -> None:
        """Undo whatever is in flight."""
        tasks = set(self._tasks)
        for task in tasks:
            _cancel(task)
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)

    async def _locked(self, key: str, step: Callable[[], Coroutine[Any, Any, T]]) -> T:
        with self._using(key):
            async with self._locks[key]:
                return await step()

    @contextlib.contextmanager
    def _using(self, key: str) -> Iterator[None]:
        self._users[key] += 1
        try:
            yield
        finally:
            self._users[key] -= 1
            if not self._users[key]:  # so that ids that come and go leave nothing behind
                del self._users[key]
                self._locks.pop(key, None)


def _cancel(task: asyncio.Task[Any]) -> None:
    if not task.cancelling():  # a second time would break its cleaning up
        task.cancel()
