"""The desired state in files of this machine, /etc/rtcagent/conf.d: ordered at the start and at each reload.

Only what has changed in the files is ordered, so that neither a restart of the daemon nor a reload undoes what a
controller has ordered since; after a boot also what nobody asks for any more. What is gone from the files is removed
where the files' own order for it still stands. All files together are one order: a mistake in one changes nothing.
"""

import asyncio
import hashlib
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import documents
from rtcagent_client.documents import Document, DocumentError

from rtcagentd.control.apply import Asked, asked_for, carry_out
from rtcagentd.control.errors import Code, OrderError, OrderProblems
from rtcagentd.control.events import cause, event
from rtcagentd.control.ledger import Edit, Ledger, Order
from rtcagentd.control.objects import PARTS, Key
from rtcagentd.control.orders import Orders
from rtcagentd.control.reconciler import Reconciler
from rtcagentd.control.state import State
from rtcagentd.store.faults import StoreError

log = logging.getLogger(__name__)

IDENTITY = "conf.d"  # of the controller that the files are
REMEMBERED = "conf.d"  # under what name the store has what was ordered from the files
SUFFIXES = (".yaml", ".yml", ".json")
MAX_BYTES = 1 << 20
MAX_TOLD = 2000  # characters of a report; the log has all


class ConfDir:
    """Orders what the files of one folder ask for."""

    def __init__(
        self, folder: Path, state: State, ledger: Ledger, orders: Orders, reconciler: Reconciler, this_boot: str
    ) -> None:
        self.folder = folder
        self._state = state
        self._ledger = ledger
        self._orders = orders
        self._reconciler = reconciler
        self._boot_id = this_boot
        self._one_at_a_time = asyncio.Lock()
        self._again = asyncio.Event()

    async def reapply(self) -> bool:
        """Read the files and order what has changed in them. False: they cannot be used, which is reported, or not yet.

        Never raises for what is in the files.
        """
        async with self._one_at_a_time:
            try:
                files = await asyncio.to_thread(read_folder, self.folder)
                await self._order(files)
            except DocumentError as error:
                await self._report(error.problems)
            except OrderProblems as error:
                if error.code is Code.UNAVAILABLE:
                    log.info("%s waits for the engine to tell its devices: %s", self.folder, error.message)
                    self._again.set()
                    return False
                await self._report([f"{place}: {text}" for place, text in error.fields])
            except OrderError as error:
                await self._report([error.message])
            except StoreError as error:
                await self._report([f"it cannot be stored now, and is tried again: {error}"])
                self._again.set()
            else:
                return True
            return False

    async def run(self) -> None:
        """Try again what could not be done at its time: before the devices were known, or on a full disk."""
        while True:
            await self._again.wait()
            while self._reconciler.session is None or not self._state.store.is_writable:
                await self._state.wait_for_change(self._state.version)
            self._again.clear()
            await self.reapply()

    async def _order(self, files: list[Document]) -> None:
        limits, is_up = self._reconciler.attached.limits, self._reconciler.session is not None
        asked = [
            item
            for file in files
            for item in asked_for(self._orders, file.desired, file.parts, limits, devices_known=is_up, where=file.where)
        ]
        kinds = list(PARTS.values())
        asked.sort(key=lambda item: kinds.index(item.key.kind))
        order = Order("ApplyState", ty.Controller(identity=IDENTITY, address=str(self.folder)), _FOREVER)
        taken = await self._ledger.take(order, lambda edits: self._edit(edits, asked))
        self._reconciler.retry_now(taken.changes)
        if taken.changes:
            changed = ", ".join(f"{key.kind} {key.text}" for key in taken.changes)
            log.info("ordered from the files in %s, revision %d: %s", self.folder, taken.revision, changed)

    def _edit(self, edits: Edit, asked: list[Asked]) -> None:
        """On the writer thread."""
        known: dict[str, Any] = json.loads(edits.recall(REMEMBERED) or "{}")
        ordered = {Key(kind, text): digest for kind, text, digest in known.get("objects", ())}
        is_new_boot = known.get("boot_id") != self._boot_id
        given = {item.key: _digest(item) for item in asked}
        times = Counter(item.key for item in asked)
        changed = [
            item
            for item in asked
            if ordered.get(item.key) != given[item.key]
            or times[item.key] > 1  # is refused there
            or (is_new_boot and edits.row(item.key) is None)
        ]
        gone = [key for key in ordered if key not in given and _is_ours(edits, key)]
        carry_out(self._orders, edits, changed, gone, PARTS)
        now = {"boot_id": self._boot_id, "objects": [[*key, digest] for key, digest in given.items()]}
        if now != known and (given or known):
            edits.remember(REMEMBERED, json.dumps(now))

    async def _report(self, problems: list[str]) -> None:
        for problem in problems:
            log.error("the desired state in %s is not used: %s", self.folder, problem)
        text = "; ".join(problems)
        text = text if len(text) <= MAX_TOLD else f"{text[:MAX_TOLD]}..."
        said = f"nothing of the files in {self.folder} is used, and what was asked for before holds on: {text}"
        await self._state.record(event(ev.ErrorOccurred(cause=cause(ty.REASON_FILE_INVALID, said))))


_FOREVER = ty.Keep(kind=ty.Keep.KIND_FOREVER)


def read_folder(folder: Path) -> list[Document]:
    """Every file of the folder, in the order of their names; none where there is no folder. DocumentError: with all
    that is wrong in all of them.
    """
    files, problems = [], []
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DocumentError([f"{folder}: {error.strerror}"]) from error
    for path in paths:
        try:
            files.append(_read_file(path))
        except DocumentError as error:
            problems += error.problems
    if problems:
        raise DocumentError(problems)
    return files


def _read_file(path: Path) -> Document:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
            mode = path.stat().st_mode
        if len(content) > MAX_BYTES:
            raise DocumentError([f"{path.name}: it is longer than {MAX_BYTES} bytes"])
        document = documents.read(content.decode(), path.name)
    except OSError as error:
        raise DocumentError([f"{path.name}: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise DocumentError([f"{path.name}: it is no UTF-8 text: {error.reason}"]) from error
    if mode & 0o004 and _has_secret(document):
        log.warning("%s has a token or a password and may be read by everybody: chmod o-r", path)
    return document


def _has_secret(document: Document) -> bool:
    urls = [capture.config.input.rtsp.url for capture in document.desired.captures]
    return any(room.config.token for room in document.desired.rooms) or any("@" in url for url in urls)


def _is_ours(edits: Edit, key: Key) -> bool:
    row = edits.row(key)
    return row is not None and row.body.order.controller.identity == IDENTITY


def _digest(asked: Asked) -> str:
    return hashlib.sha256(asked.body.SerializeToString(deterministic=True)).hexdigest()
