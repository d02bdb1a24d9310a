"""Gives orders and writes events to a store as fast as it takes them, and says of each when it was acknowledged.

A program that is killed: `python -m tests.parts.order_writer`. For each line `PATH` on stdin it forks a child that
writes to the store at PATH, and answers with the child's pid; the child's acknowledgements go to PATH.acks. The
imports, which take longest, are made once.
"""

import asyncio
import os
import sys
from pathlib import Path

from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagentd.control.events import event
from rtcagentd.control.ledger import Edit, Ledger, Order
from rtcagentd.control.objects import capture_key, room_key
from rtcagentd.control.state import State
from rtcagentd.journal.journal import Journal
from rtcagentd.journal.retention import Retention
from rtcagentd.store.database import Database

ROOMS = 5
CONTROLLERS = 3


def room_and_capture(edits: Edit, number: int, stamp: str) -> None:
    """An order that changes two objects: both have the same stamp, or the order is half applied."""
    room = ty.RoomConfig(room_id=f"r{number}", extra_info=stamp)
    edits.put(room_key(f"r{number}"), st.DesiredRoom(config=room), stamp)
    source = ty.CaptureConfig(input=ty.VideoInput(file=ty.VideoInput.File(path=stamp)))
    edits.put(capture_key(f"r{number}"), st.DesiredCapture(source_id=f"r{number}", config=source))


async def write(path: Path) -> None:
    acks = os.open(f"{path}.acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with Database(path) as database:
        journal = Journal(database, Retention(300, 3600.0, 1 << 30))
        await journal.open()
        state = State(database, journal)
        await state.load()
        ledger = Ledger(state, "boot")
        os.write(acks, f"open {journal.log_id} {state.revision}\n".encode())

        async def controller(number: int) -> None:
            """Orders about rooms of its own, one after the other."""
            count = state.revision * 1000
            while True:
                count += 1
                stamp, index = f"{number}-{count}", number * ROOMS + count % ROOMS
                request_id = f"{os.getpid()}-{stamp}"
                order = Order("Join", ty.Controller(), ty.Keep(kind=ty.Keep.KIND_FOREVER), request_id)
                os.write(acks, f"begin {index} {stamp}\n".encode())
                taken = await ledger.take(order, lambda edits: room_and_capture(edits, index, stamp))  # noqa: B023
                os.write(acks, f"taken {taken.revision} {index} {stamp} {request_id}\n".encode())

        async def engine() -> None:
            while True:
                capture = st.CaptureStatus(source_id="camera", state=st.CAPTURE_STATE_CAPTURING)
                commit = await state.record(event(ev.CaptureStateChanged(capture=capture)))
                os.write(acks, f"seq {commit.entries[-1].seq}\n".encode())

        async with asyncio.TaskGroup() as tasks:
            for number in range(CONTROLLERS):
                tasks.create_task(controller(number))
            tasks.create_task(engine())


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(write(Path(line.strip())))
            os._exit(0)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(status, flush=True)


if __name__ == "__main__":
    main()
