"""How the agent is run in the test machine, and how patient its tests are."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

from rtcagent.v1 import types_pb2 as ty

T = TypeVar("T")

AGENT = "agent"
SLOW_MS = 180_000  # the processor is emulated
PATIENT = ty.OrderOptions(wait_ms=20_000)
RUNTIME_DIR = "/run/rtcagent"
CONFIGURATION = f"""
name = "{AGENT}"
state_dir = "/var/lib/rtcagent"
runtime_dir = "{RUNTIME_DIR}"
log_level = "debug"
[engine]
start_timeout_ms = 90000
heartbeat_timeout_ms = 30000
[retry]
first_ms = 200
max_ms = 1000
"""


@contextlib.asynccontextmanager
async def in_thread(manager: contextlib.AbstractContextManager[T]) -> AsyncIterator[T]:
    """`manager`, entered and left without holding up the event loop."""
    value = await asyncio.to_thread(manager.__enter__)
    try:
        yield value
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)
