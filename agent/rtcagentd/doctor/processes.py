"""The agent's processes that run on this machine, the accounts they run as, and what an account may open."""

import contextlib
import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from rtcagentd.config import Config
from rtcagentd.doctor import units

PROC = Path("/proc")
ACL = "system.posix_acl_access"


@dataclass(frozen=True, slots=True)
class Account:
    """A user with its groups."""

    name: str
    uid: int
    gids: frozenset[int]

    @property
    def is_ours(self) -> bool:
        return self.uid == os.geteuid()


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    account: Account


@dataclass(frozen=True, slots=True)
class Processes:
    """What runs, and as whom it runs or would run."""

    daemon: Process | None
    engine: Process | None
    daemon_account: Account
    engine_account: Account


def look(config: Config) -> Processes:
    """Find the agent's processes. Where none runs, its account is that of its unit, of the state, or our own."""
    by_units = config.engine.launcher == "systemd"
    pid = _holder(config.state_dir / "lock")
    daemon = _process(pid) if pid is not None else None
    engine = _engine(config, daemon)
    if daemon is not None:
        daemon_account = daemon.account
    else:
        of_unit = _of_unit(units.DAEMON) if by_units else None
        daemon_account = of_unit or _owner(config.state_dir) or current()
    if engine is not None:
        engine_account = engine.account
    else:
        of_unit = _of_unit(config.engine.unit) if by_units else None
        engine_account = of_unit or daemon_account
    return Processes(daemon, engine, daemon_account, engine_account)


def current() -> Account:
    return Account(_name(os.geteuid()), os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))


def account(entry: pwd.struct_passwd) -> Account:
    """As the user database has it: what a new session of that user gets."""
    return Account(entry.pw_name, entry.pw_uid, frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid)))


def may_open(who: Account, path: Path) -> bool | None:
    """Whether an account may read and write what exists; None: an access list decides, which is not ours to ask."""
    return _may(who, path, os.R_OK | os.W_OK)


def may_read(who: Account, path: Path) -> bool | None:
    """Whether an account may read a file, and comes to it through the folders above; OSError where there is none."""
    path.stat()
    answers = [_may(who, path, os.R_OK), *(_may(who, folder, os.X_OK) for folder in path.parents)]
    return False if False in answers else None if None in answers else True


def _may(who: Account, path: Path, access: int) -> bool | None:
    """`access`: of os.access, whose bits are those of a file's mode."""
    if who.is_ours:
        return os.access(path, access)
    if who.uid == 0:
        return True
    status = path.stat()
    with contextlib.suppress(OSError):
        if os.getxattr(path, ACL):
            return None
    if status.st_uid == who.uid:
        mode = status.st_mode >> 6
    elif status.st_gid in who.gids:
        mode = status.st_mode >> 3
    else:
        mode = status.st_mode
    return mode & access == access


def group_name(gid: int) -> str:
    with contextlib.suppress(KeyError):
        return grp.getgrgid(gid).gr_name
    return str(gid)


def command_of(pid: int) -> str:
    """The program of a process, as people know it."""
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "comm").read_text().strip()
    return "?"


def ancestors(pid: int) -> list[int]:
    """A process and those that started it."""
    found = []
    while pid > 1 and pid not in found:
        found.append(pid)
        try:
            pid = int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            break
    return found


def _holder(lock: Path) -> int | None:
    """The process that has the state folder's lock."""
    try:
        inode = str(lock.stat().st_ino)
        lines = (PROC / "locks").read_text().splitlines()
    except OSError:
        return None
    for words in map(str.split, lines):
        if len(words) > 5 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode and words[4].isdecimal():
            return int(words[4])
    return None


def _engine(config: Config, daemon: Process | None) -> Process | None:
    """The process that listens on the engine's socket of this configuration."""
    ours = {str(config.runtime_dir / "engine.sock"), str(config.engine.socket)}
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            is_engine = any(word.endswith(("rtcagent-engine", "rtcagentd.engine.main")) for word in words[:3])
            pid = int(folder.name)
            if is_engine and (ours.intersection(words) or (daemon is not None and daemon.pid in ancestors(pid))):
                return _process(pid)
    return None


def _process(pid: int) -> Process | None:
    try:
        lines = dict(line.partition(":")[::2] for line in (PROC / str(pid) / "status").read_text().splitlines())
        uid, gid = int(lines["Uid"].split()[1]), int(lines["Gid"].split()[1])
        groups = map(int, lines.get("Groups", "").split())
    except (OSError, ValueError, KeyError):
        return None  # it has ended
    return Process(pid, Account(_name(uid), uid, frozenset({gid, *groups})))


def _of_unit(unit: str) -> Account | None:
    """As whom a unit's processes run; the unit gives them groups that the user database does not."""
    known = units.user_and_groups(unit)
    if known is None:
        return None
    user, groups = known
    try:
        who = account(pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user))
    except KeyError:
        return None
    gids = set(who.gids)
    for name in groups:
        with contextlib.suppress(KeyError):
            gids.add(int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid)
    return Account(who.name, who.uid, frozenset(gids))


def _owner(folder: Path) -> Account | None:
    try:
        uid = folder.stat().st_uid
        return current() if uid == os.geteuid() else account(pwd.getpwuid(uid))
    except (OSError, KeyError):
        return None


def _name(uid: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)
