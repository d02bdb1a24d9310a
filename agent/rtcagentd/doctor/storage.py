"""Looks whether the state can be written: folder, owner, space."""

import os
from collections.abc import Iterator
from pathlib import Path

from rtcagentd.config import Config
from rtcagentd.doctor.findings import Finding, note, ok, problem
from rtcagentd.doctor.processes import Processes, may_open

LITTLE_BYTES = 1 << 30
TOO_LITTLE_BYTES = 100 << 20


def check(config: Config, processes: Processes) -> Iterator[Finding]:
    """state_dir, and the file system that it is on."""
    who = processes.daemon_account
    folder = config.state_dir
    if folder.is_dir():
        if may_open(who, folder) is False:
            advice = f"chown -R {who.name} {folder}, or set state_dir to a folder that it may write to"
            yield problem("state folder", f"{who.name}, as whom rtcagentd runs, may not write to {folder}", advice)
        else:
            yield ok("state folder", f"{folder} can be written to by {who.name}")
    else:
        above = next(parent for parent in folder.parents if parent.exists())
        if may_open(who, above) is False:
            advice = f"create {folder} for {who.name}, or set state_dir to a folder that it may write to"
            yield problem("state folder", f"{folder} does not exist and {who.name} may not create it", advice)
        else:
            yield ok("state folder", f"{folder} will be created at the first start")
    yield from _space(folder)


def _space(folder: Path) -> Iterator[Finding]:
    on = next(each for each in (folder, *folder.parents) if each.exists())
    status = os.statvfs(on)
    free = status.f_bavail * status.f_frsize
    text = f"{free / 1e9:.1f} GB are free for {folder}"
    advice = "make room: when the disk is full, orders are refused"
    if free < TOO_LITTLE_BYTES:
        yield problem("disk", text, advice)
    elif free < LITTLE_BYTES:
        yield note("disk", text, advice)
    else:
        yield ok("disk", text)
    if status.f_files and status.f_favail < 1000:
        yield problem("disk", f"only {status.f_favail} files more can be created on the disk of {folder}", advice)
