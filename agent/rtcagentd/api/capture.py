"""rtcagent.v1.Capture: opening and closing sources, and looking at their pictures."""

from typing import Any

from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import capture_pb2, capture_pb2_grpc
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.api.ordering import Later, OrderDesk
from rtcagentd.api.video import VideoCalls
from rtcagentd.control import checks
from rtcagentd.control.errors import OrderError, invalid, precondition
from rtcagentd.control.ids import DEFAULT_SOURCE_ID
from rtcagentd.control.orders import Orders
from rtcagentd.control.reconciler import Reconciler

_Missing = en.TakeSnapshotResponse.Missing


class CaptureService(VideoCalls, capture_pb2_grpc.CaptureServicer):
    """See proto/rtcagent/v1/capture.proto."""

    def __init__(self, orders: Orders, desk: OrderDesk, reconciler: Reconciler) -> None:
        self._orders = orders
        self._desk = desk
        self._reconciler = reconciler

    async def StartVideoCapture(
        self, request: capture_pb2.StartVideoCaptureRequest, context: Any
    ) -> capture_pb2.StartVideoCaptureResponse:
        limits, is_up = self._reconciler.attached.limits, self._reconciler.session is not None
        edits = Later(lambda: self._orders.start_video_capture(request, limits, devices_known=is_up))
        return capture_pb2.StartVideoCaptureResponse(
            result=await self._desk.take(request, request.order, edits, context)
        )

    async def StopVideoCapture(
        self, request: capture_pb2.StopVideoCaptureRequest, context: Any
    ) -> capture_pb2.StopVideoCaptureResponse:
        edits = self._orders.stop_video_capture(request)
        return capture_pb2.StopVideoCaptureResponse(
            result=await self._desk.take(request, request.order, edits, context)
        )

    async def StartAudioCapture(
        self, request: capture_pb2.StartAudioCaptureRequest, context: Any
    ) -> capture_pb2.StartAudioCaptureResponse:
        edits = Later(lambda: self._orders.audio.start(request))
        result = await self._desk.take(request, request.order, edits, context)
        return capture_pb2.StartAudioCaptureResponse(result=result)

    async def StopAudioCapture(
        self, request: capture_pb2.StopAudioCaptureRequest, context: Any
    ) -> capture_pb2.StopAudioCaptureResponse:
        result = await self._desk.take(request, request.order, self._orders.audio.stop(request), context)
        return capture_pb2.StopAudioCaptureResponse(result=result)

    async def SetCaptureVolume(
        self, request: capture_pb2.SetCaptureVolumeRequest, context: Any
    ) -> capture_pb2.SetCaptureVolumeResponse:
        result = await self._desk.take(request, request.order, self._orders.audio.set_volume(request), context)
        return capture_pb2.SetCaptureVolumeResponse(result=result)

    async def SetAudioProfile(
        self, request: capture_pb2.SetAudioProfileRequest, context: Any
    ) -> capture_pb2.SetAudioProfileResponse:
        result = await self._desk.take(request, request.order, self._orders.audio.set_profile(request), context)
        return capture_pb2.SetAudioProfileResponse(result=result)

    async def TakeSnapshot(
        self, request: capture_pb2.TakeSnapshotRequest, context: Any
    ) -> capture_pb2.TakeSnapshotResponse:
        asked = en.TakeSnapshotRequest(format=request.format or capture_pb2.IMAGE_FORMAT_PNG)
        if request.format not in capture_pb2.ImageFormat.values():
            raise invalid("format", "VALUE_UNKNOWN", f"this agent knows no image format {request.format}")
        if request.WhichOneof("of") == "remote_stream":
            remote = request.remote_stream
            checks.room_id(remote.room_id, "remote_stream.room_id")
            checks.user_id(remote.user_id, "remote_stream.user_id")
            asked.remote_stream.CopyFrom(remote)
            asked.remote_stream.kind = remote.kind or ty.STREAM_KIND_CAMERA
            what = f"stream of user {remote.user_id!r} in room {remote.room_id!r}"
        else:
            asked.source_id = checks.source_id(request.source_id or DEFAULT_SOURCE_ID)
            what = f"source {asked.source_id!r}"
        answer = await self._reconciler.ask(lambda session: session.take_snapshot(asked))
        if answer.missing:
            raise _no_picture(answer.missing, what)
        return capture_pb2.TakeSnapshotResponse(
            image=answer.image,
            format=asked.format,
            width=answer.width,
            height=answer.height,
            captured_at=answer.captured_at,
        )

    async def GetCaptureStats(
        self, request: capture_pb2.GetCaptureStatsRequest, context: Any
    ) -> capture_pb2.GetCaptureStatsResponse:
        answer: en.GetMediaStatsResponse = await self._reconciler.ask(lambda session: session.media_stats())
        return answer.stats


def _no_picture(missing: en.TakeSnapshotResponse.Missing.ValueType, what: str) -> OrderError:
    match missing:
        case _Missing.MISSING_NOT_CAPTURED:
            return precondition("NOT_CAPTURED", f"there is no picture: {what} is not captured")
        case _Missing.MISSING_NOT_SUBSCRIBED:
            return precondition("NOT_SUBSCRIBED", f"there is no picture: the {what} is not received")
    return precondition("NO_FRAME", f"there is no picture yet: no frame of the {what} has come")
