"""Waiting for facts, with a deadline and a sentence for the case that they do not come."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

POLL_S = 0.02  # for facts that announce themselves to nobody: a port that opens, a process that ends


class NotInTime(AssertionError):
    """What a test waited for did not happen within its deadline."""


class Changes:
    """Wakes those who wait for a fact each time that something may have made it true. Used on one event loop."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def tell(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def until(self, fact: Callable[[], bool], *, timeout_ms: float, what: str | Callable[[], str]) -> None:
        """Return as soon as `fact` holds. NotInTime says `what` did not happen."""
        end = time.monotonic() + timeout_ms / 1000
        while not fact():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                async with asyncio.timeout(max(0.0, end - time.monotonic())):
                    await waiter
            except TimeoutError:
                if not fact():
                    raise NotInTime(_sentence(what, timeout_ms)) from None
            finally:
                self._waiters.discard(waiter)


async def until(
    fact: Callable[[], bool | Awaitable[bool]], *, timeout_ms: float, what: str | Callable[[], str]
) -> None:
    """Ask again and again until `fact` holds; for facts that nothing announces."""
    end = time.monotonic() + timeout_ms / 1000
    while True:
        answer = fact()
        if not isinstance(answer, bool):
            answer = await answer
        if answer:
            return
        if time.monotonic() > end:
            raise NotInTime(_sentence(what, timeout_ms))
        await asyncio.sleep(POLL_S)


async def port_answers(host: str, port: int) -> bool:
    """Whether somebody listens on a TCP port."""
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True
    return False


def _sentence(what: str | Callable[[], str], timeout_ms: float) -> str:
    return f"not within {timeout_ms:.0f} ms: {what if isinstance(what, str) else what()}"
