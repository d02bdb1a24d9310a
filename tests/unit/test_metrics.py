"""Metrics: recoveries are measured where something broke and nowhere else; the documentation is the table."""

import asyncio
from pathlib import Path

import pytest
from pydantic import ValidationError
from rtcagent.v1 import types_pb2 as ty
from rtcagentd.config import MetricsSettings
from rtcagentd.control.objects import room_key
from rtcagentd.metrics.endpoint import MAX_CONNECTIONS, MetricsEndpoint
from rtcagentd.metrics.instruments import Instruments
from rtcagentd.metrics.recoveries import Judged, Recoveries
from rtcagentd.metrics.table import METRICS, as_markdown

from tests.parts.ports import free_tcp_port

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


class Seen:
    """Recoveries of one room, fed with what became of it second by second."""

    def __init__(self) -> None:
        self.recovered: list[tuple[str, str, float]] = []
        self._recoveries = Recoveries(lambda *recovery: self.recovered.append(recovery))
        self._now = 100.0

    def look(self, reason: ty.Reason.ValueType | None, *, revision: int = 1) -> None:
        """`reason`: why the room is not joined; None: it is."""
        outcome = ty.Outcome(kind=ty.Outcome.KIND_REACHED)
        if reason is not None:
            outcome = ty.Outcome(kind=ty.Outcome.KIND_WAITING, cause=ty.Cause(reason=reason))
        self._recoveries.look([Judged(room_key("demo"), revision, outcome)], self._now)
        self._now += 1

    def under_way(self) -> int:
        return self._recoveries.under_way().get("room", 0)


def test_a_recovery_lasts_from_the_loss_to_the_return_and_has_the_first_cause() -> None:
    seen = Seen()
    for reason in (None, ty.REASON_NETWORK_LOST, ty.REASON_SERVER_UNREACHABLE):
        seen.look(reason)
    assert seen.under_way() == 1
    seen.look(ty.REASON_ORDERED)  # it is being joined
    seen.look(None)
    assert seen.recovered == [("room", "network_lost", 3.0)]
    assert seen.under_way() == 0


def test_what_was_never_reached_does_not_recover() -> None:
    seen = Seen()
    seen.look(ty.REASON_SERVER_UNREACHABLE)
    seen.look(None)
    assert seen.recovered == []


def test_what_an_order_changed_does_not_recover() -> None:
    seen = Seen()
    seen.look(None)
    seen.look(ty.REASON_ORDERED, revision=2)
    seen.look(None, revision=2)
    seen.look(ty.REASON_ROOM_NOT_JOINED, revision=2)
    assert seen.under_way() == 0
    seen.look(None, revision=2)
    seen.look(ty.REASON_NETWORK_LOST, revision=2)
    seen.look(ty.REASON_NETWORK_LOST, revision=3)  # ordered anew meanwhile
    seen.look(None, revision=3)
    assert seen.recovered == []


def test_an_order_is_counted_by_its_gravest_outcome() -> None:
    instruments = Instruments()
    kinds = (ty.Outcome.KIND_WAITING, ty.Outcome.KIND_REFUSED, ty.Outcome.KIND_REACHED)
    instruments.order("JoinRoom", ty.OrderResult(outcomes=[ty.Outcome(kind=kind) for kind in kinds]))
    instruments.order("JoinRoom", ty.OrderResult())
    instruments.order("JoinRoom", None)
    for outcome in ("refused", "reached", "error"):
        labels = {"method": "JoinRoom", "outcome": outcome}
        assert instruments.registry.get_sample_value("rtcagent_orders_total", labels) == 1


def test_names_follow_prometheus_conventions() -> None:
    for metric in METRICS:
        assert metric.name.startswith("rtcagent_")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert not metric.name.endswith(("_ms", "_us", "_s")), metric.name
        assert metric.says.endswith("."), metric.name


def test_the_document_has_the_table() -> None:
    """`python -m rtcagentd.metrics` prints it."""
    text = DOCUMENT.read_text()
    shown = text.partition("<!-- table: `python -m rtcagentd.metrics` -->\n")[2].partition("<!-- end of table -->")[0]
    assert shown == as_markdown()


@pytest.mark.parametrize("address", ["0.0.0.0:9464", "rooms.example.org:9464", "[::]:9464", "127.0.0.1", "127.0.0.1:x"])
def test_an_address_that_others_reach_has_to_be_meant(address: str) -> None:
    with pytest.raises(ValidationError):
        MetricsSettings(address=address)


def test_addresses_that_are_fine() -> None:
    for address in ("127.0.0.1:9464", "[::1]:9464", "localhost:9464"):
        assert MetricsSettings(address=address).host_and_port[1] == 9464
    MetricsSettings(address="0.0.0.0:9464", allow_remote=True)


async def asked(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_the_endpoint_answers_scrapes_and_nothing_else() -> None:
    async def page(accept: str) -> tuple[bytes, str]:
        return b"x 1\n", f"text/plain; for={accept}"

    port = free_tcp_port()
    async with MetricsEndpoint(MetricsSettings(address=f"127.0.0.1:{port}"), page):
        answer = await asked(port, b"GET /metrics?a=b HTTP/1.1\r\nAccept: some/thing\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; for=some/thing\r\n")
        assert answer.endswith(b"\r\n\r\nx 1\n")
        assert (await asked(port, b"HEAD /metrics HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\n")
        assert (await asked(port, b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
        assert (await asked(port, b"POST /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 405 ")
        assert await asked(port, b"x" * 100_000) == b""
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CONNECTIONS)]
        assert await asked(port, b"GET /metrics HTTP/1.1\r\n\r\n") == b"", "one more than it serves at once"
    for _, writer in idle:
        writer.close()
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", port)


async def test_no_address_no_endpoint() -> None:
    async def page(accept: str) -> tuple[bytes, str]:
        raise AssertionError(accept)

    async with MetricsEndpoint(MetricsSettings(), page):
        pass
