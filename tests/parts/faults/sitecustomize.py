"""Put on PYTHONPATH by tests: makes SIGUSR2 hold the interpreter of the engine process by one C call.

`time.sleep` lets go of the GIL; usleep called through ctypes.PyDLL keeps it, as a slow C extension would.
"""

import os
import sys


def _install() -> None:
    import ctypes
    import signal

    held_us = int(os.environ["RTCAGENT_TEST_HOLD_GIL_MS"]) * 1000
    process = ctypes.PyDLL(None)

    def hold(*_: object) -> None:
        process.usleep(held_us)

    signal.signal(signal.SIGUSR2, hold)


if "RTCAGENT_TEST_HOLD_GIL_MS" in os.environ and any(
    "rtcagent-engine" in argument or "rtcagentd.engine" in argument for argument in sys.orig_argv
):
    _install()
