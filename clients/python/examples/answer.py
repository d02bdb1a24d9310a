"""Answers rings: waits in a lobby, and has a call with whoever rang, in a room of its own, shown full screen.

    python answer.py --lobby lobby --room front-desk

A ring is a message with the topic "ring". Which room the call is in, and how long it may last, is decided here.
"""

import argparse
import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta

from rtcagent_client import AsyncClient, RtcAgentError, inputs, keep


async def call(client: AsyncClient, caller: str, asked: argparse.Namespace) -> None:
    """Be in the room until the caller leaves, does not come in time, or has talked for long enough."""
    end = keep.until(datetime.now(UTC) + timedelta(seconds=asked.wait + asked.talk))  # also without this program
    camera = inputs.test_pattern() if asked.test_picture else inputs.camera()
    async with client.events(types=["user_joined", "user_left"], room_ids=[asked.room]) as events:
        try:  # `check=False`: what is not plugged in is sent, or shown, as soon as it is
            await client.start_video_capture(input=camera, keep=end, check=False)
            await client.start_audio_capture(keep=end, check=False)
            await client.set_remote_video_canvas(asked.room, caller, keep=end, check=False)  # the whole display
            await client.join_room(asked.room, keep=keep.until_alone(60), check=False)  # sends camera and microphone
            for kind, seconds in (("user_joined", asked.wait), ("user_left", asked.talk)):
                async with asyncio.timeout(seconds):
                    while (event := await anext(events)).WhichOneof("payload") != kind or event.user_id != caller:
                        pass
        except TimeoutError:
            print(f"time is over for {caller}", flush=True)
        finally:
            left = client.leave_room(asked.room), client.remove_canvas("remote")
            for ending in (*left, client.stop_audio_capture(), client.stop_video_capture()):
                with contextlib.suppress(RtcAgentError):  # as when it has ended by itself
                    await ending


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lobby", default="lobby")
    parser.add_argument("--room", default="front-desk")
    parser.add_argument("--wait", type=float, default=30, help="seconds for the caller to come")
    parser.add_argument("--talk", type=float, default=600, help="seconds that a call may last")
    parser.add_argument("--test-picture", action="store_true", help="instead of the camera")
    asked = parser.parse_args()
    async with AsyncClient.connect() as client, client.messages([asked.lobby], ["ring"]) as rings:
        await client.join_room(
            asked.lobby, auto_publish=False, auto_subscribe_audio=False, auto_subscribe_video=False, keep=keep.forever()
        )
        print(f"waiting for rings in {asked.lobby}", flush=True)
        async for ring in rings:
            if ring.user_id and time.time() - ring.received_at.seconds < 10:  # not one that came during another call
                await client.send_message(asked.lobby, asked.room, topic="answer", user_ids=[ring.user_id])
                await call(client, ring.user_id, asked)


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
