"""Runs the test machine: an emulated PC with a stock kernel, cameras, and the folders of this machine that it needs."""

import collections
import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.parts.ports import free_tcp_port

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
IMAGE = REPOSITORY / "build" / "vm"

AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]
BOOT_TIMEOUT_S = 180
BUILD_TIMEOUT_S = 1200
GUEST_ADDRESS = "10.0.2.15"  # set by the initial file system


def build_image() -> None:
    """Make the machine's kernel and disk, or keep those that are up to date."""
    command = [*AS_ROOT, str(HERE / "make-image.sh"), str(IMAGE)]
    subprocess.run(command, check=True, timeout=BUILD_TIMEOUT_S)


def may_build() -> bool:
    """Whether this user is root, or becomes it without a password."""
    return subprocess.run([*AS_ROOT, "true"], capture_output=True, check=False).returncode == 0


def missing_tools() -> list[str]:
    tools = (
        *AS_ROOT[:1],
        "qemu-system-x86_64",
        "mmdebstrap",
        "cpio",
        "mke2fs",
        "depmod",
        "ssh",
        "ssh-keygen",
        "setpriv",
        "unshare",
    )
    return [tool for tool in tools if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]


def shared_folders() -> list[Path]:
    """What the guest has of this machine, under the same paths: the checkout and this virtual environment."""
    environment = Path(sys.prefix).resolve()
    return [REPOSITORY] if environment.is_relative_to(REPOSITORY) else [REPOSITORY, environment]


