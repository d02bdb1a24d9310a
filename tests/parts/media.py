"""What the agent itself says of its media: counters of frames, and snapshots that wait for the first frame."""

import grpc
import grpc.aio
from rtcagent.v1 import capture_pb2 as cap
from rtcagent.v1 import types_pb2 as ty

from tests.parts.controller import Controller, error_reason
from tests.parts.picture import Picture, decode
from tests.parts.waiting import until


async def publication(control: Controller, room_id: str, source_id: str = "camera") -> cap.PublicationStats:
    """Counters of one own stream; all zero while there is none."""
    stats = await control.capture.GetCaptureStats(cap.GetCaptureStatsRequest(), timeout=10)
    for each in stats.publications:
        if (each.room_id, each.source_id) == (room_id, source_id):
            return each  # type: ignore[no-any-return]
    return cap.PublicationStats()


async def pushed(control: Controller, room_id: str, source_id: str = "camera") -> int:
    """Frames of one own stream that were handed to the encoder."""
    return (await publication(control, room_id, source_id)).frames_pushed


async def held_back(
    control: Controller, room_id: str, count: int, source_id: str = "camera", *, timeout_ms: float = 10_000
) -> None:
    """Wait until `count` frames more have been captured and not sent."""
    wanted = (await publication(control, room_id, source_id)).frames_gated + count

    async def enough() -> bool:
        return (await publication(control, room_id, source_id)).frames_gated >= wanted

    await until(enough, timeout_ms=timeout_ms, what=f"{count} frames of {source_id!r} are held back from {room_id!r}")


async def remote_snapshot(control: Controller, room_id: str, user_id: str, name: str) -> Picture:
    """The picture of another user's stream, as soon as there is one."""
    stream = ty.ObjectRef.RemoteStream(room_id=room_id, user_id=user_id, kind=ty.STREAM_KIND_CAMERA, name=name)
    images: list[bytes] = []

    async def there_is_one() -> bool:
        try:
            request = cap.TakeSnapshotRequest(remote_stream=stream)
            images.append((await control.capture.TakeSnapshot(request, timeout=10)).image)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION or error_reason(error) != "NO_FRAME":
                raise
        return bool(images)

    await until(there_is_one, timeout_ms=10_000, what=f"a picture of {name!r} of {user_id!r} has arrived at the agent")
    return decode(images[0])
