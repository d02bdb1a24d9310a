"""The engine as a systemd unit of its own, with a user and hardening of its own: started, watched and killed through
systemd.

By `systemctl`, without a shell: it is there wherever the unit is, its interface is stable, and an engine is started or
killed too rarely for the 10 ms to count. What must be noticed at once, the engine's end, is seen through a pidfd.
"""

import asyncio
import contextlib
import logging
import os
import signal

from rtcagentd.config import Config
from rtcagentd.supervise.launcher import engine_arguments, how_it_ended

log = logging.getLogger(__name__)

CALL_S = 30.0  # systemd answers at once, or is not there
GONE_S = 10.0  # from the end of the process to a unit that can be started again
LOOK_EVERY_S = 0.03

_CLD_EXITED = "1"  # the values of ExecMainCode are those of waitid(2)


class UnitLauncher:
    """Starts the engine's unit, which must end when its process does, and never start by itself."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._unit = config.engine.unit
        self.socket_path = config.engine.socket
        self._arguments_path = config.runtime_dir / "engine-arguments"

    async def end_leftover(self) -> None:
        self._write_arguments()
        if (await _show(self._unit, "ActiveState"))["ActiveState"] in ("inactive", "failed"):
            return
        log.warning("ending the engine of an earlier daemon, unit %s", self._unit)
        await _kill(self._unit)
        await _until_inactive(self._unit)

    async def start(self) -> "EngineUnit":
        self._write_arguments()
        await _systemctl("start", self._unit)
        unit = await _show(self._unit, "MainPID", "Result")
        pid = int(unit["MainPID"])
        try:
            if pid == 0:
                raise ProcessLookupError
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            why = f"{self._unit} ended at its start: {unit['Result']} (journalctl -u {self._unit})"
            raise OSError(why) from None
        return EngineUnit(self._unit, pid, handle)

    def _write_arguments(self) -> None:
        """One per line. The unit hands them on as a credential: the engine's user cannot read the daemon's folder."""
        new = self._arguments_path.with_suffix(".new")
        new.write_text("".join(f"{argument}\n" for argument in engine_arguments(self._config)))
        new.replace(self._arguments_path)


class EngineUnit:
    """The unit's process, from its start until the unit has come to its end."""

    def __init__(self, unit: str, pid: int, handle: int) -> None:
        self._unit = unit
        self.pid = pid
        self._handle = handle
        self._status: int | None = None
        self._end = asyncio.create_task(self._watch(), name=f"end of {unit}")

    @property
    def ended(self) -> str:
        return self._end.result() if self._end.done() else ""

    @property
    def status(self) -> int | None:
        return self._status

    async def wait(self) -> str:
        return await asyncio.shield(self._end)

    async def kill(self) -> None:
        await _kill(self._unit)

    def close(self) -> None:
        self._end.cancel()

    async def _watch(self) -> str:
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        loop.add_reader(self._handle, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(self._handle)
            os.close(self._handle)
        try:
            await _until_inactive(self._unit)
            end = await _show(self._unit, "ExecMainCode", "ExecMainStatus", "ExecMainPID")
        except OSError as error:
            return f"the engine process ended, and systemd does not say how: {error}"
        if end["ExecMainPID"] != str(self.pid):
            return "the engine process ended, and another took its place"
        number = int(end["ExecMainStatus"])
        self._status = number if end["ExecMainCode"] == _CLD_EXITED else -number
        return how_it_ended(self._status)


async def _kill(unit: str) -> None:
    try:
        await _systemctl("kill", f"--signal={signal.SIGKILL.name}", unit)
    except OSError as error:
        # mostly: it ended meanwhile; else the engine closes by itself, because its daemon is silent
        log.info("%s was not killed: %s", unit, error)


async def _until_inactive(unit: str) -> None:
    """OSError when the unit does not come to its end in time."""
    for _ in range(int(GONE_S / LOOK_EVERY_S)):
        if (await _show(unit, "ActiveState"))["ActiveState"] in ("inactive", "failed"):
            return
        await asyncio.sleep(LOOK_EVERY_S)
    raise OSError(f"{unit} did not come to its end within {GONE_S:.0f} s")


async def _show(unit: str, *names: str) -> dict[str, str]:
    answer = await _systemctl("show", f"--property={','.join(names)}", unit)
    return dict(line.partition("=")[::2] for line in answer.splitlines())


async def _systemctl(verb: str, *arguments: str) -> str:
    """What `systemctl` answers. OSError with its own words when it fails, or does not answer."""
    process = await asyncio.create_subprocess_exec(
        *("systemctl", "--system", "--no-ask-password", "--no-pager", verb, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(CALL_S):
            answer, errors = await process.communicate()
    except TimeoutError:
        raise OSError(f"systemctl {verb} did not answer within {CALL_S:.0f} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode != 0:
        raise OSError(errors.decode(errors="replace").strip() or f"systemctl {verb} ended with {process.returncode}")
    return answer.decode(errors="replace")
