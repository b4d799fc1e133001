"""A simulated exchange with a market, and the exchange runner against it, in one process: the same parts as the real one's."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select

from atb.backtest import run as backtest
from atb.backtest.result import Result
from atb.db import Database, open_database
from atb.db.tables import EquityRow, EventRow, FillRow, IntentRow, KernelStateRow
from atb.decimals import exact
from atb.domain import Bars, Strategy
from atb.domain.input_series import InputSeries
from atb.domain.ports import Broker
from atb.engine.codes import REASONS, ROLES, SIDES
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.slot import warmup_bars
from atb.live.bell import Bell
from atb.live.execution.timing import DeskTiming
from atb.live.feed.timer import SteppedTimer
from atb.live.loop import Summary
from atb.live.plan import Plan
from atb.live.portfolio import Portfolio
from atb.live.runner import RunnerContext, VenueContext, trade_candles, trade_exchange
from atb.live.telemetry import Telemetry
from atb.venues.broker import Access, connect
from atb.venues.simulator.configuration import ExchangeConfig
from atb.venues.simulator.faults import Fault
from atb.venues.simulator.server import Running, running_exchange
from tests.database import lay_sqlite
from tests.instruments import usual
from tests.timeouts import PATIENCE_S

HOUR = 3_600_000
ACCOUNT = "main"
_CENT = 9  # decimals of a quantity below which nothing can be traded


def plan_of(
    strategy: Strategy,
    bars: Bars,
    policy: RiskPolicy,
    *,
    execution: ExecutionModel | None = None,
    account: AccountPolicy | None = None,
) -> Plan:
    """Return a plan as a promotion would make it, named after what it trades."""
    name = f"{strategy} {bars.symbol} {bars.timeframe} {policy}"
    digest = hashlib.sha256(name.encode()).hexdigest()
    execution = execution or ExecutionModel()
    warmup = warmup_bars(strategy, policy, execution)
    manifest = SimpleNamespace(content_sha256=digest, name=name[:60], mode="live", warmup=warmup, venue="x")
    return Plan(
        manifest,  # type: ignore[arg-type]
        strategy,
        bars.symbol,
        bars.timeframe,
        policy,
        execution,
        account or AccountPolicy(),
        usual(bars.symbol),
        None,
    )


@dataclass
class StopsAfter(Telemetry):
    """Rings for an end once a number of closes was traded."""

    closes: int = 1
    bell: Bell = field(default_factory=Bell)

    def closed(self) -> None:
        super().closed()
        self.closes -= 1
        if self.closes == 0:
            self.bell.stop()


UNANSWERED = {"held", "held_after", "late"}  # faults after which a request never gets its answer


@dataclass
class Venue:
    """One market, its plans, and how often its runner was started.

    An answer is waited for as long as it takes, so that a busy machine loses none; once a fault is planned that leaves a request
    without one, it counts as lost after two seconds.
    """

    running: Running
    portfolio: Portfolio
    bars: tuple[Bars, ...]
    root: Path
    first: int
    count: int
    url: str = ""
    timeout_s: float = PATIENCE_S
    inputs: dict[int, dict[str, InputSeries]] = field(default_factory=dict)

    @property
    def start_ms(self) -> int:
        """Open of the first bar to trade."""
        return int(self.bars[0].opened_ms[self.first])

    @property
    def until_ms(self) -> int:
        """Close of the last bar to trade."""
        return self.start_ms + self.count * self.bars[0].timeframe.seconds * 1_000

    def trade(
        self,
        *,
        closes: int | None = None,
        bars: int | None = None,
        portfolio: Portfolio | None = None,
        context: dict[str, Any] | None = None,
        paper: bool = False,
        **options: Any,
    ) -> Summary:
        """Run the exchange runner in this process until the bars end.

        Parameters
        ----------
        closes
            Ask for an end after this many closes, as a signal would.
        bars
            End the bars after this many from the first.
        portfolio, context, options
            Instead of the venue's own; more parts of the `RunnerContext` and of the `VenueContext`.
        paper
            Trade on paper over the exchange's candles.
        """
        until = self.until_ms if bars is None else self.start_ms + bars * HOUR
        more = {"until_ms": until, "compare_ms": 6 * HOUR, **options}
        parts = dict(context or {})
        if closes is not None:
            bell = parts.setdefault("bell", Bell())
            parts["telemetry"] = StopsAfter(closes=closes, bell=bell)
        return asyncio.run(self._trade(portfolio or self.portfolio, parts, more, paper=paper))

    async def _trade(
        self, portfolio: Portfolio, context: dict[str, Any], options: dict[str, Any], *, paper: bool
    ) -> Summary:
        timer = SteppedTimer(self.running.clock_url)
        await timer.open()
        broker = options.pop("wrap", lambda one: one)(self.connect(timer))
        database = context.pop("database", None) or open_database(self.url)
        timing = options.pop("timing", DeskTiming())
        trade = trade_candles if paper else trade_exchange
        try:
            exchange = VenueContext(broker, timer, timing, tick_ms=None, **options)
            return await trade(portfolio, RunnerContext(database, ACCOUNT, **context), exchange)
        finally:
            await broker.close()
            await timer.close()
            database.close()

    def connect(self, clock: Any) -> Broker:
        """Return a broker at the exchange."""
        return connect(
            Access("binance", "key", "secret", base_url=self.running.url, timeout_s=self.timeout_s, frame_gap_ms=HOUR),
            clock,
        )

    def advance(self, bars: float) -> None:
        """Let the exchange's time pass without a runner, to this many bars after the first."""
        self.running.advance(self.start_ms + int(bars * HOUR))

    def fault(self, kind: str, bar: float, path: str = "*", **values: Any) -> None:
        """Have something go wrong `bar` bars after the first one's open."""
        if kind in UNANSWERED:
            self.timeout_s = 2.0
        names = {"times", "until_ms", "retry_after_s"}
        own = {name: values.pop(name) for name in names & set(values)}
        at_ms = self.start_ms + int(bar * HOUR)
        self.running.add_faults(Fault(kind, path, at_ms=at_ms, detail=values, **own))

    # --- what came of it ----------------------------------------------------------------------------------------------

    def backtest(self) -> Result:
        """Return the backtest of what the runner traded."""
        slots = [
            plan.slot(self._until(bars), self.inputs.get(number))
            for number, (plan, bars) in enumerate(zip(self.portfolio.plans, self.bars, strict=True))
        ]
        start = self.bars[0].frame.index[self.first]
        return backtest(slots if len(slots) > 1 else slots[0], account=self.portfolio.account, start=start)

    def _until(self, bars: Bars) -> Bars:
        closes = bars.opened_ms + bars.timeframe.seconds * 1_000
        return Bars(bars.symbol, bars.timeframe, bars.frame[closes <= self.until_ms], bars.venue)

    def unlike(self) -> list[tuple[Any, ...]]:
        """Return the orders in which runner and backtest differ: key, quantity of the runner, quantity of the backtest."""
        result = self.backtest()
        mine, theirs = defaultdict(float), defaultdict(float)
        for fill in self.fills():
            if fill.time_ms >= self.until_ms:
                continue  # sent at the last close, into a bar that the backtest has not
            length = self.portfolio.plans[fill.slot].timeframe.seconds * 1_000
            opened = fill.time_ms // length * length
            mine[opened, fill.slot, fill.role, fill.side, float(fill.price), fill.reason] += float(fill.quantity)
        for order in result.outcome.orders:
            words = (ROLES[order["role"]], SIDES[order["side"]], float(order["price"]), REASONS[order["reason"]])
            opened = int(result.inputs.market["opened"][int(order["row"])])
            theirs[(opened, int(order["slot"]), *words)] += float(order["quantity"])
        keys = sorted(set(mine) | set(theirs))
        return [(*key, mine[key], theirs[key]) for key in keys if round(mine[key] - theirs[key], _CENT)]

    def rows(self, table: Any, *, by: Any) -> list[Any]:
        """Return a table's rows."""
        database = open_database(self.url)
        with database.session(read_only=True) as session:
            found = list(session.scalars(select(table).order_by(by)))
        database.close()
        return found

    def fills(self) -> list[FillRow]:
        """Return the journal's executions in the order in which they were folded."""
        return self.rows(FillRow, by=FillRow.fill_no)

    def intents(self, *roles: str) -> list[IntentRow]:
        """Return the journal's orders, oldest first."""
        return [row for row in self.rows(IntentRow, by=IntentRow.created_at) if not roles or row.role in roles]

    def events(self, *kinds: str) -> list[EventRow]:
        """Return the audit trail's entries."""
        return [row for row in self.rows(EventRow, by=EventRow.id) if not kinds or row.kind in kinds]

    def curve(self) -> list[tuple[int, float, float]]:
        """Return bar, equity and cash of every bar."""
        return [(row.bar_ms, row.equity, row.cash) for row in self.rows(EquityRow, by=EquityRow.bar_ms)]

    def state(self) -> dict[str, Any]:
        """Return the kernel's state as it was left."""
        (row,) = self.rows(KernelStateRow, by=KernelStateRow.session_id)
        return row.payload

    def open_orders(self) -> list[Any]:
        """Return the orders that are open at the exchange."""
        return self.running.call(lambda: list(self.running.exchange.trading.book.open_orders()))

    def held(self, asset: str) -> Decimal:
        """Return what the account has of an asset."""
        account = self.running.exchange.account
        return self.running.call(lambda: account.free(asset) + account.locked(asset))

    def requests(self, *methods: str) -> list[dict[str, Any]]:
        """Return the requests on orders that reached the exchange."""
        return [entry for entry in self.running.ledger("request") if not methods or entry["method"] in methods]


