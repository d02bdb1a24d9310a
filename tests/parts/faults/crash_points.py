"""Kills daemon, engine or both when one of them reaches a named place. Installed by sitecustomize.py, in both.

A test writes "PLACE WHO DELAY_MS" into a file; whoever reaches the place first removes the file and kills WHO (daemon,
engine or both) with SIGKILL, at once or so much later. Places are "NAME.before" and "NAME.after" of the calls below, of
the commit among them.
"""

import contextlib
import functools
import inspect
import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

DAEMON = {
    "apply": ("rtcagentd.control.state", "State._apply"),  # committed; not yet seen by anybody
    "journal": ("rtcagentd.journal.journal", "Journal.publish"),
    "watch": ("rtcagentd.journal.journal", "Journal.read"),  # published; after it the watcher is told
    "ledger": ("rtcagentd.control.ledger", "Ledger.take"),
    "reply": ("rtcagentd.api.ordering", "OrderDesk.take"),
    **{
        f"daemon.{step}": ("rtcagentd.supervise.engine_session", f"EngineSession.{step}")
        for step in (
            *("open_source", "close_source", "join", "leave"),
            *("publish", "unpublish", "set_muted", "set_gate"),
            *("set_remote_volume", "set_canvas", "remove_canvas"),
        )
    },
}
ENGINE = {
    "engine.open_source": ("rtcagentd.engine.sources", "Sources.open"),
    "engine.close_source": ("rtcagentd.engine.sources", "Sources.close"),
    "engine.set_canvas": ("rtcagentd.engine.canvases", "Canvases.set"),
    "engine.remove_canvas": ("rtcagentd.engine.canvases", "Canvases.remove"),
    **{
        f"engine.{step}": ("rtcagentd.engine.livekit.engine", f"LiveKitEngine.{step}")
        for step in ("join", "leave", "publish", "unpublish", "set_muted")
    },
}
COMMIT = "commit"

PLACES = [f"{name}.{side}" for name in (COMMIT, *DAEMON, *ENGINE) for side in ("before", "after")]


class _Killer:
    def __init__(self, path: str, is_engine: bool) -> None:
        self._path = Path(path)
        self._is_engine = is_engine

    def reached(self, place: str) -> None:
        try:
            asked, who, delay_ms = self._path.read_text().split()
        except (OSError, ValueError):
            return
        if asked != place:
            return
        try:
            self._path.unlink()
        except FileNotFoundError:
            return  # somebody else was first
        if int(delay_ms):
            threading.Timer(int(delay_ms) / 1000, self._kill, [who]).start()
        else:
            self._kill(who)

    def _kill(self, who: str) -> None:
        others, me = ("daemon", "engine") if self._is_engine else ("engine", "daemon")
        if who in (others, "both"):
            for pid in [os.getppid()] if self._is_engine else _engines():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if who in (me, "both"):
            os.kill(os.getpid(), signal.SIGKILL)


def _engines() -> list[int]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if b"rtcagentd.engine" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def install(path: str, after_import: Callable[[str, Callable[[Any], None]], None], *, is_engine: bool) -> None:
    """Change the modules of this process so that they tell of the places."""
    killer = _Killer(path, is_engine)
    for name, (module, call) in (ENGINE if is_engine else DAEMON).items():
        after_import(module, functools.partial(_change, killer, name, call))
    if not is_engine:
        _watch_commits(killer)


def _change(killer: _Killer, name: str, call: str, module: Any) -> None:
    owner = functools.reduce(getattr, call.split(".")[:-1], module)
    whole = getattr(owner, call.rpartition(".")[2])

    @functools.wraps(whole)
    async def told_later(*args: Any, **kwargs: Any) -> Any:
        killer.reached(f"{name}.before")
        result = await whole(*args, **kwargs)
        killer.reached(f"{name}.after")
        return result

    @functools.wraps(whole)
    def told(*args: Any, **kwargs: Any) -> Any:
        killer.reached(f"{name}.before")
        result = whole(*args, **kwargs)
        killer.reached(f"{name}.after")
        return result

    setattr(owner, whole.__name__, told_later if inspect.iscoroutinefunction(whole) else told)


def _watch_commits(killer: _Killer) -> None:
    """Every connection that is made tells of its commits."""

    class Connection(sqlite3.Connection):
        def execute(self, statement: str, *args: Any) -> sqlite3.Cursor:
            if statement != "COMMIT":
                return super().execute(statement, *args)
            killer.reached(f"{COMMIT}.before")
            cursor = super().execute(statement, *args)
            killer.reached(f"{COMMIT}.after")
            return cursor

    sqlite3.connect = functools.partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]
