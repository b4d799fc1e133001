"""Telemetry: metrics, log lines and the health page's data, taken from the steps that a runner wrote."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from decimal import Decimal
from time import monotonic
from typing import TYPE_CHECKING, Any

from atb.decimals import counted
from atb.domain import Symbol
from atb.domain.orders import ROLE_LETTERS
from atb.domain.venue import Contact
from atb.live.execution.book import Book
from atb.live.execution.stuck import REASONS as STUCK_REASONS
from atb.live.journal.step import Step, Withheld
from atb.live.plan import Plan
from atb.live.step_log import StepLog
from atb.monitoring.health import Vitals

if TYPE_CHECKING:
    from atb.monitoring.metrics import Metrics

_ROLES = {letter: role for role, letter in ROLE_LETTERS.items()}


@dataclass
class Telemetry:
    """Write-only sink for writer, desk and loop.

    Parameters
    ----------
    vitals
        Data of the health page.
    metrics
        Counters and histograms; None is none.
    step_log
        Writes log lines; set when a session is opened.
    """

    vitals: Vitals = field(default_factory=Vitals)
    metrics: "Metrics | None" = None
    step_log: StepLog | None = None
    latencies: list[float] = field(default_factory=list)  # seconds from a close to its first request
    plans: dict[int, Plan] = field(default_factory=dict)  # by slot, for the names of decisions
    silences: Callable[[], Mapping[str, int]] = dict  # by stream, milliseconds without a message
    barred: Callable[[], Mapping[str, str]] = dict  # by symbol, why no entry is sent
    stuck: Callable[[], Mapping[int, str]] = dict  # by slot, why it cannot act
    drift: Callable[[], Mapping[str, Decimal]] = dict  # by asset, how much more the account has than the books
    _seen: float | None = None
    _bare_ms: dict[Symbol, int] = field(default_factory=dict)
    _lost: dict[str, float] = field(default_factory=dict)

    def closed(self) -> None:
        """Start measuring the time from these closed bars to the next request."""
        self._seen = monotonic()

    def sending(self) -> None:
        """Note that a request is sent."""
        if self._seen is not None:
            self.latencies.append(monotonic() - self._seen)
            if self.metrics is not None:
                self.metrics.decision_to_request.observe(self.latencies[-1])
        self._seen = None

    def written(self, step: Step, withheld: Sequence[Withheld], seconds: float) -> None:
        """Log and count a step's contents."""
        if self.step_log is not None:
            self.step_log.write(step, withheld)
        metrics = self.metrics
        if metrics is None:
            return
        metrics.commit_seconds.observe(seconds)
        for order in withheld:
            metrics.withheld.labels(reason=order.reason).inc()
        for decision in step.decided:
            plan = self.plans.get(decision.slot)
            if plan is not None:
                symbol = str(plan.symbol)
                metrics.decisions.labels(strategy=plan.strategy.name, symbol=symbol).inc()
                metrics.bar_lag.labels(symbol=symbol).set(
                    (step.time_ms - plan.timeframe.next_ms(decision.bar_ms)) / 1_000
                )
        for done in step.fills:
            metrics.fills.labels(symbol=str(done.fill.symbol), role=done.order.role).inc()
        for event in step.order_events:
            if event.kind == "answer":
                self._answered(metrics, event.client_id, str(event.detail["outcome"]))
        for notice in step.notices:
            self._noticed(metrics, notice.kind, notice.detail)

    def _answered(self, metrics: "Metrics", client_id: str, outcome: str) -> None:
        letter = client_id.rpartition("-")[2][:1]
        metrics.orders.labels(role=_ROLES.get(letter, "list"), outcome=outcome).inc()
        if outcome == "unknown":
            self._lost[client_id] = monotonic()
        metrics.intents_unknown.set(len(self._lost))

    def _noticed(self, metrics: "Metrics", kind: str, detail: dict[str, Any]) -> None:
        if kind == "resolved" and (since := self._lost.pop(str(detail["client_id"]), None)) is not None:
            metrics.resolve_seconds.observe(monotonic() - since)
            metrics.intents_unknown.set(len(self._lost))
        if kind in {"drift", "stranger_order", "stranger_trade", "unrecorded_order"}:
            metrics.drifts.labels(kind=kind).inc()
        if kind == "drift":
            metrics.ledger_drift.labels(asset=str(detail["asset"])).set(float(detail["drift"]))

    def requested(self, contact: Contact) -> None:
        """Count a request to the venue."""
        if self.metrics is not None:
            self.metrics.requests.labels(kind=contact.kind, outcome=contact.outcome).inc()
            self.metrics.request_seconds.observe(contact.seconds)
            self.metrics.weight_used.set(contact.weight_used)

    def unprotected(self, bare: Set[Symbol], now_ms: int) -> None:
        """Measure how long positions have been without a covering stop.

        Parameters
        ----------
        bare
            Symbols with a position that no resting stop covers.
        now_ms
            Exchange time.
        """
        self._bare_ms = {symbol: self._bare_ms.get(symbol, now_ms) for symbol in bare}
        if self.metrics is not None:
            for plan in self.plans.values():
                since = self._bare_ms.get(plan.symbol, now_ms)
                self.metrics.unprotected_seconds.labels(symbol=str(plan.symbol)).set((now_ms - since) / 1_000)

    def turn_ended(
        self, book: Book, facts: dict[str, Any], *, behind: int, lease_fresh: bool, epoch: int, level: int
    ) -> None:
        """Update health page and metrics after a turn of the loop.

        Parameters
        ----------
        facts
            Plain values for `/status`: session, bars, last bar, trades.
        behind
            Number of steps that wait for the database.
        """
        vitals = self.vitals
        vitals.tick()
        vitals.tell("database", behind == 0, counted(behind, "step waits", "steps wait") if behind else "")
        vitals.tell("lease", lease_fresh, f"epoch {epoch}")
        barred, stuck = dict(self.barred()), dict(self.stuck())
        slots = [
            {
                "slot": slot,
                "strategy": plan.strategy.name,
                "symbol": str(plan.symbol),
                **_held(book, slot),
                "barred": barred.get(str(plan.symbol)),
                "stuck": stuck.get(slot),
            }
            for slot, plan in enumerate(book.portfolio.plans)
        ]
        money = {"equity": book.equity, "cash": book.cash, "initial_cash": book.portfolio.account.cash}
        drift = {asset: str(amount) for asset, amount in self.drift().items() if amount}
        vitals.show({**facts, **money, "halt": level, "barred": barred, "drift": drift, "slots": slots})
        if self.metrics is None:
            return
        peak = float(book.account["peak"])
        self.metrics.equity.set(book.equity)
        self.metrics.drawdown.set(1.0 - book.equity / peak if peak > 0 else 0.0)
        self.metrics.lease_epoch.set(epoch)
        self.metrics.halt_level.set(level)
        for stream, silent_ms in self.silences().items():
            self.metrics.stream_age.labels(stream=stream).set(silent_ms / 1_000)
        for row in slots:
            self.metrics.position.labels(strategy=row["strategy"], symbol=row["symbol"]).set(row["position"])
            for reason in STUCK_REASONS:
                labels = {"strategy": row["strategy"], "symbol": row["symbol"], "reason": reason}
                self.metrics.stuck.labels(**labels).set(row["stuck"] == reason)


def _held(book: Book, slot: int) -> dict[str, Any]:
    record = book.slot(slot)
    names = ("stop", "target", "entry_price")
    values = {name: None if record[name] != record[name] else float(record[name]) for name in names}
    return {"position": float(record["quantity"]), **values}
