"""The package for arm64 that is built on amd64: it is whole, and its daemon works on an emulated processor."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.parts import emulated

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "build/sfu/livekit-server-arm64"
# What every Debian has, and nothing depends on by name.
ESSENTIAL = ("base-files", "coreutils", "dash", "libc-bin")
SYSTEM_LIBRARIES = re.compile(r"\(NEEDED\)\s+Shared library: \[(.+)\]")

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="builds it on a processor that is not arm64"),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := emulated.missing():
        pytest.skip(f"needs {' '.join(missing)}: the packages of the purpose arm64 in deploy/packages.txt")
    if not SERVER.exists():
        pytest.skip("needs livekit-server for arm64: make deb ARCH=arm64 builds it")
    output = tmp_path_factory.mktemp("package")
    command = [sys.executable, "deploy/deb", "--arch", "arm64", "--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def unpacked(package: Path) -> Path:
    """The package's files, laid out as postinst does."""
    folder = package.parent / "files"
    subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    (version,) = (folder / "usr/lib/rtcagent").iterdir()
    (folder / "usr/lib/rtcagent/current").symlink_to(version.name)
    return folder


@pytest.fixture(scope="module")
def machine(package: Path) -> Path:
    """An arm64 Debian with what the package depends on, unpacked and not set up; kept in build/ for the next time."""
    depends = subprocess.check_output(["dpkg-deb", "-f", str(package), "Depends"], text=True)
    names = sorted({*ESSENTIAL, *(part.split()[0] for part in depends.split(","))})
    code = "import sys, pathlib, cross; cross.sysroot(pathlib.Path(sys.argv[1]), 'arm64', sys.argv[2:])"
    folder = ROOT / "build/sysroot/arm64-machine"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "deploy/deb")}
    subprocess.run([sys.executable, "-c", code, str(folder), *names], env=environment, check=True, timeout=900)
    return folder


def test_its_libraries_find_what_they_need_in_what_it_depends_on(package: Path, unpacked: Path, machine: Path) -> None:
    assert subprocess.check_output(["dpkg-deb", "-f", str(package), "Architecture"], text=True).strip() == "arm64"
    libraries = [path for path in unpacked.rglob("*.so*") if not path.is_symlink()]
    assert any(path.name == "_native.cpython-311-aarch64-linux-gnu.so" for path in libraries)
    here = {path.name for path in libraries}
    for place in ("lib", "usr/lib"):
        here |= {path.name for path in (machine / place).glob("*.so*")}
        here |= {path.name for path in (machine / place / "aarch64-linux-gnu").glob("*.so*")}
    lacking = {}
    for path in libraries:
        needed = SYSTEM_LIBRARIES.findall(subprocess.check_output(["readelf", "-d", str(path)], text=True))
        if unknown := set(needed) - here:
            lacking[path.name] = unknown
    assert not lacking


def test_its_daemon_captures_and_publishes(unpacked: Path, machine: Path, tmp_path: Path) -> None:
    out, driver = tmp_path / "out", tmp_path / "driver"
    out.mkdir()
    driver.mkdir()
    shutil.copy(ROOT / "tests/parts/emulated_agent.py", driver)
    binds = {
        unpacked / "usr/lib/rtcagent": "/usr/lib/rtcagent",
        unpacked / "etc/rtcagent": "/etc/rtcagent",
        out: "/mnt/out",
        driver: "/mnt/driver",
    }
    done = emulated.run(machine, binds, "/usr/bin/python3.11", "/mnt/driver/emulated_agent.py", timeout_s=900)
    log = (out / "daemon.log").read_text() if (out / "daemon.log").exists() else ""
    assert done.returncode == 0, done.stderr + log
    results = json.loads(done.stdout)
    assert results["machine"] == "aarch64"
    for step in ("check", "camera", "snapshot", "join", "publish", "state"):
        assert results[step][0] == 0, f"{step}: {results[step][1]}\n{log}"
    assert "everything is as asked for" in results["state"][1]
    assert "PUBLISHED" in results["state"][1]
    assert results["ended"] == 0, log
    with Image.open(out / "picture.png") as picture:
        assert picture.size == (320, 240)
        red, green, blue = picture.convert("RGB").getpixel((300, 20))  # type: ignore[misc]
    assert blue > 150 > max(red, green), "the last bar of the test picture is blue"
