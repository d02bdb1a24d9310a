"""Turns the event log into the responses of one watcher: filtered, several events in one response when there is a
backlog.

A watcher holds no queue: it reads on from its own position when its last response has been taken. Responses are
encoded here from the events' stored bytes, and responses that many watchers need alike are encoded once.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from rtcagent.v1 import agent_pb2

from rtcagentd.journal.journal import Entry, Journal, Missing
from rtcagentd.store.faults import StoreError

BATCH_BYTES = 64 << 10
RENEWAL_S = 5.0  # in which a damaged log has been begun anew
MAX_ENCODED = 64  # responses kept for other watchers: a replay of the whole log must not fill the memory with it
# With many watchers, each is written to at most once in this time, so that the number of messages stays bounded.
SPACING_S_PER_WATCHER = 0.000125
SPACING_MAX_S = 0.025

_EVENTS_TAG = bytes([agent_pb2.WatchEventsResponse.EVENTS_FIELD_NUMBER << 3 | 2])


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events a watcher wants; an empty set wants all."""

    types: frozenset[str] = frozenset()
    room_ids: frozenset[str] = frozenset()

    def wants(self, entry: Entry) -> bool:
        if self.types and entry.type not in self.types:
            return False
        return not self.room_ids or not entry.room_id or entry.room_id in self.room_ids


class Watchers:
    """All watchers of one journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._count = 0
        self._encoded: dict[tuple[int, int, Filter], bytes] = {}
        self._encoded_at = ("", 0)

    @property
    def count(self) -> int:
        """Watchers now."""
        return self._count

    async def responses(self, after: int | None, log_id: str, wanted: Filter) -> AsyncGenerator[bytes, None]:
        """Encoded WatchEventsResponses for a watcher that has seen `after` of `log_id`; None starts live. Endless, but
        for StoreError: the log cannot be read.
        """
        journal = self._journal
        seq = journal.last_seq if after is None else after
        is_foreign = after is not None and log_id not in ("", journal.log_id)
        log_id = journal.log_id
        if is_foreign:
            seq = journal.last_seq
            yield _gap(log_id, 0, 0, seq, "the position is of another event log: read the state anew")
        else:
            yield agent_pb2.WatchEventsResponse(log_id=log_id, seq=seq).SerializeToString()
        self._count += 1
        try:
            while True:
                await journal.wait_beyond(seq, log_id)
                try:
                    page = await journal.read(seq) if journal.log_id == log_id else []
                except StoreError:
                    await journal.wait_for_another(log_id, RENEWAL_S)
                    if journal.log_id == log_id:
                        raise
                if journal.log_id != log_id:
                    log_id, seq = journal.log_id, 0
                    yield _gap(log_id, 0, 0, seq, "the event log was begun anew: read the state anew")
                    continue
                if isinstance(page, Missing):
                    seq = page.next_seq - 1
                    text = "events are past the retention: read the state anew"
                    yield _gap(journal.log_id, page.first_seq, page.next_seq, seq, text)
                    continue
                batch = _cut(page)
                response = self._encode(batch, wanted)
                seq = batch[-1].seq
                if response:
                    yield response
                    await asyncio.sleep(min(self._count * SPACING_S_PER_WATCHER, SPACING_MAX_S))
        finally:
            self._count -= 1

    def _encode(self, batch: Sequence[Entry], wanted: Filter) -> bytes:
        """The response with those of `batch` that are wanted; empty when none is."""
        position = (self._journal.log_id, self._journal.last_seq)
        if self._encoded_at != position or len(self._encoded) >= MAX_ENCODED:
            self._encoded_at = position
            self._encoded.clear()
        key = (batch[0].seq, batch[-1].seq, wanted)
        response = self._encoded.get(key)
        if response is None:
            parts: list[bytes] = []
            for entry in batch:
                if wanted.wants(entry):
                    parts += (_EVENTS_TAG, _varint(len(entry.body)), entry.body)
            if parts:
                parts.append(agent_pb2.WatchEventsResponse(seq=batch[-1].seq).SerializeToString())
            response = self._encoded[key] = b"".join(parts)
        return response


def _cut(page: Sequence[Entry]) -> Sequence[Entry]:
    """The first events of `page` that fit into one response, at least one."""
    size = 0
    for index, entry in enumerate(page):
        size += len(entry.body)
        if size > BATCH_BYTES and index:
            return page[:index]
    return page


def _gap(log_id: str, first_seq: int, next_seq: int, seq: int, message: str) -> bytes:
    gap = agent_pb2.Gap(first_missing_seq=first_seq, next_seq=next_seq, message=message)
    return agent_pb2.WatchEventsResponse(log_id=log_id, gap=gap, seq=seq).SerializeToString()


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
