"""What `rtcctl stats` shows."""

from collections.abc import Sequence

from rtcagent.v1.capture_pb2 import GetCaptureStatsResponse

from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import describe_remote_stream


def show_stats(stats: GetCaptureStatsResponse, screen: Screen) -> None:
    """A table for each direction; gaps in ms."""
    sources = [
        (one.source_id, f"{one.fps:.1f}", str(one.frames_captured), str(one.frames_dropped), _ms(one.longest_gap_us))
        for one in stats.sources
    ]
    levels = [
        (one.source_id, f"{one.audio_level.rms_dbfs:.0f} dBFS", f"{one.audio_level.peak_dbfs:.0f} dBFS")
        for one in stats.sources
        if one.HasField("audio_level")
    ]
    publications = [
        (f"{one.room_id}/{one.source_id}", str(one.frames_pushed), str(one.frames_gated), _ms(one.longest_gap_us))
        for one in stats.publications
    ]
    remote_streams = [
        (
            f"{one.room_id}/{one.user_id} {describe_remote_stream(one.kind, one.name)}",
            f"{one.width}x{one.height}",
            str(one.frames_received),
            _ms(one.longest_gap_us),
        )
        for one in stats.remote_streams
    ]
    _table(("SOURCE", "FPS", "CAPTURED", "DROPPED", "LONGEST GAP"), sources, screen)
    _table(("SOUND", "LEVEL", "PEAK"), levels, screen)
    _table(("SENT INTO", "PUSHED", "HELD BACK", "LONGEST GAP"), publications, screen)
    _table(("RECEIVED", "SIZE", "FRAMES", "LONGEST GAP"), remote_streams, screen)
    if not (sources or publications or remote_streams):
        screen.line("nothing is captured, sent or received")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], screen: Screen) -> None:
    if rows:
        screen.table([[screen.paint(cell, "dim") for cell in header], *rows])


def _ms(us: int) -> str:
    return f"{us / 1000:.0f} ms"
