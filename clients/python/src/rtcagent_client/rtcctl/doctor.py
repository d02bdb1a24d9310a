"""Runs rtcagentd-doctor, which comes with the daemon: this package knows nothing of a machine."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAM = "rtcagentd-doctor"


class DoctorMissing(Exception):
    """The daemon's package is not installed here."""


def command() -> list[str]:
    """How to run it: beside this interpreter, in this environment, or wherever it is installed."""
    beside = Path(sys.executable).with_name(PROGRAM)
    if beside.exists():
        return [str(beside)]
    if importlib.util.find_spec("rtcagentd") is not None:
        return [sys.executable, "-m", "rtcagentd.doctor"]
    if found := shutil.which(PROGRAM):
        return [found]
    raise DoctorMissing(f"there is no {PROGRAM} here: the doctor comes with rtcagentd, on the agent's own machine")


def run(arguments: list[str]) -> int:
    """Run it in this terminal. Returns its exit code."""
    return subprocess.run([*command(), *arguments], check=False).returncode


def examine(arguments: list[str], timeout_s: float) -> "subprocess.CompletedProcess[str]":
    """Run it and keep what it says."""
    return subprocess.run([*command(), *arguments], capture_output=True, text=True, timeout=timeout_s, check=False)
