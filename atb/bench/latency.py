"""Latency of the runner: from seeing a closed bar to its first request, commit included; and from an order to its answer.

Measured with the real parts: the exchange runner, ccxt over HTTP on loopback, the simulated exchange, SQLite with full
synchronisation. The exchange's clock stands still while the runner works, so only the work counts; unlike a real exchange, the
simulated one shares the processor.
"""

import asyncio
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from atb.bench.cases import ATB, Row
from atb.bench.workload import CALM, generate
from atb.decimals import exact
from atb.errors import RunError

CASE = "live"
BARS, _WARM = 400, 10
ORDERS = 300
WAYS = {"rest": "atb by REST", "websocket": "atb by WebSocket"}
EDGES_MS = (5, 10, 20, 30, 40, 50, 75, 100, 200)


@dataclass(frozen=True)
class Latency:
    """Seconds from seeing a close to its first request, or from an order to its answer, in ascending order."""

    seconds: tuple[float, ...]

    def percentile(self, share: float) -> float:
        """Return a percentile by nearest rank; `share` is 0 to 1."""
        return self.seconds[max(0, math.ceil(share * len(self.seconds)) - 1)]

    def histogram(self) -> list[tuple[str, int]]:
        """Return the number of values in each bin of `EDGES_MS`, with the bin's label."""
        found, low = [], 0.0
        for high in (*EDGES_MS, math.inf):
            count = sum(low < seconds * 1_000 <= high for seconds in self.seconds)
            found.append((f"<= {high} ms" if high != math.inf else f"> {low:.0f} ms", count))
            low = high
        return found

    def row(self) -> Row:
        """Return the row of the table, with the 99th percentile as wall time."""
        shares = self._percentiles()
        bars = ", ".join(f"{words}: {count}" for words, count in self.histogram() if count)
        notes = [f"close seen to request sent, commit included: {shares} of {len(self.seconds)}", bars]
        return Row(CASE, ATB, BARS, 1, None, None, None, None, wall_s=self.percentile(0.99), notes=notes)

    def order_row(self, order_entry: str) -> Row:
        """Return the row of orders sent one way, with the median as wall time."""
        notes = [f"order sent to answer, on loopback: {self._percentiles()} of {len(self.seconds)}"]
        return Row(CASE, WAYS[order_entry], 0, 1, None, None, None, None, wall_s=self.percentile(0.5), notes=notes)

    def _percentiles(self) -> str:
        return ", ".join(f"p{share * 100:g} {self.percentile(share) * 1_000:.1f} ms" for share in (0.5, 0.95, 0.99))


def measure_latency(seed: int = 42) -> Latency:
    """Trade a busy strategy at the simulated exchange and return the latency of its requests."""
    with tempfile.TemporaryDirectory() as folder:
        return Latency(tuple(sorted(asyncio.run(_measure(Path(folder), seed))[_WARM:])))


def measure_orders(order_entry: str, seed: int = 42) -> Latency:
    """Send resting orders at the simulated exchange, one after the other, and return how long their answers took.

    Parameters
    ----------
    order_entry
        The way: `rest` or `websocket`.
    seed
        Of the market.
    """
    return Latency(tuple(sorted(asyncio.run(_time_orders(order_entry, seed))[_WARM:])))


