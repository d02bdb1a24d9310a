"""What systemd says of the agent's units: as whom they run, and whether the daemon's fails to start."""

import subprocess
from pathlib import Path

DAEMON = "rtcagentd.service"
BOOTED = Path("/run/systemd/system")
ANSWER_S = 10.0
# What a system unit of ours sees nothing of, whatever the permissions (ProtectHome=, PrivateTmp=).
HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))


def user_and_groups(unit: str) -> tuple[str, list[str]] | None:
    """The user and the further groups of a unit's processes, by name or number; None where there is no such unit."""
    known = _show(unit, "LoadState", "User", "Group", "SupplementaryGroups")
    if known.get("LoadState") != "loaded":
        return None
    return known["User"] or "root", [*known["Group"].split(), *known["SupplementaryGroups"].split()]


def failure_to_start() -> str:
    """The last words of a daemon whose unit should run and does not; '' where it does not fail."""
    known = _show(DAEMON, "LoadState", "ActiveState", "Result", "NRestarts")
    if known.get("LoadState") != "loaded":
        return ""
    restarts = known["ActiveState"] == "activating" and known["NRestarts"] != "0"
    if known["ActiveState"] != "failed" and not restarts:
        return ""
    said = _run("journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=1", f"_SYSTEMD_UNIT={DAEMON}")
    return said.strip() or f"systemd says {known['Result']}"


def _show(unit: str, *names: str) -> dict[str, str]:
    if not BOOTED.is_dir():
        return {}
    said = _run("systemctl", "show", *(f"--property={name}" for name in names), unit)
    return {name: value for name, _, value in (line.partition("=") for line in said.splitlines())}


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
