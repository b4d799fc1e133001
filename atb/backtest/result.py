"""The result of a backtest: tables, figures of merit, baselines, what blocked it, and vectorbt's view of the same orders."""

import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atb.backtest import frames, statistics
from atb.backtest.simulation import Outcome
from atb.domain.bars import Bars
from atb.engine.cache import kernel_hash
from atb.engine.prepare import Problem, Slot, finest

if TYPE_CHECKING:
    import pandas as pd
    import vectorbt as vbt

EPSILON = 1e-9  # a quantity this far below one lot is rounding, not a holding


class Result:
    """One backtest, computed from the kernel's records on demand and never changed.

    `bool`, tables and figures are cached properties; `portfolio` imports vectorbt when it is first asked for.
    """

    def __init__(self, problem: Problem, outcome: Outcome) -> None:
        self.problem, self.outcome = problem, outcome

    # --- identity -----------------------------------------------------------------------------------------------------

    @property
    def slots(self) -> tuple[Slot, ...]:
        """What traded."""
        return self.problem.slots

    @property
    def bars(self) -> tuple[Bars, ...]:
        """The bars of each slot, warm-up included."""
        return tuple(slot.bars for slot in self.slots)

    @property
    def label(self) -> str:
        """Title of reports: strategies and markets, synthetic data named as such."""
        names = ", ".join(dict.fromkeys(slot.strategy.name for slot in self.slots))
        return f"{names} · " + "; ".join(dict.fromkeys(bars.label for bars in self.bars))

    @property
    def kernel_hash(self) -> str:
        """Which rules decided."""
        return kernel_hash()

    # --- tables -------------------------------------------------------------------------------------------------------

    @cached_property
    def index(self) -> "pd.DatetimeIndex":
        """Open times of the bars of the finest timeframe at whose closes equity is known."""
        import pandas as pd

        closes = self.problem.events[~np.isnan(self.outcome.equity)]
        timeframe = finest(self.slots)
        opened = closes - timeframe.seconds * 1000
        if timeframe.unit == "M":
            opened = np.unique(self.problem.market["opened"])
        return pd.DatetimeIndex(pd.to_datetime(opened, unit="ms", utc=True), name="timestamp")

    @cached_property
    def equity(self) -> "pd.Series[float]":
        """Account value in quote at each bar's close, indexed by the bar's open."""
        import pandas as pd

        return pd.Series(self.outcome.equity[~np.isnan(self.outcome.equity)], index=self.index, name="equity")

    @cached_property
    def orders(self) -> "pd.DataFrame":
        """Filled orders, oldest first."""
        return frames.orders_frame(self.outcome.orders, self.problem)

    @cached_property
    def trades(self) -> "pd.DataFrame":
        """Round trips; those still open at the end come last."""
        return frames.trades_frame(self.outcome.trades, self.outcome.slots, self.problem)

    @cached_property
    def refused(self) -> "pd.DataFrame":
        """Intents that were refused or shrunk, with the reason."""
        return frames.refusals_frame(self.outcome.refusals, self.problem)

    @cached_property
    def positions(self) -> "pd.DataFrame":
        """Signed quantity (base) held by each slot after each bar's close."""
        return frames.positions_frame(self.outcome.orders, self.problem, self.index)

    # --- figures ------------------------------------------------------------------------------------------------------

    @cached_property
    def stats(self) -> dict[str, float]:
        """Figures of merit by their standard names; drawdowns positive, percentages in percent."""
        cash, periods = self.problem.account.cash, finest(self.slots).bars_per_year
        equity = self.equity.to_numpy()
        lots = np.array([float(slot.rules.lot) for slot in self.slots]) * (1 - EPSILON)
        orders = self.outcome.orders
        shrunk = sum(count for reason, count in self.refusal_counts.items() if reason.startswith("shrunk"))
        return {
            **statistics.equity_statistics(equity, cash, periods),
            **statistics.trade_statistics(self.outcome.trades, len(equity), periods),
            "exposure_time_pct": 100 * float((self.positions.abs().to_numpy() >= lots).any(axis=1).mean()),
            "turnover": float((orders["quantity"] * orders["price"]).sum()) / cash,
            "fees_paid": float(orders["fee"].sum()),
            "benchmark_return_pct": self.baselines["hold"]["total_return_pct"],
            "rejected_signals": float(len(self.refused) - shrunk),
            "shrunk_signals": float(shrunk),
            "ambiguous_bars": float(orders["ambiguous"].sum()),
            "open_trades": float((self.outcome.slots["quantity"] != 0).sum()),
        }

    @cached_property
    def baselines(self) -> dict[str, dict[str, float]]:
        """What doing little would have given, with the same costs: `hold` (buy at the start, in equal parts) and `cash`."""
        from atb.backtest.baselines import hold

        risk = ("volatility_pct", "sharpe", "sortino", "calmar", "max_drawdown_pct", "max_drawdown_days")
        kept = ("total_return_pct", "cagr_pct", *risk, "fees_paid")
        cash, periods = self.problem.account.cash, finest(self.slots).bars_per_year
        outcome = hold(self.problem)
        equity = outcome.equity[~np.isnan(outcome.equity)]
        held = statistics.equity_statistics(equity, cash, periods) | {"fees_paid": float(outcome.orders["fee"].sum())}
        idle = statistics.equity_statistics(np.full(len(equity), cash, np.float64), cash, periods) | {"fees_paid": 0.0}
        return {"hold": {k: held[k] for k in kept}, "cash": {k: idle[k] for k in kept}}

    @cached_property
    def refusal_counts(self) -> dict[str, int]:
        """How often each reason refused or shrunk an intent."""
        return {str(reason): int(count) for reason, count in self.refused["reason"].value_counts().items()}

    @property
    def headline(self) -> str:
        """The one line that must be read first: what blocked the strategy, or its return beside holding."""
        if self.refusal_counts:
            counts = ", ".join(f"{reason} {count}" for reason, count in self.refusal_counts.items())
            return f"Some signals were not traded as given: {counts}. {self._summary}"
        return self._summary

    @property
    def _summary(self) -> str:
        stats, hold = self.stats, self.baselines["hold"]["total_return_pct"]
        return (
            f"{stats['total_return_pct']:+.2f} % against {hold:+.2f} % for holding, {stats['n_trades']:.0f} closed trades, "
            f"Sharpe {stats['sharpe']:.2f}, max drawdown {stats['max_drawdown_pct']:.1f} %"
        )

    @property
    def fill_model(self) -> str:
        """How orders were filled, in sentences."""
        parts = dict.fromkeys(_fill_sentence(slot) for slot in self.slots)
        return (
            "Decisions at the close of each bar; market orders fill at the next bar's open. A stop rests from the entry's "
            "fill, the entry bar included, and fills at its price or at the open when the bar gaps through it; a target is a "
            "limit order. Sizes are floored to lots and prices rounded to ticks against the trader. " + " ".join(parts)
        )

    # --- other views --------------------------------------------------------------------------------------------------

    @cached_property
    def portfolio(self) -> "vbt.Portfolio":
        """The same orders as a `vectorbt.Portfolio`, which accounts for them independently."""
        from atb.backtest.portfolio import wrap

        return wrap(self)

    def to_json(self) -> dict[str, Any]:
        """Return identity, settings and figures as plain JSON values; NaN becomes None."""
        return {
            "slots": [_slot_json(slot) for slot in self.slots],
            "account": self.problem.account.to_json(),
            "start": self.index[0].isoformat(),
            "end": finest(self.slots).next(self.index[-1].to_pydatetime()).isoformat(),
            "kernel_hash": self.kernel_hash,
            "stats": _plain(self.stats),
            "baselines": {name: _plain(values) for name, values in self.baselines.items()},
            "refused": self.refusal_counts,
            "fill_model": self.fill_model,
            "headline": self.headline,
        }

    def export(self, folder: Path) -> list[Path]:
        """Write orders.csv, trades.csv, equity.csv and refused.csv; floats are written so that they read back exactly."""
        folder.mkdir(parents=True, exist_ok=True)
        tables = {"orders": self.orders, "trades": self.trades, "refused": self.refused}
        paths = [folder / f"{name}.csv" for name in (*tables, "equity")]
        for path, table in zip(paths, tables.values(), strict=False):
            table.to_csv(path, index=False, lineterminator="\n")
        self.equity.to_frame().to_csv(paths[-1], lineterminator="\n")
        return paths

    def __repr__(self) -> str:
        """Return label and headline."""
        return f"<Result {self.label}: {self.headline}>"