@contextmanager
def venue(
    root: Path,
    plans: Sequence[tuple[Strategy, Bars, RiskPolicy]],
    *,
    first: int,
    count: int,
    account: AccountPolicy | None = None,
    execution: ExecutionModel | None = None,
    url: str = "",
    **config: Any,
) -> Iterator[Venue]:
    """Run an exchange whose rules are the plans', and whose present is the open of the first bar to trade."""
    account, execution = account or AccountPolicy(), execution or ExecutionModel()
    made = [plan_of(strategy, bars, policy, execution=execution, account=account) for strategy, bars, policy in plans]
    series = tuple({(str(bars.symbol), str(bars.timeframe)): bars for _, bars, _ in plans}.values())
    asked = ExchangeConfig(
        series,
        start_ms=int(plans[0][1].opened_ms[first]),
        instruments=tuple({str(plan.symbol): plan.instrument for plan in made}.values()),
        balances=config.pop("balances", {"USDT": exact(account.cash)}),
        execution=execution,
        fee_in=config.pop("fee_in", "base" if execution.fee_in_base else "quote"),
        faults=list(config.pop("faults", ())),
        **config,
    )
    with running_exchange(asked) as running:
        url = url or lay_sqlite(root / "atb.db")
        yield Venue(running, Portfolio(tuple(made)), tuple(bars for _, bars, _ in plans), root, first, count, url)


def table_of(database: Database, table: Any) -> list[Any]:
    """Return a table's rows."""
    with database.session(read_only=True) as session:
        return list(session.scalars(select(table)))
