"""Runs the test machine's disk as a container: systemd as PID 1, at full speed, on this machine's kernel, no cameras.

Its network leads nowhere. What is written to its disk lasts over reboots, and is thrown away at the end.
"""

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.vm.machine import AS_ROOT, IMAGE

START_TIMEOUT_S = 60
PACKAGES = "/mnt/packages"  # where the folder with packages is seen in the container
# All mounts live in a mount namespace of their own, and go with it.
_BOOT = """
mount -t tmpfs container "$RUN"; mkdir "$RUN"/{lower,upper,work,root}
mount -o loop,ro "$IMAGE" "$RUN/lower"
mount -t overlay -o "lowerdir=$RUN/lower,upperdir=$RUN/upper,workdir=$RUN/work" container "$RUN/root"
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
until [ -e "$STOP" ]; do
  systemd-nspawn -q -D "$RUN/root" -M "$NAME" --hostname=kiosk -b --register=no --keep-unit --private-network \
    --link-journal=no --console=read-only --resolv-conf=off --bind-ro="$PACKAGES:$SEEN_AS" systemd.mask=ssh.service ||
    true
done
"""


def missing_tools() -> list[str]:
    tools = (*AS_ROOT[:1], "systemd-nspawn", "nsenter", "unshare", "setpriv")
    return [tool for tool in tools if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]


class Container:
    """One booted container."""

    def __init__(self, packages: Path) -> None:
        self._packages = packages
        self._folder = Path(tempfile.mkdtemp(prefix="rtcagent-ct-"))
        self._nspawn: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        (self._folder / "run").mkdir()
        settings = {
            "RUN": str(self._folder / "run"),
            "IMAGE": str(IMAGE / "root.img"),
            "NAME": f"ct-{os.getpid()}",
            "PACKAGES": str(self._packages),
            "SEEN_AS": PACKAGES,
            "STOP": str(self._folder / "stop"),
        }
        variables = [f"{name}={value}" for name, value in settings.items()]
        # Should this process die, the container dies with it.
        command = [*AS_ROOT, "env", *variables, "setpriv", "--pdeathsig", "KILL"]
        command += ["unshare", "-m", "--propagation", "private", "bash", "-ec", _BOOT]
        with open(self._log, "wb") as log:
            self._nspawn = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_booted()

    def stop(self) -> None:
        """Halt it. Any number of times."""
        if self._nspawn is not None:
            (self._folder / "stop").touch()
            if leader := self._leader(optional=True):
                subprocess.run([*AS_ROOT, "kill", "-KILL", str(leader)], check=False, capture_output=True)
            self._nspawn.wait(20)
            self._nspawn = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def cut_power(self) -> None:
        """Every process is killed at once; then it boots again. Returns when it has booted."""
        before = self._leader()
        subprocess.run([*AS_ROOT, "kill", "-KILL", str(before)], check=True)
        deadline = time.monotonic() + START_TIMEOUT_S
        while self._leader(optional=True) in (0, before) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.wait_booted()

    def wait_booted(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._nspawn is None or self._nspawn.poll() is not None:
                break
            if (
                self._leader(optional=True)
                and self.run("systemctl", "is-active", "multi-user.target", check=False) == "active"
            ):
                self._connect()
                return
            time.sleep(0.1)
        raise RuntimeError(f"the container did not boot:\n{self._log.read_text(errors='replace')[-2000:]}")

    def _connect(self) -> None:
        """An interface beside the loopback, without which libwebrtc does nothing."""
        self.run("ip", "link", "add", "wire", "type", "veth", "peer", "name", "nowhere")
        self.run("ip", "addr", "add", "10.99.0.1/24", "dev", "wire")
        for name in ("wire", "nowhere"):
            self.run("ip", "link", "set", name, "up")

    def run(self, *command: str, check: bool = True, timeout_s: float = 60, stdin: str = "") -> str:
        """What `command` prints in the container, run as root; RuntimeError with all its output when it fails."""
        environment = [
            "env",
            "-i",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/root",
            "LANG=C.UTF-8",
            "DEBIAN_FRONTEND=noninteractive",
        ]
        enter = ["nsenter", "-t", str(self._leader()), "-m", "-u", "-i", "-n", "-p", "-C"]
        done = subprocess.run(
            [*AS_ROOT, *enter, *environment, *command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            start_new_session=True,  # no signal of its own reaches the process group of the tests
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        self.run("mkdir", "-p", str(Path(path).parent))
        self.run("tee", path, stdin=text)

    def journal(self) -> str:
        """The log of both units, for those who look for a failure's cause."""
        return self.run(
            "journalctl", "--no-pager", "-o", "short-monotonic", "-u", "rtcagentd", "-u", "rtcagent-engine", check=False
        )

    @property
    def _log(self) -> Path:
        return self._folder / "console.log"

    def _leader(self, *, optional: bool = False) -> int:
        """The container's PID 1, as this machine counts."""
        assert self._nspawn is not None
        pids = [self._nspawn.pid]
        while pids:
            pid = pids.pop()
            with contextlib.suppress(OSError):
                names = Path(f"/proc/{pid}/status").read_text().split("NSpid:")[1].splitlines()[0].split()
                if names[-1] == "1" and len(names) > 1 and Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                    return pid
                pids += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        if optional:
            return 0
        raise RuntimeError("the container does not run")


@contextlib.contextmanager
def booted(packages: Path) -> Iterator[Container]:
    """A running container that sees `packages`."""
    container = Container(packages)
    try:
        container.start()
        yield container
    finally:
        container.stop()
