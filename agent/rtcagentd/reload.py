"""Reads the configuration again while the daemon runs: applies what can change live, says what has to wait.

A file that cannot be used changes nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from pydantic import BaseModel

from rtcagentd import logs
from rtcagentd.access.tokens import TokenFile, TokenFileError
from rtcagentd.config import Config, ConfigError, JournalSettings, load
from rtcagentd.supervise.systemd import Service

log = logging.getLogger(__name__)

LIVE = ("log_level", "journal")  # settings and sections


class Reloader:
    """Carries out one reload at a time. What has to wait is told at each reload until the daemon starts anew."""

    def __init__(
        self,
        path: Path,
        config: Config,
        service: Service,
        asked: asyncio.Event,
        keep_journal: Callable[[JournalSettings], None],
        reapply: Callable[[], Awaitable[object]],
    ) -> None:
        """`asked` is set by whoever wants a reload. `reapply` reads the files of the desired state again."""
        self._path = path
        self._running = config  # what each part works with
        self._service = service
        self._asked = asked
        self._keep_journal = keep_journal
        self._reapply = reapply

    async def run(self) -> None:
        """Reload whenever asked, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._service.reloading()
            try:
                await self._reload()
            except Exception:
                log.exception("reloading the configuration failed")
            finally:
                self._service.reloaded()

    async def _reload(self) -> None:
        try:
            self._apply(await asyncio.to_thread(load, self._path))
        except ConfigError as error:
            log.error("the configuration is not reloaded, the old one holds on: %s", error)
        await self._reapply()

    def _apply(self, new: Config) -> None:
        changed = list(_differences(self._running, new))
        live = [name for name in changed if name.partition(".")[0] in LIVE]
        waiting = [name for name in changed if name not in live]
        logs.set_level(new.log_level)
        self._keep_journal(new.journal)
        self._running = self._running.model_copy(update={"log_level": new.log_level, "journal": new.journal})
        _check_token_files(new)
        log.info("configuration reloaded from %s; changed: %s", self._path, ", ".join(live) or "nothing")
        if waiting:
            log.warning("these settings are changed in the file and hold from the next start: %s", ", ".join(waiting))


def _check_token_files(config: Config) -> None:
    """They are read at each call anyway; whoever reloads wants to know now what is wrong with them."""
    for listener in config.listeners:
        if listener.token_file is not None:
            try:
                TokenFile(listener.token_file)
            except TokenFileError as error:
                log.error("listener %s: %s", listener.address, error)


def _differences(old: BaseModel, new: BaseModel, prefix: str = "") -> Iterator[str]:
    """The settings that differ, as they are named in the file."""
    for name in type(old).model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, BaseModel) and isinstance(after, BaseModel):
            yield from _differences(before, after, f"{prefix}{name}.")
        elif before != after:
            yield f"{prefix}{name}"
