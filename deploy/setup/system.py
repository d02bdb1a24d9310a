"""The system packages of ../packages.txt: which are missing, and their installation with apt-get."""

import os
import shutil
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

from tell import SetupError, run_long, say

_INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300")


def wanted_packages(path: Path, purposes: Collection[str]) -> list[str]:
    """The packages in the file that serve one of the purposes."""
    found: list[str] = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        if len(fields) != 2 or fields[0] not in ("build", "run", "test", "arm64"):
            raise SetupError(f"{path} line {number} is not `build|run|test|arm64 PACKAGE`; correct it")
        if fields[0] in purposes and fields[1] not in found:
            found.append(fields[1])
    return found


def missing_packages(names: list[str]) -> list[str]:
    """Those that are not installed. SetupError on a system without dpkg."""
    try:
        result = subprocess.run(
            ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}\n", *names],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise SetupError(
            "this system has no dpkg, and the set-up knows Debian's packages alone; install the equivalents of"
            " deploy/packages.txt yourself and run `make SKIP_PACKAGES=1 ...`"
        ) from error
    installed = {line.split()[1] for line in result.stdout.splitlines() if line.startswith("installed ")}
    return [name for name in names if name not in installed]


def install_packages(names: list[str], log: Path) -> None:
    """Install with apt-get, as root or through sudo."""
    say(f"  missing system packages: {' '.join(names)}")
    prefix = _as_root(names)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # always: the lists of a fresh machine are empty, and old ones name versions that the archive no longer has
    _apt("reading the package lists", [*prefix, "apt-get", "update"], log, environment)
    _apt("installing system packages", [*prefix, *_INSTALL, *names], log, environment)


def _apt(title: str, command: list[str], log: Path, environment: Mapping[str, str]) -> None:
    run_long(
        title,
        command,
        log=log,
        environment=environment,
        advice="check the network and /etc/apt/sources.list, then run make again",
    )


def _as_root(names: list[str]) -> list[str]:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo"):
        say("  installing them needs root: sudo may ask for your password")
        if subprocess.run(["sudo", "-v"], check=False).returncode == 0:
            return ["sudo", "DEBIAN_FRONTEND=noninteractive"]
    raise SetupError(
        f"installing system packages needs root: run `apt-get update && apt-get install {' '.join(names)}` as root"
        " and then make again"
    )
