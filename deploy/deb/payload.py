"""The environment that the package brings: a relocatable Python environment with all it needs, and livekit-server."""

import compileall
import hashlib
import os
import platform
import py_compile
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import cross
from cross import MACHINES, PYTHON

PROGRAMS = {
    "rtcagentd": "rtcagentd.main",
    "rtcagent-engine": "rtcagentd.engine.main",
    "rtcctl": "rtcagent_client.rtcctl",
}

# A symbolic link to the interpreter with this file beside its folder is a virtual environment, wherever it lies.
_PYVENV = "home = /usr/bin\ninclude-system-site-packages = false\nversion = {}.{}\n"
# Not -m venv's scripts: those name the folder that they were made in.
_PROGRAM = """#!/bin/sh
exec "$(dirname "$(readlink -f "$0")")/python3" -I -m {} "$@"
"""
# Types, headers and tests are for those who develop.
_LEFT_OUT = ("*.pyi", "py.typed", "*-stubs", "types_protobuf*", "include", "tests", "*.pxd", "bin")


class BuildError(Exception):
    """The package cannot be built; the text says why and what to do."""


def own_arch() -> str:
    """Debian's name for this machine."""
    return next((name for name, machine in MACHINES.items() if machine == platform.machine()), "amd64")


def project_version(root: Path) -> str:
    return str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])


def build(root: Path, work: Path, arch: str, server: Path) -> Path:
    """Make the environment below `work`; the requirements are installed anew only when their lock has changed."""
    if not os.access(server, os.X_OK):
        raise BuildError(f"{server} is missing: make deb ARCH={arch} builds it")
    settings = {} if arch == own_arch() else _foreign_settings(root, arch)
    requirements = _requirements(root, work, settings)
    environment = work / "environment"
    shutil.rmtree(environment, ignore_errors=True)
    packages = environment / "lib/python{}.{}/site-packages".format(*PYTHON)
    shutil.copytree(
        requirements, packages, symlinks=True, copy_function=os.link, ignore=shutil.ignore_patterns(*_LEFT_OUT)
    )
    own = work / "own"
    shutil.rmtree(own, ignore_errors=True)
    native = f"--config-settings=build-dir={work / 'native'}"
    projects = [root, root / "clients/python"]
    _pip(root, settings, "--target", own, "--no-deps", "--no-build-isolation", native, *projects)
    shutil.copytree(own, packages, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    _programs(environment, server)
    if wrong := cross.foreign(environment, arch):
        raise BuildError(f"not for {arch}: {', '.join(str(path.relative_to(environment)) for path in wrong)}")
    _compile(packages)
    return environment


def _foreign_settings(root: Path, arch: str) -> dict[str, str]:
    if arch != "arm64":
        raise BuildError(
            f"{arch} is built on an {arch} machine: Debian's cross compiler is looked after for arm64 alone"
        )
    try:
        return cross.environment(cross.sysroot(root / f"build/sysroot/{arch}", arch, cross.libraries(root)), arch)
    except cross.CrossError as error:
        raise BuildError(str(error)) from error


def digest(folder: Path) -> str:
    """Names the content of a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found.update(f"{path.relative_to(folder)} {hashlib.sha256(content).hexdigest()}\n".encode())
    return found.hexdigest()[:12]


def _requirements(root: Path, work: Path, settings: dict[str, str]) -> Path:
    lock = root / "requirements/run.txt"
    stamp = work / "requirements.stamp"
    target = work / "requirements"
    wanted = f"{hashlib.sha256(lock.read_bytes()).hexdigest()} {platform.python_version()}"
    if not target.exists() or not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(target, ignore_errors=True)
        stamp.unlink(missing_ok=True)
        _pip(root, settings, "--target", target, "--require-hashes", "--no-deps", "--no-build-isolation", "-r", lock)
        stamp.write_text(wanted)
    return target


def _pip(root: Path, settings: dict[str, str], *arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"  # of the build's own tools
    environment = {**os.environ, "PATH": path, **settings}
    done = subprocess.run([*command, *arguments], cwd=root, env=environment, check=False)
    if done.returncode != 0:
        raise BuildError("pip failed, see above; the packages of deploy/packages.txt and make build come first")


def _programs(environment: Path, server: Path) -> None:
    programs = environment / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to("/usr/bin/python{}.{}".format(*PYTHON))
    (environment / "pyvenv.cfg").write_text(_PYVENV.format(*PYTHON))
    for name, module in PROGRAMS.items():
        (programs / name).write_text(_PROGRAM.format(module))
        (programs / name).chmod(0o755)
    shutil.copy(server, programs / "livekit-server")
    (programs / "livekit-server").chmod(0o755)


def _compile(packages: Path) -> None:
    """Byte code that is never checked against its source: nobody may write it where it is installed."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(
        packages, quiet=2, stripdir=str(packages), prependdir="rtcagent", invalidation_mode=mode, workers=0
    )
