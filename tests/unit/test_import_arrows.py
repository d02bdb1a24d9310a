"""Arrows between packages point one way, and the daemon never loads what the engine process is there for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import rtcagentd

PACKAGE = Path(rtcagentd.__path__[-1])
# What each package may import of the others. The engine process stands alone.
ALLOWED = {
    "store": set[str](),
    "journal": {"store"},
    "supervise": {"config"},
    "control": {"journal", "store", "supervise"},
    "access": {"config", "control"},
    "api": {"access", "config", "control", "journal", "store"},
    "metrics": {"config", "control", "journal", "supervise"},
    "doctor": {"config", "control", "supervise"},
    "engine": set[str](),
}


def imports_of(file: Path) -> set[str]:
    """The parts of rtcagentd that a module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("rtcagentd."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "rtcagentd":
            names |= {alias.name for alias in node.names if not alias.name.startswith("__")}
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("rtcagentd.")}
    return names


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_arrows_point_one_way(part: str) -> None:
    for file in (PACKAGE / part).rglob("*.py"):
        assert imports_of(file) - {part} <= ALLOWED[part], file


def test_the_daemon_never_loads_the_engines_libraries() -> None:
    code = (
        "import sys, rtcagentd.main; print([m for m in sys.modules if m.split('.')[0] == 'livekit' or '_native' in m])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_the_engine_never_loads_the_daemons_parts() -> None:
    code = (
        "import sys, rtcagentd.engine.main;"
        "print([m for m in sys.modules if m.startswith('rtcagentd.') and m.split('.')[1] != 'engine'])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
