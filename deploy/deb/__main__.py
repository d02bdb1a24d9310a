"""`make deb`: builds rtcagent_VERSION_ARCH.deb in build/deb from this checkout.

Run with the Python of .venv, which has what it is built with. The package has an environment of its own, made from the
locked requirements, so that nothing is fetched when it is installed.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import package
import payload
from cross import MACHINES, PYTHON

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Build the packages, and print their paths."""
    parser = argparse.ArgumentParser(prog="make deb", description="Builds the Debian package.")
    parser.add_argument("--arch", choices=list(MACHINES), default=payload.own_arch(), help="Debian's name of it")
    parser.add_argument(
        "--revision", action="append", help="after the version and +, to tell builds apart; several: a package each"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build/deb", help="folder for the package")
    arguments = parser.parse_args()
    if sys.version_info[:2] != PYTHON:
        sys.exit("make deb: needs Python {}.{}, that of the machines it is for".format(*PYTHON))
    # what the files' times are cut to: two builds of one commit are the same
    commit_time = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    os.environ.setdefault("SOURCE_DATE_EPOCH", subprocess.check_output(commit_time, text=True).strip() or "0")
    if arguments.arch == payload.own_arch():
        server = Path(os.environ.get("RTCAGENT_LIVEKIT_SERVER") or ROOT / "build/sfu/livekit-server")
    else:
        server = ROOT / f"build/sfu/livekit-server-{arguments.arch}"
    work = ROOT / "build/deb" / arguments.arch
    try:
        environment = payload.build(ROOT, work, arguments.arch, server)
        for revision in arguments.revision or [""]:
            version = payload.project_version(ROOT) + (f"+{revision}" if revision else "")
            print(package.build(ROOT, work, environment, arguments.arch, version, arguments.output.resolve()))
    except payload.BuildError as error:
        sys.exit(f"make deb: {error}")


if __name__ == "__main__":
    main()
