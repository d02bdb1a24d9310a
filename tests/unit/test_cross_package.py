"""What `make deb ARCH=arm64` goes by, on a machine that is not one."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cross(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of deploy/deb, which runs as a folder and is no package."""
    spec = importlib.util.spec_from_file_location("cross", ROOT / "deploy/deb/cross.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "cross", module)
    spec.loader.exec_module(module)
    return module


def program(path: Path, machine: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(11) + machine.to_bytes(2, "little") + bytes(44))


def test_a_file_for_another_processor_is_found(cross: ModuleType, tmp_path: Path) -> None:
    program(tmp_path / "lib/good.so", 183)
    program(tmp_path / "lib/bad.so", 62)
    (tmp_path / "lib/link.so").symlink_to("bad.so")
    (tmp_path / "lib/empty").touch()
    (tmp_path / "lib/text.py").write_text("x = 1\n")
    assert cross.foreign(tmp_path, "arm64") == [tmp_path / "lib/bad.so"]
    assert cross.foreign(tmp_path, "amd64") == [tmp_path / "lib/good.so"]


def test_the_libraries_are_those_that_the_native_parts_are_built_with(cross: ModuleType) -> None:
    libraries = cross.libraries(ROOT)
    assert {"libgstreamer1.0-dev", "libprotobuf-dev", "libsystemd-dev", "libpython3.11-dev"} <= set(libraries)
    assert all(name.startswith("lib") and name.endswith("-dev") for name in libraries), "nothing that runs"


def test_a_sysroot_is_kept_until_other_packages_are_wanted(
    cross: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[list[str]] = []

    def unpack(folder: Path, arch: str, packages: list[str]) -> None:
        folder.mkdir(exist_ok=True)
        made.append(packages)

    monkeypatch.setattr(cross, "unpack", unpack)
    for packages in (["a"], ["a"], ["a", "b"], ["a", "b"]):
        assert cross.sysroot(tmp_path / "arm64", "arm64", packages) == tmp_path / "arm64"
    assert made == [["a"], ["a", "b"]]

    def fail(folder: Path, arch: str, packages: list[str]) -> None:
        raise cross.CrossError("no network")

    monkeypatch.setattr(cross, "unpack", fail)
    with pytest.raises(cross.CrossError):
        cross.sysroot(tmp_path / "arm64", "arm64", ["c"])
    monkeypatch.setattr(cross, "unpack", unpack)
    cross.sysroot(tmp_path / "arm64", "arm64", ["a", "b"])
    assert len(made) == 3, "one that could not be renewed is not trusted"


def test_pip_takes_wheels_of_the_other_processor(
    cross: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a module that is built gets its suffix, by what Python itself tells with these settings."""
    compiler = tmp_path / "bin/aarch64-linux-gnu-g++"
    compiler.parent.mkdir()
    compiler.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{compiler.parent}:{os.environ['PATH']}")
    told = tmp_path / "sysroot/usr/lib/python3.11/_sysconfigdata__aarch64-linux-gnu.py"
    told.parent.mkdir(parents=True)
    told.write_text(
        "build_time_vars = {'EXT_SUFFIX': '.cpython-311-aarch64-linux-gnu.so', 'py_version_nodot': '311'}\n"
    )
    settings = cross.environment(tmp_path / "sysroot", "arm64")
    code = "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'), sysconfig.get_platform());"
    code += "from packaging import tags; print(*tags.sys_tags())"
    command = [sys.executable, "-c", code]
    suffix, _, tags = subprocess.check_output(command, env={**os.environ, **settings}, text=True).partition("\n")
    assert suffix == ".cpython-311-aarch64-linux-gnu.so linux-aarch64"
    assert "manylinux_2_28_aarch64" in tags
    assert "x86_64" not in tags


def test_what_is_missing_is_named(cross: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(cross.CrossError, match=r"mmdebstrap .* deploy/packages\.txt"):
        cross.unpack(tmp_path / "sysroot", "arm64", ["libc6-dev"])
    with pytest.raises(cross.CrossError, match=r"aarch64-linux-gnu-g\+\+ .* deploy/packages\.txt"):
        cross.environment(tmp_path / "sysroot", "arm64")
