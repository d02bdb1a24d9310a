"""The engine as a process: what it uses, whether its daemon lives, and how it ends when nothing else helps."""

import asyncio
import ctypes
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

log = logging.getLogger(__name__)

HEARTBEAT_TIMEOUT_S = 5.0
# A daemon that never comes: it died while starting this process, or the machine is very slow.
ATTACH_TIMEOUT_S = 30.0

_LOOK_EVERY_S = 0.2

_M_ARENA_MAX = -8  # of malloc.h
_ARENAS = 2
_RESOLVER_OPTIONS = "timeout:1 attempts:3"

EXIT_BROKEN = 70  # a part did not close or lost its place; the daemon starts a new engine
EXIT_STUCK = 71  # ordered to end, and did not in time
EXIT_ORPHANED = 72  # closed in good order, because the daemon was silent


def bound_library_costs() -> None:
    """Before any thread is started: bounds what libwebrtc's many threads hold on to.

    Each join starts about 12 threads that look up STUN servers by name, and without an answer from a name server each
    waits for 10 s by default: 2000 threads were seen when rooms changed quickly. And what short-lived threads have
    allocated stays taken in an arena of each, of which there are 8 per core by default.
    """
    os.environ.setdefault("RES_OPTIONS", _RESOLVER_OPTIONS)
    if "MALLOC_ARENA_MAX" not in os.environ:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def rss_bytes() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def thread_count() -> int:
    return len(os.listdir("/proc/self/task"))


def die(message: str) -> NoReturn:
    """End at once. What cannot be closed any other way is closed by the kernel."""
    log.critical("the engine ends itself: %s", message)
    sys.stderr.flush()
    os._exit(EXIT_BROKEN)


def end_within(seconds: float) -> None:
    """End this process after so long, whatever its threads wait for then."""

    def end() -> None:
        sys.stderr.write(f"the engine did not close within {seconds:g} s and is ended\n")
        sys.stderr.flush()
        os._exit(EXIT_STUCK)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


class OrphanWatch:
    """Notices that no Heartbeat comes any more."""

    def __init__(self) -> None:
        self._timeout_s = ATTACH_TIMEOUT_S
        self._seen_at = time.monotonic()

    def beat(self) -> None:
        """The daemon has attached or given a sign of life."""
        self._timeout_s = HEARTBEAT_TIMEOUT_S
        self._seen_at = time.monotonic()

    async def wait(self) -> None:
        """Until the daemon has been silent for too long."""
        while time.monotonic() - self._seen_at <= self._timeout_s:
            await asyncio.sleep(_LOOK_EVERY_S)
            # Where the loop itself was held up, Heartbeats have come and only wait to be read.
            await asyncio.sleep(_LOOK_EVERY_S)
        log.error("no Heartbeat for %g s: closing everything", self._timeout_s)
