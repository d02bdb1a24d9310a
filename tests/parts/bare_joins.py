"""Joins a room through the bare LiveKit SDK and leaves it, as often as told, and says what memory was not given back.

`python -m tests.parts.bare_joins URL TOKEN COUNT`: bytes of each join, on stdout.
"""

import asyncio
import gc
import os
import sys

from livekit import rtc

from tests.parts.processes import Usage

WARM_UP = 20


async def joins(url: str, token: str, count: int) -> None:
    for _ in range(count):
        room = rtc.Room()
        await room.connect(url, token, rtc.RoomOptions(auto_subscribe=False))
        room.local_participant._ffi_handle.dispose()
        for participant in room.remote_participants.values():
            for publication in participant.track_publications.values():
                publication._ffi_handle.dispose()
            participant._ffi_handle.dispose()
        await room.disconnect()
        assert room._ffi_handle is not None
        room._ffi_handle.dispose()
        del room
        gc.collect()


async def main(url: str, token: str, count: int) -> None:
    await joins(url, token, WARM_UP)
    before = Usage.of(os.getpid()).memory_bytes
    await joins(url, token, count)
    print((Usage.of(os.getpid()).memory_bytes - before) // count)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