def _fill_sentence(slot: Slot) -> str:
    execution = slot.execution
    maker = execution.fee if execution.maker_fee is None else execution.maker_fee
    first = "target" if execution.target_first else "stop"
    return (
        f"{slot.bars.symbol}: taker fee {execution.fee:.4%}, maker fee {maker:.4%}, slippage {execution.slippage:.4%}; "
        f"when one bar touches stop and target, the {first} fills first."
    )


def _slot_json(slot: Slot) -> dict[str, Any]:
    from atb.strategies import strategy_params

    bars = slot.bars
    return {
        "strategy": {"name": slot.strategy.name, "parameters": strategy_params(slot.strategy)},
        "symbol": str(bars.symbol),
        "timeframe": str(bars.timeframe),
        "venue": bars.venue,
        "policy": slot.policy.to_json(),
        "execution": slot.execution.to_json(),
        "instrument": slot.rules.to_json(),
        "warmup": slot.warmup,
        "model": None if slot.predictor is None else {"fingerprint": slot.predictor.fingerprint},
        "data": bars_json(bars),
    }


def bars_json(bars: Bars) -> dict[str, Any]:
    """Return what identifies a series of bars: symbol, timeframe, venue, period, count and fingerprint."""
    return {
        "symbol": str(bars.symbol),
        "timeframe": str(bars.timeframe),
        "venue": bars.venue,
        "first": bars.frame.index[0].isoformat(),
        "last": bars.frame.index[-1].isoformat(),
        "bars": len(bars),
        "gaps": len(bars.gaps),
        "fingerprint": bars.fingerprint,
    }


def _plain(values: dict[str, float]) -> dict[str, float | None]:
    return {name: float(value) if math.isfinite(value) else None for name, value in values.items()}
