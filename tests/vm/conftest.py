"""The test machine, booted once for all tests of this folder."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.machine import Machine, build_image, may_build, missing_tools


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A running machine with a vivid camera and no USB camera. Whoever unplugs something plugs it in again."""
    missing = missing_tools()
    if missing:
        pytest.skip(f"the test machine needs {', '.join(missing)}: install the packages of deploy/packages.txt")
    if not may_build():
        pytest.skip("building the test machine's disk needs root, or sudo without a password")
    build_image()
    run_dir = Path(tempfile.mkdtemp(prefix="rtcagent-vm-"))  # a short path: it holds a unix socket
    machine = Machine(run_dir)
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()
        shutil.rmtree(run_dir, ignore_errors=True)
