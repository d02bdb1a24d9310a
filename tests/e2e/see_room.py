"""see_room.py URL TOKEN USER_ID NAME: joins a room and ends with 0 once that user's stream shows colour bars.

A program of its own, so that a test can run it in another network namespace. Prints the picture's size as JSON.
"""

import asyncio
import json
import sys

from tests.parts.listener import Listener
from tests.parts.picture import BARS, bars

TIMEOUT_MS = 25_000


async def main(url: str, token: str, user_id: str, name: str) -> None:
    listener = Listener()
    try:
        await listener.join(url, token)
        await listener.picture(user_id, name, until=lambda picture: bars(picture, y=0.2) == BARS, timeout_ms=TIMEOUT_MS)
        width, height = listener.video(user_id, name).size()
        print(json.dumps({"width": width, "height": height}), flush=True)
    finally:
        await listener.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
