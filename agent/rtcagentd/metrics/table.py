"""Every metric of the agent: its name, kind and labels, and what it says. docs/metrics.md is made of this table."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. A gauge of states has one series for each state: 1 for that which is so, 0 for the others."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    says: str


METRICS = [
    Metric("rtcagent_info", "gauge", ("name", "version", "engine", "engine_version"), "Always 1: what this agent is."),
    # the state
    Metric("rtcagent_engine_state", "gauge", ("state",), "The state of the engine process: 1 for that which is so."),
    Metric("rtcagent_room_state", "gauge", ("room", "state"), "The state of each room: 1 for that which is so."),
    Metric("rtcagent_capture_state", "gauge", ("source", "state"), "The state of each source: 1 for that which is so."),
    Metric(
        "rtcagent_capture_showing_slate", "gauge", ("source",), "1 while the source's slate stands in for pictures."
    ),
    Metric(
        "rtcagent_publication_state",
        "gauge",
        ("room", "source", "state"),
        "The state of each own stream: 1 for that which is so.",
    ),
    Metric(
        "rtcagent_publication_media_state",
        "gauge",
        ("room", "source", "state"),
        "How far the frames of each own stream get: 1 for that which is so. None is 1 while it is not known, or muted.",
    ),
    Metric("rtcagent_publication_muted", "gauge", ("room", "source"), "Whether an own stream is muted."),
    Metric("rtcagent_room_users", "gauge", ("room",), "Other users in the room."),
    Metric("rtcagent_devices", "gauge", ("present",), "Known devices, plugged in and not."),
    Metric("rtcagent_desired_objects", "gauge", ("kind",), "Objects that are asked for, automatic streams included."),
    Metric(
        "rtcagent_differences",
        "gauge",
        ("kind", "outcome"),
        "Objects that are asked for and not as asked for; 0 everywhere means that the machine is as it was told to be.",
    ),
    Metric("rtcagent_desired_revision", "gauge", (), "The revision of the desired state."),
    # recoveries
    Metric(
        "rtcagent_recovery_seconds",
        "histogram",
        ("kind", "cause"),
        "From the moment at which something that was as asked for was so no longer, through no order, until it was so"
        " again. `kind` is room, capture, stream, subscription or engine; `cause` is the first reason that was known.",
    ),
    Metric(
        "rtcagent_recoveries_under_way",
        "gauge",
        ("kind",),
        "Objects that were as asked for, are so no longer through no order, and are being brought back.",
    ),
    # the engine process
    Metric("rtcagent_engine_generation", "gauge", (), "The generation of the engine process; rises with each process."),
    Metric("rtcagent_engine_restarts_total", "counter", (), "Engine processes started after the first one."),
    Metric("rtcagent_engine_resident_memory_bytes", "gauge", (), "The engine process's memory. Absent without answer."),
    Metric("rtcagent_engine_threads", "gauge", (), "Threads of the engine process. Absent without answer."),
    Metric("rtcagent_engine_answers", "gauge", (), "Whether the engine answered this scrape within its deadline."),
    # media, as the engine counts them since the source or stream was opened
    Metric("rtcagent_source_frames_captured_total", "counter", ("source",), "Frames that a source delivered."),
    Metric(
        "rtcagent_source_frames_dropped_total",
        "counter",
        ("source",),
        "Frames that came while the one before was still being handed on.",
    ),
    Metric("rtcagent_source_longest_gap_seconds", "gauge", ("source",), "The longest time between two frames."),
    Metric("rtcagent_source_frames_per_second", "gauge", ("source",), "The frame rate over the last second."),
    Metric(
        "rtcagent_publication_frames_pushed_total",
        "counter",
        ("room", "source"),
        "Frames that were handed to the room's encoder.",
    ),
    Metric(
        "rtcagent_publication_frames_gated_total",
        "counter",
        ("room", "source"),
        "Frames that were held back: muted, or not allowed to be sent.",
    ),
    Metric(
        "rtcagent_publication_slate_frames_pushed_total",
        "counter",
        ("room", "source"),
        "Frames of the slate that were handed to the room's encoder; in no other number.",
    ),
    Metric(
        "rtcagent_publication_longest_gap_seconds",
        "gauge",
        ("room", "source"),
        "The longest time between two frames that were handed on, time spent muted aside.",
    ),
    Metric(
        "rtcagent_remote_stream_frames_received_total",
        "counter",
        ("room", "user", "kind", "name"),
        "Frames that were received of another user's stream.",
    ),
    Metric(
        "rtcagent_remote_stream_longest_gap_seconds",
        "gauge",
        ("room", "user", "kind", "name"),
        "The longest time between two received frames.",
    ),
    # the way through the network, as the SDK counts it since the connection or stream began
    Metric("rtcagent_room_round_trip_seconds", "gauge", ("room",), "Round trip to the room server."),
    Metric("rtcagent_room_sent_bytes_total", "counter", ("room",), "Bytes sent to the room server, all in all."),
    Metric("rtcagent_room_received_bytes_total", "counter", ("room",), "Bytes received from it, all in all."),
    Metric(
        "rtcagent_publication_packets_lost_total",
        "counter",
        ("room", "source"),
        "Packets of an own stream that the room server did not get.",
    ),
    Metric(
        "rtcagent_remote_stream_packets_lost_total",
        "counter",
        ("room", "user", "kind", "name"),
        "Packets of another user's stream that did not arrive.",
    ),
    Metric(
        "rtcagent_remote_stream_freezes_total",
        "counter",
        ("room", "user", "kind", "name"),
        "Pictures of another user's stream that came late enough to be seen.",
    ),
    # the log and the store
    Metric("rtcagent_journal_last_seq", "gauge", (), "The newest event's place in the log."),
    Metric("rtcagent_journal_events_total", "counter", (), "Events written down since the daemon started."),
    Metric("rtcagent_journal_retained_events", "gauge", (), "Events that can be replayed."),
    Metric("rtcagent_store_size_bytes", "gauge", (), "Disk space of the database: desired state and event log."),
    Metric("rtcagent_store_writable", "gauge", (), "Whether orders can be stored: 0 on a full or broken disk."),
    Metric(
        "rtcagent_store_commit_seconds", "histogram", (), "Time that a commit took, up to and with its sync to disk."
    ),
    # the API
    Metric(
        "rtcagent_orders_total",
        "counter",
        ("method", "outcome"),
        "Orders by what their answer said: reached, waiting, refused, superseded (the gravest of an order's outcomes),"
        " or error (nothing was stored).",
    ),
    Metric("rtcagent_watchers", "gauge", (), "WatchEvents calls under way."),
    Metric(
        "rtcagent_room_server_up",
        "gauge",
        (),
        "Whether the embedded room server runs. Absent where none is configured.",
    ),
]

BY_NAME = {metric.name: metric for metric in METRICS}


def as_markdown() -> str:
    """The table of docs/metrics.md."""
    lines = ["| metric | kind | labels | what it says |", "|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.says} |")
    return "\n".join(lines) + "\n"
