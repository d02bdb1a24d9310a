"""What `rtcctl statistics` shows: a line for each room, stream and process."""

from rtcagent.v1.statistics_pb2 import NetworkQuality, QualityLimit, RoomStatistics, Statistics, StreamStatistics

from rtcagent_client.rtcctl.render import phrases
from rtcagent_client.rtcctl.screen import Screen
from rtcagent_client.words import describe_remote_stream

_COLOURS = {1: "green", 2: "green", 3: "yellow", 4: "yellow", 5: "red", 6: "red"}


def show_statistics(one: Statistics, screen: Screen) -> None:
    time = phrases.local(one.at).strftime("%H:%M:%S")
    screen.line(screen.paint(f"{time}, over {one.interval_ms} ms", "dim"))
    for room in one.rooms:
        _room(room, screen)
        screen.table([_stream(each) for each in one.streams if each.room_id == room.room_id], indent="  ")
    if not one.rooms:
        screen.line("the agent is in no room")
    rows = []
    for each in one.processes:
        memory = f"{each.memory_bytes / 1e6:.0f} MB"
        rows.append((each.name, f"{each.cpu:.2f} cores", memory, f"{each.thread_count} threads"))
    screen.table(rows)


def _room(room: RoomStatistics, screen: Screen) -> None:
    up, down = (screen.paint(_quality(each), _COLOURS.get(each, "dim")) for each in (room.up, room.down))
    name = screen.paint(room.room_id, "bold")
    sent = f"{rate_text(room.sent_bps)} sent, {rate_text(room.received_bps)} received"
    rtt = f", round trip {room.rtt_ms:.0f} ms" if room.rtt_ms else ""
    users = f"{room.user_count} other user{'' if room.user_count == 1 else 's'}"
    screen.line(f"{name}: up {up}, down {down}{rtt}, {sent}, {users}")


def _stream(each: StreamStatistics) -> tuple[str, ...]:
    remote = describe_remote_stream(each.kind, each.name)
    who = f"{each.user_id}'s {remote}" if each.user_id else f"send {each.source_id}"
    size = f"{each.width}x{each.height}" if each.width else ""
    fps = f"{each.fps:.0f} fps" if each.width else ""
    coder = phrases.joined(f"{each.codec} {each.coder}".strip() + (" (hardware)" if each.hardware else ""))
    limit = phrases.low(QualityLimit, each.quality_limit) if each.quality_limit > 1 else ""
    rest = phrases.joined(
        f"loss {each.loss * 100:.1f} %",
        f"jitter {each.jitter_ms:.0f} ms" if each.jitter_ms else "",
        f"round trip {each.rtt_ms:.0f} ms" if each.rtt_ms else "",
        f"{each.freeze_count} freezes of {each.freeze_ms / 1000:.1f} s" if each.freeze_count else "",
        f"{each.layer_count} layers" if each.layer_count > 1 else "",
        f"limited by {limit}" if limit else "",
    )
    return who, rate_text(each.bitrate_bps), size, fps, coder, rest


def rate_text(bps: int) -> str:
    """ "850 kbit/s", "2.1 Mbit/s"."""
    return f"{bps / 1e6:.1f} Mbit/s" if bps >= 1e6 else f"{bps / 1e3:.0f} kbit/s"


def _quality(value: int) -> str:
    return phrases.low(NetworkQuality, value) or "unknown"
