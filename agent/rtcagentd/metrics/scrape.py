"""What one scrape of the metrics says: the state as it is, and what the engine answers in time."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import capture_pb2 as cap
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control.errors import OrderError
from rtcagentd.control.reconciler import Reconciler
from rtcagentd.control.state import State
from rtcagentd.journal.journal import Journal
from rtcagentd.metrics.instruments import Instruments
from rtcagentd.metrics.observer import Observer
from rtcagentd.metrics.table import BY_NAME
from rtcagentd.supervise.engine_session import EngineSession

ENGINE_ANSWER_S = 0.5

OUTCOMES = (ty.Outcome.KIND_WAITING, ty.Outcome.KIND_REFUSED)
KINDS = ("room", "capture", "stream", "subscription", "slot", "playback", "remote_volume", "audio_report")


@dataclass
class Readings:
    """What has to be waited for, read before the page is written."""

    stats: cap.GetCaptureStatsResponse | None = None
    heartbeat: en.HeartbeatResponse | None = None
    network: en.GetStatisticsResponse | None = None
    store_bytes: int = 0
    oldest_seq: int = 0


@dataclass
class Families:
    """Builds the families of the table, each when its first value comes."""

    made: dict[str, GaugeMetricFamily | CounterMetricFamily] = field(default_factory=dict)

    def add(self, name: str, value: float, *labels: str) -> None:
        family = self.made.get(name)
        if family is None:
            metric = BY_NAME[name]
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = self.made[name] = kind(name, metric.says, labels=metric.labels)
        family.add_metric(labels, value)

    def add_states(self, name: str, enum: Any, value: int, *labels: str) -> None:
        """One series for each state of the enum, 1 for `value`."""
        prefix = enum.Name(0).removesuffix("UNSPECIFIED")
        for state in enum.values():
            if state:
                self.add(name, float(state == value), *labels, enum.Name(state).removeprefix(prefix).lower())


class Scrape:
    """Writes the page. Lives on the event loop."""

    def __init__(
        self,
        name: str,
        version: str,
        state: State,
        reconciler: Reconciler,
        journal: Journal,
        observer: Observer,
        instruments: Instruments,
        store: Path,
        watchers: Callable[[], int],
    ) -> None:
        self._name = name
        self._version = version
        self._state = state
        self._reconciler = reconciler
        self._journal = journal
        self._observer = observer
        self._instruments = instruments
        self._store = store
        self._watchers = watchers
        self._first_seq = journal.last_seq
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)

    async def page(self, accept: str) -> tuple[bytes, str]:
        """The page in the form that `accept` (of HTTP) asks for, and its content type."""
        readings = await self._read()
        encode, content_type = choose_encoder(accept)
        families = [*self._families(readings), *self._instruments.registry.collect(), *self._process.collect()]
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Ready(families))
        return encode(registry), content_type

    async def _read(self) -> Readings:
        readings = Readings()

        async def ask(session: EngineSession) -> None:
            readings.heartbeat = await session.heartbeat(ENGINE_ANSWER_S)
            readings.stats = (await session.media_stats()).stats
            readings.network = await session.statistics()

        with contextlib.suppress(OrderError, TimeoutError):
            async with asyncio.timeout(ENGINE_ANSWER_S):
                await self._reconciler.ask(ask)
        readings.store_bytes = await asyncio.to_thread(_size, self._store)
        readings.oldest_seq = await self._journal.oldest_seq()
        return readings

    def _families(self, readings: Readings) -> Iterator[Family]:
        families = Families()
        self._add_state(families)
        self._add_objects(families)
        self._add_engine(families, readings)
        if readings.stats is not None:
            _add_media(families, readings.stats)
        if readings.network is not None:
            _add_network(families, readings.network)
        self._add_journal(families, readings)
        families.add("rtcagent_watchers", self._watchers())
        if self._instruments.room_server_up is not None:
            families.add("rtcagent_room_server_up", float(self._instruments.room_server_up))
        yield from families.made.values()

    def _add_state(self, families: Families) -> None:
        reported = self._state.reported
        families.add("rtcagent_info", 1, self._name, self._version, reported.engine.kind, reported.engine.version)
        families.add_states("rtcagent_engine_state", st.EngineState, reported.engine.state)
        for capture in reported.captures:
            families.add_states("rtcagent_capture_state", st.CaptureState, capture.state, capture.source_id)
            families.add("rtcagent_capture_showing_slate", float(capture.showing_slate), capture.source_id)
        for room in reported.rooms:
            families.add_states("rtcagent_room_state", st.RoomState, room.state, room.room_id)
            families.add("rtcagent_room_users", len(room.users), room.room_id)
            for one in room.publications:
                names = (room.room_id, one.source_id)
                families.add_states("rtcagent_publication_state", st.PublicationState, one.state, *names)
                families.add_states("rtcagent_publication_media_state", st.MediaState, one.media_state, *names)
                families.add("rtcagent_publication_muted", float(one.muted), *names)
        present = sum(device.present for device in reported.devices)
        families.add("rtcagent_devices", present, "true")
        families.add("rtcagent_devices", len(reported.devices) - present, "false")
        families.add("rtcagent_desired_revision", self._state.revision)

    def _add_objects(self, families: Families) -> None:
        objects = list(self._observer.objects())
        under_way = self._observer.under_way()
        for kind in KINDS:
            of_kind = [each.outcome.kind for each in objects if each.key.kind == kind]
            families.add("rtcagent_desired_objects", len(of_kind), kind)
            for outcome in OUTCOMES:
                word = ty.Outcome.Kind.Name(outcome).removeprefix("KIND_").lower()
                families.add("rtcagent_differences", of_kind.count(outcome), kind, word)
        for kind in (*KINDS[:-1], "engine"):
            families.add("rtcagent_recoveries_under_way", under_way.get(kind, 0), kind)

    def _add_engine(self, families: Families, readings: Readings) -> None:
        families.add("rtcagent_engine_generation", self._state.reported.engine.generation)
        families.add("rtcagent_engine_restarts_total", self._observer.engine_restarts())
        families.add("rtcagent_engine_answers", float(readings.stats is not None))
        if readings.heartbeat is not None:
            families.add("rtcagent_engine_resident_memory_bytes", readings.heartbeat.rss_bytes)
            families.add("rtcagent_engine_threads", readings.heartbeat.thread_count)

    def _add_journal(self, families: Families, readings: Readings) -> None:
        last_seq = self._journal.last_seq
        families.add("rtcagent_journal_last_seq", last_seq)
        families.add("rtcagent_journal_events_total", max(0, last_seq - self._first_seq))
        families.add("rtcagent_journal_retained_events", last_seq + 1 - readings.oldest_seq if last_seq else 0)
        families.add("rtcagent_store_writable", float(self._state.store.is_writable))
        families.add("rtcagent_store_size_bytes", readings.store_bytes)


class _Ready(Collector):
    """Families that are complete already."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        return self._families