class Machine:
    """One booted machine. Its disk is a copy that outlasts reboots and goes at the end; the shared folders are
    read-only in it.
    """

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._qemu: subprocess.Popen[str] | None = None
        self._console: collections.deque[str] = collections.deque(maxlen=200)
        self._ready = threading.Event()  # set by the thread that reads the console: booted, or QEMU has ended
        self._reader: threading.Thread | None = None
        self._ssh_port = 0

    def start(self, prepare: str = "", **variables: str) -> None:
        """Boot; before that `prepare` changes the disk, which it finds at $ROOT: a shell script, run by this machine's
        root.
        """
        subprocess.run(["cp", "--sparse=always", str(IMAGE / "root.img"), str(self._disk)], check=True, timeout=120)
        if prepare:
            self._change_disk(prepare, variables)
        self._boot()

    def _change_disk(self, script: str, variables: Mapping[str, str]) -> None:
        root = self._run_dir / "root"
        root.mkdir()
        settings = [f"{name}={value}" for name, value in {**variables, "DISK": self._disk, "ROOT": root}.items()]
        # a mount of its own namespace goes with it
        command = [*AS_ROOT, "env", *settings, "unshare", "-m", "--propagation", "private", "bash", "-euc"]
        done = subprocess.run(
            [*command, f'mount -o loop "$DISK" "$ROOT"\n{script}\numount "$ROOT"'],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"the test machine's disk could not be prepared:\n{done.stdout}{done.stderr}")

    def cut_power(self) -> None:
        """What the machine has not written to its disk is lost; then it boots again. Forwards are gone."""
        assert self._qemu is not None
        self._qemu.kill()
        self.stop()
        self._boot()

    def _boot(self) -> None:
        self._ready.clear()
        self._ssh_port = free_tcp_port()
        # Should this process die, QEMU dies with it.
        command = ["setpriv", "--pdeathsig", "KILL", *self._qemu_command()]
        self._qemu = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read_console, args=(self._qemu,), daemon=True)
        self._reader.start()
        if not self._ready.wait(BOOT_TIMEOUT_S) or self._qemu.poll() is not None:
            raise RuntimeError("the test machine did not boot:\n" + "\n".join(self._console))
        for index, folder in enumerate(shared_folders()):
            options = "trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro"
            self.run("mkdir", "-p", str(folder))
            self.run("mount", "-t", "9p", "-o", options, f"share{index}", str(folder))

    def stop(self) -> None:
        """End QEMU and every connection to it. Any number of times."""
        if self._qemu is None:
            return
        if self._master_socket.exists():
            subprocess.run([*self._ssh(), "-O", "exit", "root@127.0.0.1"], capture_output=True, timeout=30, check=False)
        self._qemu.terminate()
        try:
            self._qemu.wait(10)
        except subprocess.TimeoutExpired:
            self._qemu.kill()
            self._qemu.wait()
        if self._reader is not None:
            self._reader.join()
        self._qemu = None

    def run(self, *command: str, timeout_s: float = 60, check: bool = True) -> str:
        """What `command` prints in the machine, run as root; RuntimeError with all its output when it fails."""
        done = subprocess.run(
            self._remote(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """Put `text` into a file of the machine (of /sys, too)."""
        subprocess.run(
            self._remote(["tee", path]), input=text, stdout=subprocess.DEVNULL, text=True, timeout=60, check=True
        )

    @contextlib.contextmanager
    def process(self, *command: str, log: Path) -> Iterator["GuestProcess"]:
        """Run `command` in the machine meanwhile; SIGTERM at the end, SIGKILL ten seconds later."""
        with open(log, "wb") as errors:
            # `echo $$; exec` tells the pid, by which alone it is ended: ssh itself passes no signals on.
            local = subprocess.Popen(
                self._remote(["sh", "-c", 'echo $$; exec "$@"', "sh", *command]),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
            assert local.stdout is not None
            process = GuestProcess(self, local, int(local.stdout.readline()), log)
            try:
                yield process
            finally:
                process.stop()
                local.stdout.close()

    @contextlib.contextmanager
    def local_forward(self, here: Path, there: str) -> Iterator[None]:
        """A unix socket here that leads to the unix socket `there` in the machine."""
        with self._forwarded("-L", f"{here}:{there}"):
            yield
        here.unlink(missing_ok=True)

    @contextlib.contextmanager
    def local_forward_port(self, port: int) -> Iterator[None]:
        """The TCP port of this machine's loopback leads to the same port of the guest's interface (livekit-server drops
        media over TCP that comes in by an interface that it has not told of).
        """
        with self._forwarded("-L", f"127.0.0.1:{port}:{GUEST_ADDRESS}:{port}"):
            yield

    @contextlib.contextmanager
    def remote_forward(self, port: int) -> Iterator[None]:
        """The TCP port of the machine's loopback leads to the same port of this one's."""
        with self._forwarded("-R", f"127.0.0.1:{port}:127.0.0.1:{port}"):
            yield

    @contextlib.contextmanager
    def _forwarded(self, *forward: str) -> Iterator[None]:
        self._control_forward("forward", *forward)
        try:
            yield
        finally:
            self._control_forward("cancel", *forward)

    def _control_forward(self, action: str, *forward: str) -> None:
        command = [*self._ssh(), "-O", action, *forward, "root@127.0.0.1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"ssh -O {action} {shlex.join(forward)} failed: {done.stderr}")

    @property
    def _disk(self) -> Path:
        return self._run_dir / "disk.img"

    @property
    def _master_socket(self) -> Path:
        return self._run_dir / "ssh"

    def _ssh(self) -> list[str]:
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": 60,
            "ControlMaster": "auto",
            "ControlPath": self._master_socket,
            "ControlPersist": 3600,
            "HostKeyAlias": "vm",
            "KexAlgorithms": "curve25519-sha256",
            "LogLevel": "ERROR",
            "ServerAliveInterval": 60,
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": IMAGE / "known_hosts",
        }
        flags = [flag for key, value in options.items() for flag in ("-o", f"{key}={value}")]
        return ["ssh", "-F", "none", "-i", str(IMAGE / "id"), "-p", str(self._ssh_port), *flags]

    def _remote(self, command: Sequence[str]) -> list[str]:
        return [*self._ssh(), "root@127.0.0.1", shlex.join(command)]

    def _read_console(self, qemu: subprocess.Popen[str]) -> None:
        assert qemu.stdout is not None
        for line in qemu.stdout:
            self._console.append(line.rstrip())
            if "vm-ready" in line:
                self._ready.set()
        self._ready.set()
        qemu.stdout.close()

    def _qemu_command(self) -> list[str]:
        # KVM only where the processor's own extensions are visible: a /dev/kvm without them cannot run a stock kernel.
        flags = Path("/proc/cpuinfo").read_text().split()
        kvm = os.access("/dev/kvm", os.W_OK) and ("vmx" in flags or "svm" in flags)
        command = [
            "qemu-system-x86_64",
            "-name",
            "rtcagent-test",
            "-machine",
            "q35,hpet=off",
            "-m",
            "2048",
            "-smp",
            "2",
        ]
        # x86-64-v2 is what the wheels ask for; an emulated processor with more boots slower.
        command += ["-accel", "kvm", "-cpu", "host"] if kvm else ["-accel", "tcg,thread=multi", "-cpu", "Nehalem"]
        command += ["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"]
        command += ["-kernel", str(IMAGE / "vmlinuz"), "-initrd", str(IMAGE / "initrd")]
        clock = "clocksource=tsc tsc=reliable"
        if not kvm and "constant_tsc" in flags:
            # Measured by a kernel on a loaded machine it may be eight times wrong, and so is every clock of it.
            clock += f" tsc_early_khz={_tsc_khz()}"
        command += ["-append", f"console=ttyS0 quiet net.ifnames=0 mitigations=off {clock} panic=-1"]
        command += ["-drive", f"id=disk,file={self._disk},format=raw,if=none"]
        command += ["-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci"]
        # The guest reaches nothing; one forwarded loopback port leads into it.
        forward = f"hostfwd=tcp:127.0.0.1:{self._ssh_port}-:22"
        command += ["-netdev", f"user,id=net,restrict=on,{forward}", "-device", "virtio-net-pci,netdev=net"]
        for index, folder in enumerate(shared_folders()):
            options = "security_model=none,multidevs=remap,readonly=on"
            command += ["-fsdev", f"local,id=share{index},path={folder},{options}"]
            command += ["-device", f"virtio-9p-pci,fsdev=share{index},mount_tag=share{index}"]
        return command


def _tsc_khz() -> int:
    """The frequency of this machine's time-stamp counter, which is the emulated one's, too."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return round(1000 * float(next(line for line in lines if line.startswith("cpu MHz")).split(":")[1]))


class GuestProcess:
    """A process of the machine, and the ssh that shows its output."""

    def __init__(self, machine: Machine, local: subprocess.Popen[str], pid: int, log: Path) -> None:
        self.pid = pid
        self.log = log
        self._machine = machine
        self._local = local

    def read_line(self) -> str:
        """The next line that it prints, without its end; RuntimeError when it has ended."""
        assert self._local.stdout is not None
        line = self._local.stdout.readline()
        if not line:
            raise RuntimeError(f"the process ended with {self._local.wait()}:\n{self.log.read_text(errors='replace')}")
        return line.rstrip("\n")

    def is_running(self) -> bool:
        return self._local.poll() is None

    def stop(self) -> None:
        for signal in ("TERM", "KILL"):
            if not self.is_running():
                return
            self._machine.run("kill", f"-{signal}", str(self.pid), check=False)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._local.wait(10)
