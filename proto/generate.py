"""Generates the Python code of the .proto files: messages, gRPC classes and their type stubs."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROTO = Path(__file__).resolve().parent


def generate(package: str, out: Path) -> list[Path]:
    """Write the code of every .proto directly in `package` ("rtcagent/v1") below `out`, and return the files."""
    sources = sorted((PROTO / package).glob("*.proto"))
    target = out / package
    shutil.rmtree(target, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    # the stub generators are console scripts of this interpreter's environment, which need not be on PATH
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    flags = [f"--{kind}={out}" for kind in ("python_out", "grpc_python_out", "mypy_out", "mypy_grpc_out")]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", *flags, *map(str, sources)],
        check=True,
        env={**os.environ, "PATH": path},
    )
    return sorted(target.iterdir())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", help="rtcagent/v1 or rtcagent/engine/v1")
    parser.add_argument("out", type=Path, help="the folder below which the package is written")
    arguments = parser.parse_args()
    generate(arguments.package, arguments.out)
