"""Lays the package's files out, writes its control files, and packs it.

/usr/lib/rtcagent/VERSION is dpkg's, and nothing runs from it: dpkg removes the old version's files before the new one
is set up. postinst makes a copy of hard links below /usr/lib/rtcagent/running, which costs no space, points `current`
at it, and restarts the service; a copy goes when no process uses it any more.
"""

import gzip
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from cross import PYTHON
from payload import digest

HERE = Path(__file__).resolve().parent
_CONTROL = """\
Package: rtcagent
Version: {version}
Architecture: {arch}
Maintainer: rtcagent <rtcagent@localhost>
Installed-Size: {size}
Depends: {depends}
Recommends: libpam-systemd, systemd-timesyncd | time-daemon
Suggests: zstd
Section: video
Priority: optional
Description: remote control of a machine's camera and screen in RTC rooms
 A daemon that gives remote controllers, over gRPC, control of this machine's
 cameras in RTC rooms: join, publish, mute, watch every callback. It keeps the
 machine in the state that it was told to be in, through crashes, unplugged
 cameras and lost networks. With an embedded room server, off by default.
"""


def build(root: Path, work: Path, environment: Path, arch: str, version: str, output: Path) -> Path:
    """Pack `environment` and the service's files; returns the package's path."""
    tree = work / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    folder = tree / "usr/lib/rtcagent" / version
    shutil.copytree(environment, folder, symlinks=True, copy_function=os.link)
    release = f"{version}-{digest(environment)}"
    _service(root, tree)
    _documents(root, tree, version)
    control = tree / "DEBIAN"
    control.mkdir()
    for script in (HERE / "scripts").iterdir():
        text = script.read_text().replace("@VERSION@", version).replace("@RELEASE@", release)
        _write(control / script.name, text, 0o755)
    _write(control / "conffiles", "/etc/rtcagent/rtcagent.toml\n")
    _write(control / "md5sums", _checksums(tree))
    size = sum(path.lstat().st_size for path in tree.rglob("*") if path.is_file() and not path.is_symlink()) >> 10
    depends = ", ".join(_depends(root))
    _write(control / "control", _CONTROL.format(version=version, arch=arch, size=size, depends=depends))
    output.mkdir(parents=True, exist_ok=True)
    result = output / f"rtcagent_{version}_{arch}.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zzstd", "--build", tree, result], check=True, stdout=subprocess.DEVNULL
    )
    return result


def _depends(root: Path) -> list[str]:
    lines = (root / "deploy/packages.txt").read_text().splitlines()
    run = [line.split()[1] for line in lines if line.startswith("run ")]
    major, minor = PYTHON
    python = [f"python3 (>= {major}.{minor})", f"python3 (<< {major}.{minor + 1})"]
    # systemd 252: credentials by specifier; dbus and polkit: the daemon manages the engine's unit
    return [*python, "systemd (>= 252)", "dbus", "polkitd", "libc6 (>= 2.36)", "libstdc++6 (>= 12)", *run]


def _service(root: Path, tree: Path) -> None:
    units = root / "deploy/systemd"
    for source, target in (
        ("system", "lib/systemd/system"),
        ("user", "usr/lib/systemd/user"),
        ("sysusers.d", "usr/lib/sysusers.d"),
        ("polkit", "usr/share/polkit-1/rules.d"),
    ):
        for file in (units / source).iterdir():
            _write(tree / target / file.name, file.read_text())
    for place, program in (("usr/sbin", "rtcagentd"), ("usr/bin", "rtcctl")):
        text = f'#!/bin/sh\nexec /usr/lib/rtcagent/current/bin/{program} "$@"\n'
        _write(tree / place / program, text, 0o755)
    _write(tree / "etc/rtcagent/rtcagent.toml", _configuration(root))


def _configuration(root: Path) -> str:
    """The explained example, with what the package's units need."""
    text = (root / "deploy/rtcagent.toml").read_text()
    for before, after in (
        ("#[engine]\n", "[engine]\n"),
        ('#launcher = "child"\n', 'launcher = "systemd"\n'),
        ('binary = "/usr/lib/rtcagent/livekit-server"', 'binary = "/usr/lib/rtcagent/current/bin/livekit-server"'),
    ):
        if text.count(before) != 1:
            raise RuntimeError(f"deploy/rtcagent.toml has not one line {before!r}")
        text = text.replace(before, after)
    return text


def _documents(root: Path, tree: Path, version: str) -> None:
    folder = tree / "usr/share/doc/rtcagent"
    for file in (root / "README.md", *(root / "docs").glob("*.md")):
        _write(folder / file.name, file.read_text())
    _write(tree / "usr/share/rtcagent/rtcagent.toml", (root / "deploy/rtcagent.toml").read_text())  # for sessions
    _write(folder / "copyright", (HERE / "files/copyright").read_text())
    changes = (
        f"rtcagent ({version}) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- rtcagent <rtcagent@localhost>  "
    )
    changes += subprocess.check_output(["date", "-uR", "-d", f"@{os.environ['SOURCE_DATE_EPOCH']}"], text=True)
    (folder / "changelog.gz").write_bytes(gzip.compress(changes.encode(), 9, mtime=0))
    (folder / "CHANGELOG.md.gz").write_bytes(gzip.compress((root / "CHANGELOG.md").read_bytes(), 9, mtime=0))


def _checksums(tree: Path) -> str:
    lines = []
    for path in sorted(tree.rglob("*")):
        name = path.relative_to(tree)
        if path.is_file() and not path.is_symlink() and name.parts[0] not in ("DEBIAN", "etc"):
            lines.append(f"{hashlib.md5(path.read_bytes()).hexdigest()}  {name}\n")
    return "".join(lines)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
