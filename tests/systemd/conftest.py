"""The packages built from this checkout, and a container that has the first of them installed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.room_server import BINARY as ROOM_SERVER
from tests.systemd.container import Container, booted, missing_tools
from tests.vm.machine import build_image, may_build
from tests.vm.machine import missing_tools as missing_image_tools

ROOT = Path(__file__).resolve().parents[2]
BUILD_TIMEOUT_S = 300


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two packages of different versions."""
    output = tmp_path_factory.mktemp("packages")
    command = [sys.executable, "deploy/deb", "--output", str(output), "--revision", "1", "--revision", "2"]
    environment = {**os.environ, "RTCAGENT_LIVEKIT_SERVER": str(ROOM_SERVER)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [Path(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def container(request: pytest.FixtureRequest) -> Iterator[Container]:
    """A booted container without the package."""
    missing = [*missing_tools(), *missing_image_tools(), *([] if shutil.which("dpkg-deb") else ["dpkg-deb"])]
    if missing:
        pytest.skip(f"the container needs {', '.join(missing)}: install the packages of deploy/packages.txt")
    if not may_build():
        pytest.skip("a container needs root, or sudo without a password")
    packages: list[Path] = request.getfixturevalue("packages")
    build_image()
    with booted(packages[0].parent) as running:
        yield running
