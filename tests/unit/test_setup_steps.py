"""The set-up does again what must be done again and nothing else; its locks agree with what the projects ask for."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
SETUP = ROOT / "deploy" / "setup"
LOCKS = ("build", "run", "dev", "go", "node")


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the set-up, which runs as a folder and is no package."""
    monkeypatch.syspath_prepend(str(SETUP))
    spec = importlib.util.spec_from_file_location(name, SETUP / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_a_step_is_done_again_when_an_input_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stamp = load("stamps", monkeypatch).Stamp
    sources = tmp_path / "sources"
    (sources / "deep").mkdir(parents=True)
    (sources / "deep" / "a.cpp").write_text("1")

    def current(*facts: str) -> bool:
        return bool(stamp(tmp_path / "stamp", [sources], facts).is_current())

    assert not current()
    stamp(tmp_path / "stamp", [sources]).set()
    assert current()
    assert not current("another interpreter")
    (sources / "deep" / "a.cpp").write_text("2")
    assert not current()
    (sources / "deep" / "a.cpp").write_text("1")
    assert current()
    (sources / "__pycache__").mkdir()
    (sources / "__pycache__" / "a.pyc").write_text("made by running")
    assert current()
    (sources / "new.cpp").write_text("")
    assert not current()
    (sources / "new.cpp").unlink()
    stamp(tmp_path / "stamp", [sources]).clear()
    assert not current()


@pytest.mark.parametrize("changed", ["bindings/module.cpp", "proto/rtcagent/engine/v1/engine.proto", "CMakeLists.txt"])
def test_the_agent_is_built_again_after_an_edit(changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The native module and the contract never lag behind their sources."""
    steps = load("steps", monkeypatch)
    for name in ("bindings", "proto", "requirements", "pyproject.toml", "CMakeLists.txt"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(tmp_path / name)], check=True)
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    monkeypatch.setattr(steps, "VENV", tmp_path / ".venv")

    def agent() -> bool:
        inputs = [tmp_path / name for name in ("pyproject.toml", "CMakeLists.txt", "bindings")]
        return bool(steps._distribution("agent", tmp_path, inputs, steps.Cost(0, 0, 0)).is_done())

    monkeypatch.setattr(steps, "_pip", lambda *arguments: None)
    inputs = [tmp_path / name for name in ("pyproject.toml", "CMakeLists.txt", "bindings")]
    steps._distribution("agent", tmp_path, inputs, steps.Cost(0, 0, 0)).run()
    assert agent()
    (tmp_path / changed).write_text((tmp_path / changed).read_text() + "\n")
    assert not agent()


def test_a_failed_command_is_told_with_its_output_and_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tell = load("tell", monkeypatch)
    with pytest.raises(tell.SetupError, match=r"exit status 3.*log.*; check the network"):
        tell.run_long(
            "trying", ["sh", "-c", "echo out of order; exit 3"], log=tmp_path / "log", advice="check the network"
        )
    assert "out of order" in capsys.readouterr().out
    with pytest.raises(tell.SetupError, match="cannot start no-such-program"):
        tell.run_long("trying", ["no-such-program"], log=tmp_path / "log", advice="install it")


def test_package_list_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = load("system", monkeypatch)
    every = system.wanted_packages(ROOT / "deploy/packages.txt", ("build", "run", "test"))
    assert len(every) == len(set(every))
    assert set(system.wanted_packages(ROOT / "deploy/packages.txt", ("run",))) < set(every)
    wrong = tmp_path / "packages.txt"
    wrong.write_text("build gcc\nrun\n")
    with pytest.raises(Exception, match="line 2"):
        system.wanted_packages(wrong, ("build",))


def test_missing_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is installed, one that is not, and one that no Debian knows."""
    system = load("system", monkeypatch)
    assert system.missing_packages(["libc6", "no-such-package"]) == ["no-such-package"]


@pytest.mark.parametrize("name", LOCKS)
def test_locks_are_pinned_by_hash_and_name_no_index(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    pinned = re.findall(r"(?m)^([a-zA-Z0-9_.-]+)==\S+ \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text + "\n")
    assert len(pinned) == len(re.findall(r"(?m)^[a-zA-Z0-9]", text)) > 0
    assert "://" not in text
    assert "index" not in text


def test_locks_fit_the_projects() -> None:
    """What the projects ask for, to run and to be built, is locked in one version, which they accept."""
    locked: dict[str, str] = {}
    for name in LOCKS:
        for package, version in re.findall(
            r"(?m)^([a-zA-Z0-9_.-]+)==(\S+)", (ROOT / "requirements" / f"{name}.txt").read_text()
        ):
            assert locked.setdefault(package.lower(), version) == version, f"{package} in {name}.txt"
    for path in (ROOT / "pyproject.toml", ROOT / "clients/python/pyproject.toml"):
        project = tomllib.loads(path.read_text())
        for text in [*project["project"]["dependencies"], *project["build-system"]["requires"]]:
            wanted = Requirement(text)
            if wanted.name != "rtcagent-client":
                assert wanted.specifier.contains(locked[wanted.name.lower()]), text


RESULTS = """<testsuites><testsuite>
<testcase classname="tests.unit.test_a" name="test_runs"/>
<testcase classname="tests.e2e.test_b" name="test_c[x]"><skipped type="pytest.skip" message="no browser"/></testcase>
</testsuite></testsuites>"""


@pytest.mark.parametrize(
    ("results", "skips", "status", "said"),
    [
        (RESULTS, "tests.e2e.test_b::test_c[[]x]  # not this one\n", 1, "test_c[x]: no browser"),
        (RESULTS, "tests.e2e.test_b::*  # the browser is not for arm64\n", 0, "1 tests ran; 1 skipped, 0 of them"),
        (RESULTS, "tests.e2e.test_b::test_c[x]  # the browser is not for arm64\n", 0, "1 tests ran"),
        (RESULTS, "tests.e2e.*\n", 1, "has no reason"),
        (RESULTS, "", 1, "skipped without being listed"),
        ("<testsuites/>", "", 1, "no test that ran"),
    ],
)
def test_skipped_tests_must_be_listed(results: str, skips: str, status: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "results.xml").write_text(results)
    (tmp_path / "skips.txt").write_text(skips)
    check = subprocess.run(
        [sys.executable, str(ROOT / "tests/check_skips.py"), "results.xml", "skips.txt"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == status
    assert said in check.stdout + check.stderr