def _add_media(families: Families, stats: cap.GetCaptureStatsResponse) -> None:
    for source in stats.sources:
        name = source.source_id
        families.add("rtcagent_source_frames_captured_total", source.frames_captured, name)
        families.add("rtcagent_source_frames_dropped_total", source.frames_dropped, name)
        families.add("rtcagent_source_longest_gap_seconds", source.longest_gap_us / 1e6, name)
        families.add("rtcagent_source_frames_per_second", source.fps, name)
    for stream in stats.publications:
        names = (stream.room_id, stream.source_id)
        families.add("rtcagent_publication_frames_pushed_total", stream.frames_pushed, *names)
        families.add("rtcagent_publication_frames_gated_total", stream.frames_gated, *names)
        families.add("rtcagent_publication_slate_frames_pushed_total", stream.slate_frames_pushed, *names)
        families.add("rtcagent_publication_longest_gap_seconds", stream.longest_gap_us / 1e6, *names)
    for remote in stats.remote_streams:
        kind = ty.StreamKind.Name(remote.kind).removeprefix("STREAM_KIND_").lower()
        of = (remote.room_id, remote.user_id, kind, remote.name)
        families.add("rtcagent_remote_stream_frames_received_total", remote.frames_received, *of)
        families.add("rtcagent_remote_stream_longest_gap_seconds", remote.longest_gap_us / 1e6, *of)


def _add_network(families: Families, counted: en.GetStatisticsResponse) -> None:
    for room in counted.rooms:
        families.add("rtcagent_room_round_trip_seconds", room.rtt_ms / 1000, room.room_id)
        families.add("rtcagent_room_sent_bytes_total", room.sent_bytes, room.room_id)
        families.add("rtcagent_room_received_bytes_total", room.received_bytes, room.room_id)
    for stream in counted.streams:
        if not stream.user_id:
            of: tuple[str, ...] = (stream.room_id, stream.source_id)
            families.add("rtcagent_publication_packets_lost_total", stream.packets_lost, *of)
            continue
        kind = ty.StreamKind.Name(stream.kind).removeprefix("STREAM_KIND_").lower()
        of = (stream.room_id, stream.user_id, kind, stream.name)
        families.add("rtcagent_remote_stream_packets_lost_total", stream.packets_lost, *of)
        families.add("rtcagent_remote_stream_freezes_total", stream.freeze_count, *of)


def _size(store: Path) -> int:
    """Of the database with its write-ahead log."""
    size = 0
    for path in (store, store.with_name(f"{store.name}-wal")):
        with contextlib.suppress(FileNotFoundError):
            size += path.stat().st_size
    return size
