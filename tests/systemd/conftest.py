"""A container that sees the packages built from this checkout."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.container import Container, booted, missing_tools
from tests.vm.machine import build_image, may_build
from tests.vm.machine import missing_tools as missing_image_tools


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
