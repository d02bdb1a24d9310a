"""The daemon as a child of `make run`: started, watched, and ended with everything that it started."""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from rtcagentd.supervise import die_with_parent

STOP_TIMEOUT_S = 4.0
_PR_SET_CHILD_SUBREAPER = 36
_LINES_SHOWN = 12


class Daemon:
    """One rtcagentd. Its output goes to a file."""

    def __init__(self, config_path: Path, log_path: Path) -> None:
        self._config_path = config_path
        self._log_path = log_path
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Run it. Not in the terminal's session: a Ctrl-C reaches it through us alone, in good order."""
        # what the daemon leaves behind, should it be killed, becomes our child, so that stop() finds it
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        program = Path(sys.executable).with_name("rtcagentd")
        with open(self._log_path, "wb") as log:  # noqa: ASYNC230 -- a local file, before anything else runs
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid())),
                *(str(program), "--config", str(self._config_path)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def wait(self) -> int:
        """Its exit status, once it has ended."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """End it and all of its children within 5 s, by force where needed."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await _end_orphans()

    def last_words(self) -> str:
        """The end of its output."""
        lines = self._log_path.read_text(errors="replace").splitlines()[-_LINES_SHOWN:]
        return "\n".join(f"    {line}" for line in lines)


async def _end_orphans() -> None:
    """Kill and reap every child that is left: descendants of the daemon that outlived it."""
    deadline = time.monotonic() + 0.8
    while _kill_children() and time.monotonic() < deadline:  # noqa: ASYNC110 -- their end announces itself to nobody
        await asyncio.sleep(0.02)


def _kill_children() -> bool:
    """Whether there were any."""
    children = Path("/proc/self/task", str(os.getpid()), "children").read_text().split()
    for child in map(int, children):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, os.WNOHANG)
    return bool(children)
