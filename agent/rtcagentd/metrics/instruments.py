"""What is counted while it happens: orders, commits, recoveries. Everything else is read when somebody asks."""

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.metrics.table import BY_NAME

COMMIT_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
RECOVERY_BUCKETS_S = (0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)

_GRAVEST_LAST = (
    ty.Outcome.KIND_REACHED,
    ty.Outcome.KIND_WAITING,
    ty.Outcome.KIND_SUPERSEDED,
    ty.Outcome.KIND_REFUSED,
)


class Instruments:
    """The counters and histograms of one daemon. They may be used by any thread."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each counter, which Prometheus does not need
        self.registry = CollectorRegistry()
        self._orders = self._counter("rtcagent_orders_total")
        self._commits = self._histogram("rtcagent_store_commit_seconds", COMMIT_BUCKETS_S)
        self._recoveries = self._histogram("rtcagent_recovery_seconds", RECOVERY_BUCKETS_S)
        self.room_server_up: bool | None = None  # None: there is none of our own

    def order(self, method: str, result: ty.OrderResult | None) -> None:
        """An order was answered; None: with an error."""
        self._orders.labels(method, _outcome_word(result)).inc()

    def commit(self, took_s: float) -> None:
        """A commit was synced. Called on the store's writer thread."""
        self._commits.observe(took_s)

    def recovery(self, kind: str, cause: str, took_s: float) -> None:
        """An object is as asked for again."""
        self._recoveries.labels(kind, cause).observe(took_s)

    def _counter(self, name: str) -> Counter:
        metric = BY_NAME[name]
        return Counter(name, metric.says, metric.labels, registry=self.registry)

    def _histogram(self, name: str, buckets: tuple[float, ...]) -> Histogram:
        metric = BY_NAME[name]
        return Histogram(name, metric.says, metric.labels, buckets=buckets, registry=self.registry)


def _outcome_word(result: ty.OrderResult | None) -> str:
    if result is None:
        return "error"
    kinds = {outcome.kind for outcome in result.outcomes} | {ty.Outcome.KIND_REACHED}
    gravest = max(kinds, key=lambda kind: _GRAVEST_LAST.index(kind) if kind in _GRAVEST_LAST else -1)
    return ty.Outcome.Kind.Name(gravest).removeprefix("KIND_").lower()
