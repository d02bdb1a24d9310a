"""Runs a program of an arm64 Debian here: in an unpacked root, by QEMU's emulation of the processor.

Everything is in namespaces of its own and goes with them: the kernel's rule that gives arm64 programs to QEMU, the
mounts, and a network that leads nowhere. Needs no root.
"""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

_RULE = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
_ENTER = """
root=$1; shift
mount -t proc proc /proc
mount -t binfmt_misc binfmt /proc/sys/fs/binfmt_misc
cat "$RULE" >/proc/sys/fs/binfmt_misc/register
for each in dev proc sys; do mount --rbind /$each "$root/$each"; done
for each in run tmp; do mount -t tmpfs $each "$root/$each"; done
while [ "$1" != -- ]; do mkdir -p "$root$2"; mount --bind "$1" "$root$2"; shift 2; done; shift
ip link set lo up
ip link add lan type veth peer name far; ip addr add 192.0.2.1/24 dev lan; ip link set lan up; ip link set far up
exec chroot "$root" "$@"
"""


def missing() -> list[str]:
    """The Debian packages of this machine that it needs and that are not there."""
    tools = {"qemu-user-static": "qemu-aarch64-static", "mmdebstrap": "mmdebstrap", "iproute2": "ip"}
    tools["g++-aarch64-linux-gnu"] = "aarch64-linux-gnu-g++"
    found = [package for package, tool in tools.items() if shutil.which(tool, path="/usr/bin:/usr/sbin:/sbin") is None]
    return found or ([] if _RULE.exists() else ["qemu-user-static"])


def run(root: Path, binds: Mapping[Path, str], *command: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run `command` in `root`, with folders of this machine seen at other places there; it ends with all it started."""
    pairs = [str(part) for pair in binds.items() for part in pair]
    enter = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child"]
    return subprocess.run(
        [*enter, "sh", "-ec", _ENTER, "sh", str(root), *pairs, "--", *command],
        env={"RULE": str(_RULE), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
