"""Tells systemd how the daemon is: ready, stopping, its state in words, and that its parts make progress.

Everything here does nothing where no service manager asks for it (NOTIFY_SOCKET, WATCHDOG_USEC).
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping

from systemd import daemon

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0  # without a watchdog: often enough that a long start is not taken for a hang
STATUS_MAX = 400  # characters

# Why a part makes no progress since it was asked before; empty: it does. Must not block, nor raise.
Check = Callable[[], str]


def is_asked() -> bool:
    """Whether a service manager wants to be told."""
    return bool(os.environ.get("NOTIFY_SOCKET"))


def notify(*lines: str) -> None:
    """Tell the service manager, if there is one."""
    if is_asked() and not daemon.notify("\n".join(lines)):
        log.debug("the service manager was not told: %s", lines)


def watchdog_s() -> float | None:
    """Within which time the service manager wants signs of life; None: it does not."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    usec = os.environ.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if usec.isdigit() and int(usec) > 0 else None


class Service:
    """The daemon as the service manager sees it."""

    def __init__(self) -> None:
        self._is_ready = False
        self._status = ""

    def ready(self) -> None:
        """The API serves and the first reconcile has been made, or a reload has ended."""
        self._is_ready = True
        notify("READY=1")

    def status(self, text: str) -> None:
        """What the daemon does, in words."""
        text = text.replace("\n", " ")
        text = text if len(text) <= STATUS_MAX else f"{text[: STATUS_MAX - 1]}…"
        if text != self._status:
            self._status = text
            notify(f"STATUS={text}")

    def reloading(self) -> None:
        notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def reloaded(self) -> None:
        """Ends what reloading() began. A daemon that was not ready before is not so now."""
        if self._is_ready:
            self.ready()

    def stopping(self) -> None:
        notify("STOPPING=1", "STATUS=stopping")

    async def feed(self, checks: Mapping[str, Check]) -> None:
        """Give signs of life while every part makes progress, until cancelled; during the start they ask for time."""
        timeout_s = watchdog_s()
        every_s = timeout_s / 4 if timeout_s else LOOK_EVERY_S
        told = False
        while is_asked():
            stuck = [f"{name}: {why}" for name, check in checks.items() if (why := check())]
            if not stuck:
                told = False
                notify("WATCHDOG=1")
                if not self._is_ready:
                    notify(f"EXTEND_TIMEOUT_USEC={int((every_s * 4 + 20) * 1e6)}")
            elif not told:
                told = True
                log.critical("no progress, the service manager is not fed: %s", "; ".join(stuck))
                self.status(f"no progress: {'; '.join(stuck)}")
            await asyncio.sleep(every_s)
