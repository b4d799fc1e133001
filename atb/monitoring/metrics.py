"""The runner's metrics: one object with a registry of its own, read as text by the health page."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_SLOW = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """A runner's metrics, in seconds and in the quote currency unless named otherwise.

    Every attribute is a metric of `prometheus_client`: `metrics.orders.labels(role="stop", outcome="done").inc()`. Metrics may be
    written from any thread. None of them decides anything.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._count_requests()
        self._measure_time()
        self._watch_venue()
        self._watch_account()

    def _count_requests(self) -> None:
        self.orders = self._counter("orders", "Orders sent, by how the request ended", "role", "outcome")
        self.requests = self._counter("requests", "Requests to the venue", "kind", "outcome")
        self.fills = self._counter("fills", "Executions that were booked", "symbol", "role")
        self.withheld = self._counter("withheld", "Entries that were not sent", "reason")
        self.decisions = self._counter("decisions", "Closed bars that were decided on", "strategy", "symbol")
        self.drifts = self._counter("drifts", "Differences between account and books that were found", "kind")

    def _measure_time(self) -> None:
        self.decision_to_request = self._histogram(
            "decision_to_request_seconds", "From a closed bar seen to its first request sent", _FAST
        )
        self.commit_seconds = self._histogram("commit_seconds", "Durable commits of the journal", _FAST)
        self.request_seconds = self._histogram("request_seconds", "Requests to the venue, answered or not", _FAST)
        self.resolve_seconds = self._histogram(
            "resolve_seconds", "From a lost answer to the certainty what became of the order", _SLOW
        )
        self.bar_lag = self._gauge("bar_lag_seconds", "From a bar's close to its decision", "symbol")

    def _watch_venue(self) -> None:
        self.intents_unknown = self._gauge("intents_unknown", "Orders whose answer was lost and that are not resolved")
        self.stream_age = self._gauge("stream_last_frame_age_seconds", "Since the last frame of a stream", "stream")
        self.weight_used = self._gauge("exchange_weight_used", "Request weight used in this minute")
        self.clock_offset = self._gauge("clock_offset_seconds", "The venue's clock less this machine's")
        self.log_lines_lost = self._gauge("log_lines_lost", "Log lines that could not be written")

    def _watch_account(self) -> None:
        self.equity = self._gauge("equity", "Equity at the last close")
        self.drawdown = self._gauge("drawdown", "Fall of equity from its peak, as a fraction")
        self.position = self._gauge("position", "Quantity held, in base, signed", "strategy", "symbol")
        self.stuck = self._gauge("stuck", "1 while a slot cannot act", "strategy", "symbol", "reason")
        self.ledger_drift = self._gauge("ledger_drift", "Account less books, in the asset", "asset")
        self.unprotected_seconds = self._gauge("unprotected_seconds", "Since a position has had no full stop", "symbol")
        self.lease_epoch = self._gauge("lease_epoch", "Epoch of the lease that is held, 0 without one")
        self.halt_level = self._gauge("halt_level", "Kill switch: 0 none, 1 pause, 2 cancel, 3 flatten")

    def render(self) -> bytes:
        """Return every metric in Prometheus's text format."""
        from atb.monitoring.logs import lost_lines

        self.log_lines_lost.set(lost_lines())
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"atb_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"atb_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"atb_{name}", text, registry=self.registry, buckets=buckets)
