"""Put on PYTHONPATH by tests: gives daemon and engine the faults that the environment asks for, from outside them.

RTCAGENT_TEST_HOLD_GIL_MS  SIGUSR2 makes one C call of the engine hold its interpreter for so long. `time.sleep` lets go
                           of the GIL; usleep called through ctypes.PyDLL keeps it, as a slow C extension would.
RTCAGENT_TEST_GROW_MB      SIGUSR1 makes the engine take so much more memory, and keep it.
RTCAGENT_TEST_POISON       The engine aborts when it opens a test pattern of this kind (a number of TestPattern.Kind).
RTCAGENT_TEST_BOOT_ID      The daemon reads the machine's boot id from this file: another text in it is another boot.
RTCAGENT_TEST_CRASH        A file that says where daemon or engine are to be killed: see crash_points.py.
"""

import ctypes
import functools
import importlib
import importlib.abc
import importlib.util
import os
import pathlib
import signal
import sys
from collections.abc import Callable
from typing import Any

AfterImport = Callable[[str, Callable[[Any], None]], None]


class _Finder(importlib.abc.MetaPathFinder):
    """Changes modules just after they were imported."""

    def __init__(self) -> None:
        self._changes: dict[str, list[Callable[[Any], None]]] = {}

    def add(self, name: str, change: Callable[[Any], None]) -> None:
        self._changes.setdefault(name, []).append(change)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        changes = self._changes.pop(name, None)
        if changes is None:
            return None
        spec = importlib.util.find_spec(name)
        assert spec is not None, f"there is no module {name} to change"
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            for change in changes:
                change(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _hold_interpreter(milliseconds: str) -> None:
    process = ctypes.PyDLL(None)
    held_us = int(milliseconds) * 1000
    signal.signal(signal.SIGUSR2, lambda *_: process.usleep(held_us))


def _grow(megabytes: str) -> None:
    kept: list[bytes] = []
    signal.signal(signal.SIGUSR1, lambda *_: kept.append(b"x" * (int(megabytes) << 20)))


def _poison(kind: str, after_import: AfterImport) -> None:
    def change(sources: Any) -> None:
        whole = sources.Sources.open

        @functools.wraps(whole)
        async def open_or_die(self: Any, source_id: str, config: Any) -> Any:
            pattern = config.input.test_pattern
            if config.input.WhichOneof("input") == "test_pattern" and pattern.kind == int(kind):
                os.abort()
            return await whole(self, source_id, config)

        sources.Sources.open = open_or_die

    after_import("rtcagentd.engine.sources", change)


def _boot_id(path: str, after_import: AfterImport) -> None:
    def change(keeping: Any) -> None:
        keeping.boot_id = lambda: pathlib.Path(path).read_text()

    after_import("rtcagentd.control.keeping", change)


def _install() -> None:
    arguments = " ".join(sys.orig_argv)
    is_engine = "rtcagent-engine" in arguments or "rtcagentd.engine" in arguments
    is_daemon = not is_engine and "rtcagentd" in arguments
    finder = _Finder()
    asked = os.environ.get
    if is_engine and (milliseconds := asked("RTCAGENT_TEST_HOLD_GIL_MS")):
        _hold_interpreter(milliseconds)
    if is_engine and (megabytes := asked("RTCAGENT_TEST_GROW_MB")):
        _grow(megabytes)
    if is_engine and (kind := asked("RTCAGENT_TEST_POISON")):
        _poison(kind, finder.add)
    if is_daemon and (path := asked("RTCAGENT_TEST_BOOT_ID")):
        _boot_id(path, finder.add)
    if (is_engine or is_daemon) and (path := asked("RTCAGENT_TEST_CRASH")):
        importlib.import_module("crash_points").install(path, finder.add, is_engine=is_engine)
    if is_engine or is_daemon:
        sys.meta_path.insert(0, finder)


if any(name.startswith("RTCAGENT_TEST_") for name in os.environ):
    _install()
