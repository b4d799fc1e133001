"""backtesting.py as a measured peer.

It is licensed under the AGPL-3.0. Only this module imports it, only in the process that measures it, and only when it is
installed; atb neither contains nor needs it.

For this strategy it fills as atb does: at the next open, with stop and target active in the entry bar, the stop first. Its stop
and target are prices given with the order, so they are measured from the close before the entry, which equals the open of the
entry on these bars. It trades whole units.
"""

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from atb.bench.engines import Engine, EngineResult
from atb.bench.workload import CASH, FEE, FRACTION, STAKE, BenchParameters, GeneratedBars


class BacktestingPy(Engine):
    """One `Backtest.run` per combination."""

    chunk: ClassVar[int | None] = 1

    def load(self, market: GeneratedBars) -> Any:
        """Import backtesting.py and return a frame with its column names."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import backtesting  # noqa: F401 - is it installed?

        return market.frame(zone=None).rename(columns=str.capitalize)

    def single(self, data: Any, *, tables: bool = False) -> Any:  # noqa: ARG002 - it always makes its tables
        """Return the statistics of one run, trades and equity among them."""
        return [_run(data, _strategy(BenchParameters()))]

    def several(self, data: Sequence[Any]) -> Any:
        """Run one market after the other, since a run has one, and add up the equity curves."""
        runs = [_run(frame, _strategy(BenchParameters(), stake=STAKE)) for frame in data]
        return runs, CASH + np.sum([stats["_equity_curve"]["Equity"].to_numpy() - CASH for stats in runs], axis=0)

    def many(self, data: Any, combinations: Sequence[BenchParameters]) -> Any:
        """Return the statistics of each combination."""
        return [_run(data, _strategy(parameters)) for parameters in combinations]

    def result(self, raw: Any) -> EngineResult:
        """Return the figures, and the trades where there is one result."""
        if isinstance(raw, tuple):
            runs, equity = raw
            offsets = np.cumsum([0] + [len(stats["_equity_curve"]) for stats in runs[:-1]])
            trades = [_trades(stats, int(first)) for stats, first in zip(runs, offsets, strict=True)]
            worst = float(np.max(1.0 - equity / np.maximum.accumulate(equity)))
            closed = sum(len(closed_trades) for closed_trades in trades)
            return EngineResult([float(equity[-1])], [closed], [worst], np.concatenate(trades).tolist())
        return EngineResult(
            [float(stats["Equity Final [$]"]) for stats in raw],
            [int(stats["# Trades"]) for stats in raw],
            [abs(float(stats["Max. Drawdown [%]"])) / 100 for stats in raw],
            _trades(raw[0]).tolist() if len(raw) == 1 else [],
        )


def _trades(stats: Any, first: int = 0) -> Any:
    """Return the trades as rows; rows of bars are counted from `first`."""
    columns = ["EntryBar", "ExitBar", "EntryPrice", "ExitPrice", "Size"]
    return stats["_trades"][columns].to_numpy(np.float64) + np.array([first, first, 0, 0, 0])


def _run(data: Any, strategy: Any) -> Any:
    from backtesting import Backtest

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the position that is still open at the end
        return Backtest(data, strategy, cash=CASH, commission=FEE).run()


def _strategy(combination: BenchParameters, *, stake: float = 0.0) -> Any:
    """Return the rule as a class, which is what backtesting.py runs."""
    from backtesting import Strategy

    class Cross(Strategy):  # type: ignore[misc] # the package has no types
        def init(self) -> None:
            import pandas as pd

            close = pd.Series(self.data.Close)
            self.fast = self.I(lambda: close.rolling(combination.fast).mean())
            self.slow = self.I(lambda: close.rolling(combination.slow).mean())

        def next(self) -> None:
            above, before = self.fast[-1] > self.slow[-1], self.fast[-2] > self.slow[-2]
            if self.position and not above:
                self.position.close()
            elif above and not before and not self.position:
                price = self.data.Close[-1]
                self.buy(
                    size=stake // price if stake else FRACTION * (1 + FEE),
                    sl=price * (1 - combination.stop),
                    tp=price * (1 + combination.target),
                )

    return Cross
