"""Runs inside the emulated machine: starts the installed daemon, and gives it orders. Needs Python's library alone.

Prints one JSON object: the exit status and output of each command, and how the daemon ended.
"""

import json
import os
import subprocess
import time
from pathlib import Path

PROGRAMS = "/usr/lib/rtcagent/current/bin"
WAIT = ("--wait", "60000", "--timeout", "120")
# Long times: an emulated processor is ten times slower than this one.
CONFIGURATION = f"""
name = "emulated"
state_dir = "/tmp/state"
runtime_dir = "/tmp/runtime"
[engine]
start_timeout_ms = 120000
heartbeat_timeout_ms = 30000
[embedded_server]
binary = "{PROGRAMS}/livekit-server"
"""


def main() -> None:
    for folder in ("/tmp/state", "/tmp/runtime"):
        Path(folder).mkdir()
    Path("/tmp/rtcagent.toml").write_text(CONFIGURATION)
    socket = Path("/tmp/runtime/control.sock")
    os.environ["RTCAGENT_ADDRESS"] = f"unix:{socket}"
    # where Debian's alternatives would point, had the packages been set up and not only unpacked
    os.environ["LD_LIBRARY_PATH"] = "/usr/lib/aarch64-linux-gnu/blas:/usr/lib/aarch64-linux-gnu/lapack"
    results: dict[str, object] = {"check": command(f"{PROGRAMS}/rtcagentd", "--check"), "machine": os.uname().machine}
    with open("/mnt/out/daemon.log", "w") as log:
        daemon = subprocess.Popen([f"{PROGRAMS}/rtcagentd", "--config", "/tmp/rtcagent.toml"], stderr=log)
        while not socket.exists() and daemon.poll() is None:
            time.sleep(0.1)
        results["camera"] = rtcctl("camera", "on", "--test-pattern", "--width", "320", "--height", "240", *WAIT)
        results["snapshot"] = rtcctl("snapshot", "/mnt/out/picture.png", "--timeout", "120")
        results["join"] = rtcctl("join", "demo", *WAIT)
        results["publish"] = rtcctl("publish", "demo", *WAIT)
        results["state"] = rtcctl("state", "--timeout", "120")
        daemon.terminate()
        results["ended"] = daemon.wait()
    print(json.dumps(results))


def rtcctl(*arguments: str) -> list[object]:
    return command(f"{PROGRAMS}/rtcctl", *arguments)


def command(*line: str) -> list[object]:
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return [done.returncode, done.stdout + done.stderr]


if __name__ == "__main__":
    main()
