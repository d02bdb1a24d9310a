"""Makes Ctrl-C end a command wherever it strikes.

A KeyboardInterrupt that is raised in a callback of gRPC, or while an object is disposed of, is printed and forgotten
there. So it is raised again, a moment later, until the command has ended.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

AGAIN_S = 0.5


@contextlib.contextmanager
def repeated() -> Iterator[None]:
    """Within the block an interrupt is raised again and again. In other threads than the main one: as everywhere."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM)}
    told = sys.unraisablehook
    signal.signal(signal.SIGALRM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    sys.unraisablehook = lambda lost: None if isinstance(lost.exc_value, KeyboardInterrupt) else told(lost)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = told


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.setitimer(signal.ITIMER_REAL, AGAIN_S, AGAIN_S)
    raise KeyboardInterrupt
