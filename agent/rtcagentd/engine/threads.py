"""Threads for native calls that wait (opening and closing devices, encoding pictures)."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# Enough that a few devices which hang on opening delay nobody else. A full pool makes calls wait.
_pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="native")


def in_thread(call: Callable[[], T]) -> "asyncio.Future[T]":
    """Run `call` beside the loop. Cancelling the future does not stop the call."""
    return asyncio.get_running_loop().run_in_executor(_pool, call)