async def _time_orders(order_entry: str, seed: int) -> list[float]:
    from atb.domain import Order
    from atb.venues.broker import Access, connect
    from atb.venues.simulator.configuration import ExchangeConfig, Key
    from atb.venues.simulator.server import running_exchange

    _, bars, start_ms = _portfolio(seed)
    symbol, key, found = bars.symbol, Key("bench", "bench"), list[float]()
    low = exact(round(float(bars.frame["close"].min()) * 0.5, 2))
    config = ExchangeConfig((bars,), start_ms, balances={symbol.quote: exact(1e9)}, keys=(key,), fee_in="quote")
    with running_exchange(config) as running:
        broker = connect(
            Access("binance", key.name, key.secret, base_url=running.url, order_entry=order_entry), running.clock
        )
        try:
            await broker.open([symbol])
            for number in range(ORDERS + _WARM):
                order = Order(f"atb-bench-{number}", symbol, "buy", "entry", "limit", exact(1.0), price=low)
                began = monotonic()
                answer = await broker.place(order)
                found.append(monotonic() - began)
                if answer.outcome != "done":
                    raise RunError("The simulated exchange refused an order of the measurement", found=answer.text)
                await broker.cancel(order)
                running.advance(running.clock.now_ms() + 1_000)
        finally:
            await broker.close()
    return found


async def _measure(folder: Path, seed: int) -> list[float]:
    from atb.db import open_database
    from atb.live.context import RunnerContext, VenueContext
    from atb.live.feed.timer import SteppedTimer
    from atb.live.runner import trade_exchange
    from atb.live.telemetry import Telemetry
    from atb.venues.broker import Access, connect
    from atb.venues.simulator.configuration import ExchangeConfig, Key
    from atb.venues.simulator.server import running_exchange

    portfolio, bars, start_ms = _portfolio(seed)
    end_ms = int(bars.opened_ms[-2])
    key, watch = Key("bench", "bench"), Telemetry()
    cash = {"USDT": exact(portfolio.account.cash)}
    with running_exchange(ExchangeConfig((bars,), start_ms, balances=cash, keys=(key,), fee_in="quote")) as running:
        timer = SteppedTimer(running.clock_url)
        await timer.open()
        hour = 1_000 * bars.timeframe.seconds
        access = Access("binance", key.name, key.secret, base_url=running.url, frame_gap_ms=hour)
        broker, database = connect(access, timer), open_database(f"sqlite:///{folder / 'atb.db'}")
        try:
            venue = VenueContext(broker, timer, compare_ms=24 * hour, tick_ms=None, until_ms=end_ms)
            await trade_exchange(portfolio, RunnerContext(database, "bench", telemetry=watch), venue)
        finally:
            await broker.close()
            await timer.close()
            database.close()
    return watch.latencies


def _portfolio(seed: int) -> tuple[Any, Any, int]:
    """Return a portfolio that trades often, its bars, and the open of the first traded bar."""
    from atb.domain import Bars, Symbol, Timeframe
    from atb.domain.observed import synthetic_rules
    from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
    from atb.engine.slot import warmup_bars
    from atb.live.plan import Plan
    from atb.live.portfolio import Portfolio
    from atb.promotion.manifest import SCHEMA, Manifest
    from atb.strategies import make_strategy

    symbol, timeframe, strategy = (
        Symbol.parse("BTC/USDT"),
        Timeframe.parse("1h"),
        make_strategy("sma_cross", fast=2, slow=3),
    )
    policy = RiskPolicy(fraction=0.5, stop_loss=0.02, trailing_stop=0.01, reenter=True)
    execution, account, instrument = ExecutionModel(), AccountPolicy(), synthetic_rules(symbol)
    warm = warmup_bars(strategy, policy, execution)
    bars = Bars(symbol, timeframe, generate(BARS + warm + CALM, seed).frame().iloc[CALM:], "bench")
    manifest = Manifest(
        schema=SCHEMA, name="bench", mode="paper", created="", run_id="", strategy={}, symbol=str(symbol),
        timeframe=str(timeframe), venue="bench", policy={}, execution={}, account={}, instrument={}, model=None, data=[],
        kernel_hash="", versions={}, sources={}, locks={}, warmup=warm, evidence={}, verdict={}, content_sha256="0" * 64,
    )  # fmt: skip
    plan = Plan(manifest, strategy, symbol, timeframe, policy, execution, account, instrument, None)
    return Portfolio((plan,)), bars, int(bars.opened_ms[warm])
