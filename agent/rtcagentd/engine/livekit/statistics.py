"""Reads the SDK's statistics of one room as the counters that rates are made of."""

import asyncio
import time
from collections.abc import Iterable

from livekit import rtc
from livekit.rtc._proto import stats_pb2 as proto
from rtcagent.v1 import state_pb2 as state
from rtcagent.v1 import statistics_pb2 as stat

from rtcagentd.engine.livekit import media_stats
from rtcagentd.engine.livekit.publications import Publications
from rtcagentd.engine.livekit.subscriptions import Subscriptions

_LIMITS = {
    proto.LIMITATION_NONE: stat.QUALITY_LIMIT_NONE,
    proto.LIMITATION_CPU: stat.QUALITY_LIMIT_CPU,
    proto.LIMITATION_BANDWIDTH: stat.QUALITY_LIMIT_BANDWIDTH,
    proto.LIMITATION_OTHER: stat.QUALITY_LIMIT_OTHER,
}
# As the room server sees the connection of another user.
_QUALITY = {
    state.CONNECTION_QUALITY_EXCELLENT: stat.NETWORK_QUALITY_EXCELLENT,
    state.CONNECTION_QUALITY_GOOD: stat.NETWORK_QUALITY_GOOD,
    state.CONNECTION_QUALITY_POOR: stat.NETWORK_QUALITY_BAD,
    state.CONNECTION_QUALITY_LOST: stat.NETWORK_QUALITY_DOWN,
}

_SVC = ("VP9", "AV1")

Stats = Iterable[proto.RtcStats]


async def read(
    status: state.RoomStatus, room: rtc.Room, publications: Publications, subscriptions: Subscriptions
) -> tuple[stat.RoomStatistics, list[stat.StreamStatistics]]:
    """Without what is over an interval, which two readings give."""
    own = sorted(publications.published(), key=lambda each: each.request.source_id)
    tracks = [(each.track._ffi_handle.handle, _own(status.room_id, each.status())) for each in own]
    tracks += [
        (handle, stat.StreamStatistics(room_id=status.room_id, user_id=key[0], kind=key[1], name=key[2]))
        for key, handle in subscriptions.track_handles()
    ]
    readings = await asyncio.gather(*(media_stats.read_track(handle) for handle, _ in tracks))
    streams = []
    for (_, stream), reading in zip(tracks, readings, strict=True):
        if reading is not None:
            (_fill_received if stream.user_id else _fill_sent)(stream, reading)
            streams.append(stream)
    handle = room._ffi_handle
    both = await media_stats.read_session(handle.handle) if handle is not None else None
    return _room(status, both or ()), streams


def _own(room_id: str, status: state.PublicationStatus) -> stat.StreamStatistics:
    return stat.StreamStatistics(room_id=room_id, source_id=status.source_id, kind=status.kind, name=status.name)


def _room(status: state.RoomStatus, both: Stats) -> stat.RoomStatistics:
    found = stat.RoomStatistics(room_id=status.room_id, user_count=len(status.users))
    found.duration_s = max(0, int(time.time()) - status.joined_at.seconds)
    for each in both:
        if each.HasField("candidate_pair") and each.candidate_pair.candidate_pair.nominated:
            pair = each.candidate_pair.candidate_pair
            found.sent_bytes += pair.bytes_sent
            found.received_bytes += pair.bytes_received
            found.rtt_ms = max(found.rtt_ms, pair.current_round_trip_time * 1000)
            found.available_bps += int(pair.available_outgoing_bitrate)
    for user in status.users:
        quality = _QUALITY.get(user.quality, stat.NETWORK_QUALITY_UNSPECIFIED)
        found.users.add(user_id=user.user_id, quality=quality)
    return found


def _fill_sent(stream: stat.StreamStatistics, stats: Stats) -> None:
    codecs = _codecs(stats)
    largest = -1
    for each in stats:
        if each.HasField("outbound_rtp"):
            layer = each.outbound_rtp.outbound
            stream.bytes += each.outbound_rtp.sent.bytes_sent
            stream.packets += each.outbound_rtp.sent.packets_sent
            stream.layer_count += int(layer.active and each.outbound_rtp.sent.packets_sent > 0)
            if layer.frame_width > largest:
                largest = layer.frame_width
                stream.width, stream.height = layer.frame_width, layer.frame_height
                stream.frames = layer.frames_encoded
                stream.codec = codecs.get(each.outbound_rtp.stream.codec_id, "")
                if stream.codec in _SVC:  # of which `frames` has each layer's
                    stream.fps = layer.frames_per_second
                stream.coder = layer.encoder_implementation
                stream.hardware = layer.power_efficient_encoder
                if layer.frame_width:
                    stream.quality_limit = _LIMITS.get(layer.quality_limitation_reason, stat.QUALITY_LIMIT_UNSPECIFIED)
        elif each.HasField("remote_inbound_rtp"):
            report = each.remote_inbound_rtp
            stream.packets_lost += max(0, report.received.packets_lost)
            stream.rtt_ms = max(stream.rtt_ms, report.remote_inbound.round_trip_time * 1000)
            stream.jitter_ms = max(stream.jitter_ms, report.received.jitter * 1000)


def _fill_received(stream: stat.StreamStatistics, stats: Stats) -> None:
    codecs = _codecs(stats)
    for each in stats:
        if each.HasField("inbound_rtp"):
            inbound = each.inbound_rtp.inbound
            stream.bytes += inbound.bytes_received
            stream.packets += each.inbound_rtp.received.packets_received
            stream.packets_lost += max(0, each.inbound_rtp.received.packets_lost)
            stream.jitter_ms = max(stream.jitter_ms, each.inbound_rtp.received.jitter * 1000)
            stream.frames += inbound.frames_decoded
            stream.width, stream.height = inbound.frame_width, inbound.frame_height
            stream.freeze_count += inbound.freeze_count
            stream.freeze_ms += inbound.total_freeze_duration * 1000
            stream.codec = codecs.get(each.inbound_rtp.stream.codec_id, "")
            stream.coder = inbound.decoder_implementation
            stream.hardware = inbound.power_efficient_decoder


def _codecs(stats: Stats) -> dict[str, str]:
    return {each.codec.rtc.id: each.codec.codec.mime_type.partition("/")[2] for each in stats if each.HasField("codec")}
