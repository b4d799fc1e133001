"""atb as a measured engine: the public calls that a notebook makes, on the shared workload."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np

from atb.bench.engines import Engine, EngineResult
from atb.bench.workload import CASH, FEE, FRACTION, STAKE, STEP, BenchParameters, GeneratedBars


class Atb(Engine):
    """`atb.backtest.run` and `atb.backtest.sweep` with the full kernel."""

    def load(self, market: GeneratedBars) -> Any:
        """Import the engine and return the bars."""
        import atb.backtest  # noqa: F401 - so that no timed call has to
        from atb.domain import Bars, Symbol, Timeframe
        from atb.domain.bars import SYNTHETIC

        return Bars(Symbol.parse("BTC/USDT"), Timeframe.parse("1h"), market.frame(), SYNTHETIC)

    def single(self, data: Any, *, tables: bool = False) -> Any:
        """Return the result with records, equity and drawdown; or with the tables that a notebook shows."""
        return _looked_at(_slot(data, BenchParameters()), tables=tables)

    def several(self, data: Sequence[Any]) -> Any:
        """Return the result of one account that trades a slot per market."""
        stake = replace(_policy(BenchParameters()), sizing="fixed_stake", stake=STAKE)
        return _looked_at([replace(_slot(bars, BenchParameters()), policy=stake) for bars in data], tables=False)

    def many(self, data: Any, combinations: Sequence[BenchParameters]) -> Any:
        """Return the sweep over all combinations, on one worker."""
        return self.sweep(data, combinations, workers=1)

    def sweep(self, data: Any, combinations: Sequence[BenchParameters], *, workers: int) -> Any:
        """Return the sweep over all combinations: of policies where only those differ, else of strategies."""
        from atb.backtest import sweep

        slot = _slot(data, combinations[0])
        if len({(parameters.fast, parameters.slow) for parameters in combinations}) == 1:
            return sweep(
                slot, policies=[_policy(parameters) for parameters in combinations], account=_account(), workers=workers
            )
        strategies = [_slot(data, parameters).strategy for parameters in combinations]
        return sweep(slot, strategies=strategies, account=_account(), workers=workers)

    def result(self, raw: Any) -> EngineResult:
        """Return the figures of a sweep's table, or those and the trades of one result."""
        if not isinstance(raw, tuple):
            table = raw.table
            return EngineResult(
                table["final_equity"].astype(float).tolist(),
                [int(count) for count in table["n_trades"]],
                (table["max_drawdown_pct"].astype(float) / 100).tolist(),
            )
        result, worst = raw
        orders = result.outcome.orders
        columns = [_round_trips(orders[orders["slot"] == k]) for k in range(len(result.slots))]
        trades = np.concatenate(columns)
        return EngineResult([float(result.equity.iloc[-1])], [len(trades)], [worst], trades.tolist())


def _looked_at(slots: Any, *, tables: bool) -> Any:
    """Run, and read from the result what a user would."""
    from atb.backtest import run

    result = run(slots, account=_account())
    worst = float(result.outcome.summary["max_drawdown"])
    _ = (result.equity, result.orders, result.trades) if tables else (result.equity, result.outcome.trades)
    return result, worst


def _round_trips(orders: Any) -> Any:
    """Return the closed trades of one slot; every second order is an exit, since a trade has one entry and one exit."""
    bought, sold = orders[0::2], orders[1::2]
    bought = bought[: len(sold)]
    columns = bought["row"], sold["row"], bought["price"], sold["price"], sold["quantity"]
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def _slot(bars: Any, parameters: BenchParameters) -> Any:
    from atb.domain import Instrument
    from atb.engine.policy import ExecutionModel
    from atb.engine.slot import Slot
    from atb.strategies import make_strategy

    step = Decimal(STEP)
    instrument = Instrument(bars.symbol, tick=step, lot=step, min_quantity=step, min_notional=Decimal(0))
    strategy = make_strategy("sma_cross", fast=parameters.fast, slow=parameters.slow)
    costs = ExecutionModel(fee=FEE, slippage=0.0, limit_gap="open")  # as the compared engines fill
    return Slot(strategy, bars, _policy(parameters), costs, instrument)


def _policy(parameters: BenchParameters) -> Any:
    from atb.engine.policy import RiskPolicy

    return RiskPolicy(fraction=FRACTION, stop_loss=parameters.stop, take_profit=parameters.target)


def _account() -> Any:
    from atb.engine.policy import AccountPolicy

    return AccountPolicy(cash=CASH)
