"""Installs and builds what is missing, and says what it does: called by the Makefile.

`python3 deploy/setup [--dev] [--arch ARCH]`. Uses the standard library of Python 3.11 alone.
Each step is skipped while its inputs are the same as when it was done.
"""

import argparse
import os
import platform
import shutil
import sys
import time

from steps import FOREIGN, ROOT, Step, plan
from tell import SetupError, say

_LARGE_MB = 200  # what is smaller needs no announcement


def main() -> int:
    """Exit status 0: everything is there."""
    parser = argparse.ArgumentParser(prog="deploy/setup", description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also what tests, checks and measurements need")
    parser.add_argument("--arch", choices=[*FOREIGN, "amd64"], help="also what the Debian package for it needs")
    arguments = parser.parse_args()
    foreign = arguments.arch if FOREIGN.get(arguments.arch) not in (None, platform.machine()) else None
    started = time.monotonic()
    try:
        wants_packages = os.environ.get("SKIP_PACKAGES", "") in ("", "0")
        steps = plan(dev=arguments.dev, packages=wants_packages, foreign=foreign)
        open_steps = [step for step in steps if not step.is_done()]
        if not open_steps:
            return 0
        _announce(open_steps)
        for number, step in enumerate(open_steps, start=1):
            say(f"[{number}/{len(open_steps)}] {step.title}")
            step.run()
    except SetupError as error:
        say(f"set-up: {error}.")
        return 1
    except KeyboardInterrupt:
        say("\nset-up: interrupted; run make again to go on where it stopped.")
        return 130
    say(f"set-up: done in {time.monotonic() - started:.0f} s")
    return 0


def _announce(steps: list[Step]) -> None:
    """Say what is ahead, and stop where the disk cannot hold it."""
    disk_mb = sum(step.cost.disk_mb for step in steps)
    seconds = sum(step.cost.seconds for step in steps)
    download_mb = sum(step.cost.download_mb for step in steps)
    if disk_mb >= _LARGE_MB:
        say(
            f"set-up: {len(steps)} steps, about {download_mb} MB to download, {disk_mb / 1000:.1f} GB of disk and"
            f" {max(1, round(seconds / 60))} minutes on two cores; later runs skip what is done"
        )
    free_mb = shutil.disk_usage(ROOT).free // 1_000_000
    if free_mb < disk_mb:
        raise SetupError(f"{ROOT} has {free_mb / 1000:.1f} GB free and {disk_mb / 1000:.1f} GB are needed; make room")


if __name__ == "__main__":
    sys.exit(main())
