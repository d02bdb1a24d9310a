"""Reads the SDK's statistics: what the room server acknowledges, and how far the frames of one publication get."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from livekit.rtc import _ffi_client
from livekit.rtc._proto import ffi_pb2 as proto_ffi
from livekit.rtc._proto import stats_pb2 as proto_stats

ANSWER_S = 1.0  # the library answers in 1-5 ms, and not at all about what is gone


@dataclass(frozen=True)
class RoomReading:
    """Of both connections of one room, since each was made; they begin at 0 again when the SDK makes them anew."""

    packets_received: int  # media, RTCP and STUN: some every 2.5 s from a server that is there
    media_sent: int  # packets of own media


@dataclass(frozen=True)
class PublicationReading:
    """Of all layers of one publication, since it was made."""

    is_active: bool  # the room asks for at least one layer
    frames_encoded: int  # of sound: its packets, as libwebrtc counts none
    packets_sent: int
    acknowledged: int  # changes with each receiver report; no unit
    coder: str = ""  # who encodes
    is_hardware: bool = False


async def read_room(room_handle: int) -> RoomReading | None:
    """None where there is nothing to be read: the SDK is making its connections, or has closed them."""
    request = proto_ffi.FfiRequest()
    request.get_session_stats.room_handle = room_handle
    answer = await _ask(request, "get_session_stats")
    if answer is None or answer.get_session_stats.error:
        return None
    result = answer.get_session_stats.result
    both = [*result.publisher_stats, *result.subscriber_stats]
    return RoomReading(
        packets_received=sum(_received(each) for each in both),
        media_sent=sum(each.outbound_rtp.sent.packets_sent for each in both if each.HasField("outbound_rtp")),
    )


def _received(stats: proto_stats.RtcStats) -> int:
    if stats.HasField("transport"):
        return stats.transport.transport.packets_received  # without STUN
    if stats.HasField("candidate_pair"):
        pair = stats.candidate_pair.candidate_pair
        return pair.responses_received + pair.requests_received
    return 0


async def read_publication(track_handle: int) -> PublicationReading | None:
    """None where the track is not sent."""
    request = proto_ffi.FfiRequest()
    request.get_stats.track_handle = track_handle
    answer = await _ask(request, "get_stats")
    if answer is None or answer.get_stats.error:
        return None
    return _publication(answer.get_stats.stats)


async def read_track(track_handle: int) -> list[proto_stats.RtcStats] | None:
    """All that is counted of one track, own or received; None: there is no answer."""
    request = proto_ffi.FfiRequest()
    request.get_stats.track_handle = track_handle
    answer = await _ask(request, "get_stats")
    return None if answer is None or answer.get_stats.error else list(answer.get_stats.stats)


async def read_session(room_handle: int) -> list[proto_stats.RtcStats] | None:
    """All that is counted of the connections of one room; None: there is no answer."""
    request = proto_ffi.FfiRequest()
    request.get_session_stats.room_handle = room_handle
    answer = await _ask(request, "get_session_stats")
    if answer is None or answer.get_session_stats.error:
        return None
    result = answer.get_session_stats.result
    return [*result.publisher_stats, *result.subscriber_stats]


def _publication(stats: Iterable[proto_stats.RtcStats]) -> PublicationReading | None:
    layers = [each.outbound_rtp for each in stats if each.HasField("outbound_rtp")]
    reports = [each.remote_inbound_rtp for each in stats if each.HasField("remote_inbound_rtp")]
    if not layers:
        return None
    return PublicationReading(
        is_active=any(layer.outbound.active for layer in layers),
        frames_encoded=sum(
            layer.outbound.frames_encoded if layer.stream.kind == "video" else layer.sent.packets_sent
            for layer in layers
        ),
        packets_sent=sum(layer.sent.packets_sent for layer in layers),
        acknowledged=sum(report.rtc.timestamp for report in reports),
        coder=next((layer.outbound.encoder_implementation for layer in layers if layer.outbound.active), ""),
        is_hardware=any(layer.outbound.power_efficient_encoder for layer in layers),
    )


async def _ask(request: proto_ffi.FfiRequest, kind: str) -> proto_ffi.FfiEvent | None:
    client = _ffi_client.FfiClient.instance
    queue = client.queue.subscribe(filter_fn=lambda event: event.WhichOneof("message") == kind)
    try:
        async with asyncio.timeout(ANSWER_S):
            async_id = getattr(client.request(request), kind).async_id
            answer: proto_ffi.FfiEvent = await queue.wait_for(lambda event: getattr(event, kind).async_id == async_id)
            return answer
    except TimeoutError:
        return None
    finally:
        client.queue.unsubscribe(queue)
