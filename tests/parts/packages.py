"""Builds Debian packages of two versions from this checkout."""

import os
import subprocess
import sys
from pathlib import Path

from tests.parts.room_server import BINARY as ROOM_SERVER

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "build/deb/test"  # the test machine sees this checkout
BUILD_TIMEOUT_S = 300


def build() -> list[Path]:
    command = [sys.executable, "deploy/deb", "--output", str(OUTPUT), "--revision", "1", "--revision", "2"]
    environment = {**os.environ, "RTCAGENT_LIVEKIT_SERVER": str(ROOM_SERVER)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [Path(line) for line in done.stdout.splitlines()]
