"""What the SDK's statistics say of a real connection."""

import asyncio

from livekit import rtc
from rtcagentd.engine.livekit import media_stats
from rtcagentd.engine.livekit.media_judges import SILENT_S

from tests.parts.room_server import RoomServer
from tests.parts.waiting import until


async def test_a_room_into_which_nothing_is_sent_gives_signs_of_life(room_server: RoomServer) -> None:
    """Twice as often at the least as the judge of a dead link wants them."""
    room = rtc.Room()
    await room.connect(room_server.url, room_server.token("lobby", "silent"), rtc.RoomOptions(auto_subscribe=False))
    assert room._ffi_handle is not None
    handle = room._ffi_handle.handle

    async def received() -> int:
        reading = await media_stats.read_room(handle)
        assert reading is not None
        return reading.packets_received

    try:
        await asyncio.sleep(1.0)  # the exchange at the join is over
        for _ in range(2):
            before = await received()

            async def is_more(before: int = before) -> bool:
                return await received() > before

            await until(is_more, timeout_ms=SILENT_S * 1000 / 2 + 500, what="a sign of life")
    finally:
        await room.disconnect()
