"""The test machine, booted once for all tests of the cameras; and another one, with the package."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.kiosk import Kiosk
from tests.vm.machine import Machine, build_image, may_build, missing_tools


@contextlib.contextmanager
def a_machine() -> Iterator[Machine]:
    """One that is not booted yet; ended in any case."""
    missing = missing_tools()
    if missing:
        pytest.skip(f"the test machine needs {', '.join(missing)}: install the packages of deploy/packages.txt")
    if not may_build():
        pytest.skip("building the test machine's disk needs root, or sudo without a password")
    build_image()
    run_dir = Path(tempfile.mkdtemp(prefix="rtcagent-vm-"))  # a short path: it holds a unix socket
    machine = Machine(run_dir)
    try:
        yield machine
    finally:
        machine.stop()
        shutil.rmtree(run_dir, ignore_errors=True)


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A running machine with a vivid camera and no USB camera. Whoever unplugs something plugs it in again."""
    with a_machine() as machine:
        machine.start()
        yield machine


@pytest.fixture(scope="module")
def kiosk_machine(request: pytest.FixtureRequest) -> Iterator[Kiosk]:
    """Another machine, with the package on its disk, that was told before its first boot what it is there for."""
    with a_machine() as machine:
        packages: list[Path] = request.getfixturevalue("packages")
        kiosk = Kiosk(machine)
        kiosk.boot_first(packages[0])
        yield kiosk
