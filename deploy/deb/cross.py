"""Building for a processor that is not this machine's: Debian's libraries of it, and what makes the tools use them.

Nothing of the other processor runs. pip, the code generators and CMake are this machine's; the compiler is Debian's
cross compiler, and the libraries and headers are unpacked from Debian's packages into a folder (the sysroot).
"""

import hashlib
import shutil
import subprocess
from pathlib import Path

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # Debian's name, the kernel's
PYTHON = (3, 11)
_SUITE = "bookworm"
_ELF_MACHINES = {"x86_64": 62, "aarch64": 183}
_HERE = Path(__file__).resolve().parent
_INDEXES = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(REPO_URI) $(RELEASE) $(COMPONENT)"


class CrossError(Exception):
    """It cannot be built for that processor here; the text says why and what to do."""


def libraries(root: Path) -> list[str]:
    """What the sysroot holds: the libraries that the native parts are built with, C's and Python's headers."""
    lines = (root / "deploy/packages.txt").read_text().splitlines()
    build = [line.split()[1] for line in lines if line.startswith("build ")]
    return ["libc6-dev", "libpython{}.{}-dev".format(*PYTHON), *(name for name in build if name.startswith("lib"))]


def sysroot(folder: Path, arch: str, packages: list[str]) -> Path:
    """Unpack `packages`, and all they depend on, in `folder`; one that is there and holds them is kept."""
    wanted = hashlib.sha256("\n".join([_SUITE, arch, *packages]).encode()).hexdigest()
    stamp = folder.with_name(f"{folder.name}.stamp")
    if folder.exists() and stamp.exists() and stamp.read_text() == wanted:
        return folder
    stamp.unlink(missing_ok=True)
    unpack(folder, arch, packages)
    stamp.write_text(wanted)
    return folder


def unpack(folder: Path, arch: str, packages: list[str]) -> None:
    """Unpack packages of Debian for `arch` with all they depend on. Needs no root, and runs nothing of theirs."""
    if shutil.which("mmdebstrap") is None:
        raise CrossError(f"mmdebstrap is missing: install the packages of the purpose {arch} in deploy/packages.txt")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    targets = ["apt-get", "indextargets", "--format", _INDEXES, "Created-By: Packages", "Origin: Debian"]
    lines = sorted({line for line in subprocess.check_output(targets, text=True).splitlines() if _SUITE in line})
    if not lines:
        raise CrossError(f"no apt source of Debian {_SUITE} is configured here, and the libraries come from there")
    sources = folder.with_name(f"{folder.name}.sources.list")
    sources.write_text("".join(f"{line}\n" for line in lines))
    settings = folder.with_name(f"{folder.name}.apt.conf")  # proxies, certificates and the like
    settings.write_bytes(subprocess.check_output(["apt-config", "dump", "Acquire"]))
    log = folder.with_name(f"{folder.name}.log")
    command = ["mmdebstrap", "--mode=chrootless", "--variant=extract", f"--architectures={arch}"]
    command += [f"--include={','.join(packages)}", f"--aptopt={settings}", '--aptopt=Apt::Install-Recommends "false"']
    with open(log, "wb") as file:
        done = subprocess.run([*command, _SUITE, folder, sources], stdout=file, stderr=file, check=False)
    if done.returncode != 0:
        raise CrossError(f"Debian's packages for {arch} could not be unpacked, see {log}")


def environment(folder: Path, arch: str) -> dict[str, str]:
    """What pip, setuptools, scikit-build-core, CMake and pkg-config go by, to build for `arch` from the sysroot."""
    machine = MACHINES[arch]
    triple = f"{machine}-linux-gnu"
    compiler = f"{triple}-g++"
    if shutil.which(compiler) is None:
        raise CrossError(f"{compiler} is missing: install the packages of the purpose {arch} in deploy/packages.txt")
    version = "{}.{}".format(*PYTHON)
    # How Python of that processor was built: one file, alone in a folder, since the rest of that library stays unused.
    told = folder.with_name(f"{folder.name}.sysconfig")
    told.mkdir(exist_ok=True)
    name = f"_sysconfigdata__{triple}"
    shutil.copy(folder / f"usr/lib/python{version}/{name}.py", told)
    libraries_of = folder / "usr/lib" / triple
    return {
        "_PYTHON_HOST_PLATFORM": f"linux-{machine}",  # wheels for it are taken and made
        "_PYTHON_SYSCONFIGDATA_NAME": name,  # the compiler's name, the suffix of modules
        "PYTHONPATH": str(told),
        "CFLAGS": f"--sysroot={folder}",
        "CPPFLAGS": f"-I{folder}/usr/include/python{version}",
        "LDFLAGS": f"--sysroot={folder}",
        "PKG_CONFIG_LIBDIR": f"{libraries_of}/pkgconfig:{folder}/usr/share/pkgconfig",
        "PKG_CONFIG_SYSROOT_DIR": str(folder),
        "CMAKE_TOOLCHAIN_FILE": str(_HERE / "toolchain.cmake"),
        "RTCAGENT_MACHINE": machine,
        "RTCAGENT_TRIPLE": triple,
        "RTCAGENT_SYSROOT": str(folder),
        "RTCAGENT_PYTHON": version,
    }


def foreign(folder: Path, arch: str) -> list[Path]:
    """The programs and libraries below `folder` that are not for `arch`."""
    wanted = _ELF_MACHINES[MACHINES[arch]]
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with open(path, "rb") as file:
                head = file.read(20)
            if head[:4] == b"\x7fELF" and int.from_bytes(head[18:20], "little") != wanted:
                found.append(path)
    return found
