"""Renews the locks beside this file: `pip install uv`, then `python requirements/renew.py [--upgrade]`.

run.txt holds what both pyproject.toml ask for, the others what the .in file of their name does.
Every line carries its hashes, and no lock names an index: pip takes the one that the machine is configured with.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
OWN = ("rtcagent-client==",)


def project_requirements() -> str:
    """The dependencies of both distributions, one in a line."""
    found: set[str] = set()
    for project in (ROOT / "pyproject.toml", ROOT / "clients/python/pyproject.toml"):
        found.update(tomllib.loads(project.read_text())["project"]["dependencies"])
    return "\n".join(sorted(line for line in found if not line.startswith(OWN)))


def lock(name: str, wanted: str, *options: str) -> None:
    """Write `name`.txt; versions that still fit are kept, unless --upgrade is among the options."""
    command = ["uv", "pip", "compile", "-", "--python-version", "3.11", "--generate-hashes", "--quiet", "--no-annotate"]
    command += ["--custom-compile-command", "python requirements/renew.py", "--output-file", f"requirements/{name}.txt"]
    subprocess.run([*command, *options], input=wanted, text=True, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def main() -> None:
    """Renew every lock; --upgrade takes the newest versions in range."""
    options = sys.argv[1:]
    lock("run", project_requirements(), *options)
    for name in ("build", "dev"):
        lock(name, (HERE / f"{name}.in").read_text(), "--constraint", "requirements/run.txt", *options)
    for name in ("go", "node"):
        lock(name, (HERE / f"{name}.in").read_text(), *options)


if __name__ == "__main__":
    main()
