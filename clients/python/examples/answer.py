"""Answers rings: waits in a lobby, and for each ring has a call with whoever rang, in a room of its own.

    python answer.py --lobby lobby --room front-desk

A ring is a message with the topic "ring" (livekit-client: sendText, which names its sender from the start). It only
asks: which room the call is in, and how long it may last, is decided here.
"""

import argparse
import asyncio
import contextlib
import time

from rtcagent.v1.event_pb2 import Event
from rtcagent.v1.types_pb2 import VideoInput
from rtcagent_client import AsyncClient, AsyncEvents, inputs, keep

OLD_S = 10.0  # a ring that came during another call is not answered after it


async def serve(client: AsyncClient, lobby: str, room: str, wait_s: float, talk_s: float, camera: VideoInput) -> None:
    """Answer one ring after another, for ever."""
    await client.join_room(
        lobby, auto_publish=False, auto_subscribe_audio=False, auto_subscribe_video=False, keep=keep.forever()
    )
    async with client.messages([lobby], ["ring"]) as rings:
        print(f"waiting for rings in {lobby}", flush=True)
        async for ring in rings:
            if ring.user_id and time.time() - ring.received_at.ToNanoseconds() / 1e9 < OLD_S:
                await client.send_message(lobby, room, topic="answer", user_ids=[ring.user_id])
                await call(client, room, ring.user_id, wait_s, talk_s, camera)


async def call(client: AsyncClient, room: str, caller: str, wait_s: float, talk_s: float, camera: VideoInput) -> None:
    """Be in the room with the caller until they leave, do not come within `wait_s`, or `talk_s` have passed."""
    async with client.events(types=["user_joined", "user_left"], room_ids=[room]) as events:
        try:
            await client.start_video_capture(input=camera, check=False)
            await client.start_audio_capture(check=False)  # what is not plugged in is sent as soon as it is
            # also without this program the call ends, once the agent is alone
            await client.join_room(room, auto_publish=False, keep=keep.until_alone(60), check=False)
            await client.publish_stream(room, "camera", check=False)
            await client.publish_stream(room, "microphone", check=False)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await told(events, "user_joined", caller)
                async with asyncio.timeout(talk_s):
                    await told(events, "user_left", caller)
        finally:
            await client.leave_room(room, check=False)
            await client.stop_video_capture(check=False)
            await client.stop_audio_capture(check=False)


async def told(events: AsyncEvents[Event], kind: str, user_id: str) -> None:
    async for event in events:
        if event.WhichOneof("payload") == kind and event.user_id == user_id:
            return


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lobby", default="lobby")
    parser.add_argument("--room", default="front-desk")
    parser.add_argument("--wait", type=float, default=30, help="seconds for the caller to come")
    parser.add_argument("--talk", type=float, default=600, help="seconds that a call may last")
    parser.add_argument("--test-picture", action="store_true", help="instead of the camera")
    args = parser.parse_args()
    camera = inputs.test_pattern() if args.test_picture else inputs.camera()
    async with AsyncClient.connect() as client:
        await serve(client, args.lobby, args.room, args.wait, args.talk, camera)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
