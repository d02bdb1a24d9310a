"""A watcher in a process of its own, to be killed at any moment: it writes each event down before it reads the next.

A program: `python -m tests.parts.watching_process ADDRESS FILE LOG_ID SEQ`. It goes on after that position (with LOG_ID
"" that of any log), and over restarts of the daemon. Each line of FILE is a log_id, a seq and the event in
hexadecimal.
"""

import asyncio
import os
import sys
from pathlib import Path

import grpc
import grpc.aio
from rtcagent.v1 import state_pb2 as st

from tests.parts.controller import Controller


async def main(address: str, path: str, log_id: str, seq: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    control = Controller(address)
    while True:
        try:
            async for response in control.watch(st.Position(log_id=log_id, seq=seq)):
                log_id = response.log_id or log_id
                if response.HasField("gap"):
                    raise RuntimeError(f"events are missing: {response.gap}")
                for event in response.events:
                    seq = event.seq
                    body = event.SerializeToString(deterministic=True).hex()
                    os.write(file, f"{log_id} {seq} {body}\n".encode())
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise


def read(path: Path) -> list[tuple[str, int, bytes]]:
    """What watching processes wrote: log_id, seq and event. A line is written at once, so whole, or not at all."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [(log_id, int(seq), bytes.fromhex(body)) for log_id, seq, body in (line.split() for line in lines)]


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
