"""vectorbt as a measured peer: `Portfolio.from_signals` with its two engines, used the way that is quickest for it.

Signals are shifted by one bar and filled at the open, stops are measured from the fill and filled at their price. Times carry no
zone, because vectorbt reads a zoned index element by element (forty times slower at 100,000 bars), and the drawdown is taken
from its records rather than from returns, which halves the cost.

`from_signals` executes one order per bar and column. So a stop is never hit in the entry bar, and a stop reached in a bar at whose
open an exit is due fills before that exit.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from atb.bench.engines import Engine, EngineResult, FillRules
from atb.bench.workload import CASH, FEE, FRACTION, STAKE, BenchParameters, GeneratedBars


class Vectorbt(Engine):
    """Common part of vectorbt's two engines."""

    rules: ClassVar[FillRules] = FillRules(entry_bar=False, exit_first=False)
    chunk: ClassVar[int | None] = 100  # 100,000 bars x 100 columns already take 2 GB
    engine: ClassVar[str]

    def load(self, market: GeneratedBars) -> Any:
        """Import vectorbt, choose its engine and return a frame without a time zone."""
        import vectorbt as vbt

        vbt.settings["engine"] = self.engine
        return market.frame(zone=None)

    def single(self, data: Any, *, tables: bool = False) -> Any:
        """Return the figures and the trade records of one combination, with its equity computed."""
        figures, portfolio = self._simulate(data, [BenchParameters()])
        portfolio.value()
        if tables:
            _ = portfolio.orders.records_readable, portfolio.trades.records_readable
        return figures, portfolio.trades.records, 0

    def several(self, data: Sequence[Any]) -> Any:
        """Return the figures and the trade records of a group of columns that share their cash."""
        import pandas as pd

        columns = {
            name: pd.concat([frame[name] for frame in data], axis=1, keys=range(len(data)))
            for name in ("open", "high", "low", "close")
        }
        entries, exits = (
            np.hstack(parts) for parts in zip(*(_signals(frame, [BenchParameters()]) for frame in data), strict=True)
        )
        quantity = STAKE / columns["close"].shift(1)
        portfolio = self._portfolio(
            columns,
            entries,
            exits,
            size=quantity,
            size_type="amount",
            sl_stop=0.02,
            tp_stop=0.04,
            group_by=True,
            cash_sharing=True,
        )
        return self._figures(portfolio), portfolio.trades.records, len(data[0])

    def many(self, data: Any, combinations: Sequence[BenchParameters]) -> Any:
        """Return the figures of one chunk, simulated as one block of columns."""
        return self._simulate(data, combinations)[0], None, 0

    def result(self, raw: Any) -> EngineResult:
        """Return the figures; a position still open at the end is not a closed trade."""
        (equity, closed, worst), records, bars = raw
        trades: list[list[float]] = []
        if records is not None:
            done = records[records["status"] == 1].sort_values(["col", "entry_idx"])
            rows = [(done[name] + done["col"] * bars).to_numpy() for name in ("entry_idx", "exit_idx")]
            rest = [done[name].to_numpy() for name in ("entry_price", "exit_price", "size")]
            trades = np.stack([*rows, *rest], axis=1).astype(np.float64).tolist()
        return EngineResult(
            np.atleast_1d(equity).tolist(),
            [int(count) for count in np.atleast_1d(closed)],
            np.abs(np.nan_to_num(np.atleast_1d(worst))).tolist(),
            trades,
        )

    def _simulate(self, data: Any, combinations: Sequence[BenchParameters]) -> Any:
        entries, exits = _signals(data, combinations)
        portfolio = self._portfolio(
            data,
            entries,
            exits,
            size=FRACTION * (1 + FEE),  # its percentage pays the fee too
            size_type="percent",
            sl_stop=_row([parameters.stop for parameters in combinations]),
            tp_stop=_row([parameters.target for parameters in combinations]),
        )
        return self._figures(portfolio), portfolio

    def _portfolio(self, prices: Any, entries: Any, exits: Any, **options: Any) -> Any:
        import vectorbt as vbt

        return vbt.Portfolio.from_signals(
            prices["close"], entries, exits, price=prices["open"], open=prices["open"], high=prices["high"],
            low=prices["low"], fees=FEE, init_cash=CASH, stop_entry_price="fillprice", stop_exit_price="stopmarket",
            freq="1h", engine=self.engine, **options,
        )  # fmt: skip

    @staticmethod
    def _figures(portfolio: Any) -> Any:
        closed = portfolio.trades.closed.count()
        return portfolio.final_value(), closed, portfolio.get_drawdowns().max_drawdown()


class VectorbtNumba(Vectorbt):
    """vectorbt compiled by numba."""

    engine = "numba"


class VectorbtRust(Vectorbt):
    """vectorbt's Rust engine."""

    engine = "rust"


def _signals(data: Any, combinations: Sequence[BenchParameters]) -> tuple[Any, Any]:
    """Return entries and exits, one bar after the fast average crossed above or below the slow one."""
    import vectorbt as vbt

    pairs = [(parameters.fast, parameters.slow) for parameters in combinations]
    pairs = pairs[:1] if len(set(pairs)) == 1 else pairs  # one column serves all, by broadcasting
    fast, slow = (vbt.MA.run(data["close"], window=list(windows)) for windows in zip(*pairs, strict=True))
    above = fast.ma_above(slow).to_numpy().reshape(len(data), -1)
    entries, exits = np.zeros_like(above), np.zeros_like(above)
    entries[2:] = above[1:-1] & ~above[:-2]
    exits[2:] = ~above[1:-1] & above[:-2]
    return entries, exits


def _row(values: list[float]) -> Any:
    """Return one value per column, or the value itself where there is one column."""
    return values[0] if len(values) == 1 else np.array(values)[None, :]
