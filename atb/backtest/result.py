"""The result of a backtest: tables, figures of merit, baselines, refused signals, and vectorbt's view of the same orders."""

import hashlib
import math
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from atb.backtest import frames
from atb.backtest.baselines import RandomEntry, figures_of, hold, idle, random_entry
from atb.backtest.fill_model import fill_model
from atb.backtest.ruin import RUINED, Ruin, ruin_of
from atb.backtest.simulation import RunSummary, SimulationRecords, simulate
from atb.backtest.span import Holes
from atb.decimals import counted, merit
from atb.domain.bars import Bars, series_label
from atb.engine.cache import kernel_hash
from atb.engine.codes import REFUSALS
from atb.engine.kernel_input import KernelInput, finest
from atb.engine.records import HALT_DAY, HALT_DRAWDOWN, HALT_LIQUIDATION
from atb.engine.slot import Slot

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    import pandas as pd
    import vectorbt as vbt

    from atb.backtest.card import CardFigures
    from atb.backtest.drilldown import DrillDown
    from atb.backtest.metrics import Columns
    from atb.trials.seen import Seen

_BASELINE = ("total_return_pct", "cagr_pct", "volatility_pct", "sharpe", "sortino", "calmar", "max_drawdown_pct",
             "max_drawdown_days", "fees_paid", "financing_paid")  # fmt: skip
_REASONS = 4  # of the headline; the card has them all
_HALTS = {
    HALT_DAY: "halted for the day by its daily loss",
    HALT_DRAWDOWN: "halted for good by its drawdown",
    HALT_LIQUIDATION: "liquidated",
}


class Result:
    """One backtest: the kernel's records, and everything else computed from them at first use and kept.

    The last line of a notebook cell shows it as a card, `print` as a table; neither changes it.
    """

    def __init__(self, inputs: KernelInput, outcome: SimulationRecords, *, drilled: "DrillDown | None" = None) -> None:
        self.inputs, self.outcome, self.drilled = inputs, outcome, drilled

    # --- identity -----------------------------------------------------------------------------------------------------

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots that traded."""
        return self.inputs.slots

    @property
    def bars(self) -> tuple[Bars, ...]:
        """The bars of each slot, warm-up included."""
        return tuple(slot.bars for slot in self.slots)

    @property
    def label(self) -> str:
        """Title of reports: strategies and markets, synthetic data named as such."""
        names = ", ".join(dict.fromkeys(slot.strategy.name for slot in self.slots))
        return f"{names} · {series_label(self.bars)}"

    @property
    def kernel_hash(self) -> str:
        """Hash of the kernel that decided."""
        return kernel_hash()

    @property
    def seen(self) -> "Seen":
        """How often its bars have been looked at so far, this backtest included, and what luck alone would reach by now."""
        from atb.trials.seen import seen

        return seen(self.inputs)

    # --- tables -------------------------------------------------------------------------------------------------------

    @cached_property
    def index(self) -> "pd.DatetimeIndex":
        """Open times of the bars of the finest timeframe at whose closes equity is known."""
        import pandas as pd

        if len(self.slots) == 1:
            known = cast("pd.DatetimeIndex", self.bars[0].frame.index)
            first = len(known) - len(self.inputs.bar_columns.opened)
            return known[first:] if first else known
        timeframe = finest(self.slots)
        opened = self.inputs.closes - timeframe.seconds * 1000
        if timeframe.unit == "M":
            opened = np.unique(self.inputs.market["opened"])
        return pd.DatetimeIndex(pd.to_datetime(opened, unit="ms", utc=True), name="timestamp")

    @cached_property
    def equity(self) -> "pd.Series[float]":
        """Account value in quote at each bar's close, indexed by the bar's open."""
        return self._curve(self.outcome, "equity")

    def _curve(self, outcome: SimulationRecords, name: str) -> "pd.Series[float]":
        import pandas as pd

        return pd.Series(outcome.equity, index=self.index, name=name)

    @cached_property
    def orders(self) -> "pd.DataFrame":
        """Filled orders, oldest first."""
        return frames.orders_frame(self.outcome.orders, self.inputs)

    @cached_property
    def trades(self) -> "pd.DataFrame":
        """Round trips; those still open at the end come last."""
        return frames.trades_frame(self.outcome.trades, self.outcome.orders, self.inputs, slots=self.outcome.slots)

    @cached_property
    def refused(self) -> "pd.DataFrame":
        """Intents that were refused or shrunk, with the reason; what a ruined account refused is one row."""
        return frames.refusals_frame(self.outcome.refusals, self.inputs, self.ruin.at_ms if self.ruin else None)

    @cached_property
    def positions(self) -> "pd.DataFrame":
        """Signed quantity (base) held by each slot after each bar's close, dust included."""
        return frames.positions_frame(self.outcome.orders, self.inputs, self.index)

    # --- figures ------------------------------------------------------------------------------------------------------

    @cached_property
    def figures(self) -> "Columns":
        """The figures of merit that follow from the run alone, each (1,): `stats` as columns, as the ledger takes them."""
        return figures_of(self.inputs, [RunSummary.of(self.outcome, self.inputs)])

    @cached_property
    def stats(self) -> dict[str, float]:
        """Figures of merit by their standard names; drawdowns positive, percentages in percent.

        `throttled` is the drawdown throttle's level and `halted` the halt's code when the run ended, 0 for none.
        """
        return {name: float(column[0]) for name, column in self.figures.items()} | {
            "throttled": float(self.outcome.account["throttle"]),
            "halted": float(self.outcome.account["halt"]),
            "benchmark_return_pct": self.baselines["hold"]["total_return_pct"],
        }

    @cached_property
    def benchmark_equity(self) -> "pd.Series[float]":
        """Account value in quote of buying every symbol at the start, in equal parts and with the same costs."""
        return self._curve(self._benchmark, "hold")

    @cached_property
    def _benchmark(self) -> SimulationRecords:
        return hold(self.inputs)

    @cached_property
    def baselines(self) -> dict[str, dict[str, float]]:
        """Figures of `hold` (buy at the start, in equal parts) and `cash`, with the same costs."""
        figures = figures_of(self.inputs, [RunSummary.of(self._benchmark, self.inputs), idle(self.inputs)])
        return {kind: {name: float(figures[name][k]) for name in _BASELINE} for k, kind in enumerate(("hold", "cash"))}

    @cached_property
    def random_entry(self) -> RandomEntry:
        """Many runs with the same positions at random times: what the strategy's timing is worth."""
        return random_entry(self.inputs, self.outcome)

    @cached_property
    def band(self) -> "dict[str, pd.Series[float]]":
        """Equity if the stop had filled first in every ambiguous bar, and if the target had; empty where no fill was ambiguous.

        `stop_first` and `target_first` are whole runs of their own, since a different fill changes what follows; bars of which a
        finer timeframe knows what came first are the same in both. Neither has to lie below the other.
        """
        if not self.stats["ambiguous_bars"]:
            return {}
        found = {}
        for value, name in enumerate(("stop_first", "target_first")):
            parameters = self.inputs.parameters.copy()
            parameters["target_first"] = value
            found[name] = self._curve(simulate(replace(self.inputs, parameters=parameters)), name)
        return found

    # --- in words -----------------------------------------------------------------------------------------------------

    @cached_property
    def refusal_counts(self) -> dict[str, int]:
        """How often each reason refused or shrunk an intent, the most frequent first; ruin is one reason, once."""
        refusals = self.outcome.refusals
        known = refusals if self.ruin is None else refusals[refusals["time"] < self.ruin.at_ms]
        codes, counts = np.unique(known["reason"], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        found = {REFUSALS[int(codes[k])]: int(counts[k]) for k in order}
        return found | ({RUINED: 1} if self.ruin else {})

    @cached_property
    def ruin(self) -> Ruin | None:
        """When and how the account was ruined; None if it was not."""
        return ruin_of(self.outcome, self.inputs)

    @property
    def halt(self) -> str:
        """The halt in force at the end, in words; empty if the account could trade."""
        return _HALTS.get(int(self.outcome.account["halt"]), "")

    @property
    def headline(self) -> str:
        """The line to read first: what blocked the strategy, or its return beside buy and hold."""
        halted = [f"The account ended {self.halt}."] * bool(self.halt)
        parts = [str(self.ruin)] if self.ruin else halted
        if refused := {reason: count for reason, count in self.refusal_counts.items() if reason != RUINED}:
            counts = [f"{reason} {count}" for reason, count in refused.items()]
            rest = len(counts) - _REASONS
            shown = counts[:_REASONS] + [f"and {counted(rest, 'other reason')}"] * (rest > 0)
            parts.append(f"Some signals were not traded as given: {', '.join(shown)}.")
        return " ".join([*parts, self._summary])

    @property
    def _summary(self) -> str:
        stats, hold = self.stats, self.baselines["hold"]["total_return_pct"]
        said = {name: merit(name, stats[name]) for name in ("total_return_pct", "sharpe", "max_drawdown_pct")}
        return (
            f"{said['total_return_pct']} against {merit('total_return_pct', hold)} for holding, "
            f"{counted(stats['n_trades'], 'closed trade')}, Sharpe {said['sharpe']}, max drawdown {said['max_drawdown_pct']}"
        )

    @cached_property
    def holes(self) -> tuple[Holes, ...]:
        """Where the traded bars of each slot are missing; empty where none is."""
        found = (
            Holes.of(bars, int(self.inputs.bar_columns.opened[a]))
            for bars, a in zip(self.bars, self._firsts, strict=True)
        )
        return tuple(dict.fromkeys(holes for holes in found if holes))

    @property
    def _firsts(self) -> list[int]:
        """The first row of each slot."""
        return [min(offset, len(self.inputs.bar_columns.opened) - 1) for offset in self.inputs.offsets]

    @property
    def ambiguity(self) -> str:
        """How many fills depend on the order of prices inside a bar, and final equity with either order."""
        count = int(self.stats["ambiguous_bars"])
        looked_up = f" {self.drilled}." if self.drilled else ""
        if not count:
            return f"No fill depends on the order of prices inside a bar.{looked_up}"
        low, high = (self.band[name].iloc[-1] for name in ("stop_first", "target_first"))
        return (
            f"{counted(count, 'fill depends', 'fills depend')} on the order of prices inside a bar: final equity "
            f"{low:,.2f} with every stop first, {high:,.2f} with every target first.{looked_up}"
        )

    @property
    def fill_model(self) -> str:
        """How orders were filled and what they cost, in sentences."""
        return " ".join(fill_model(self.inputs))

    # --- other views --------------------------------------------------------------------------------------------------

    @cached_property
    def portfolio(self) -> "vbt.Portfolio":
        """The same orders as a `vectorbt.Portfolio`, which accounts for them independently."""
        from atb.backtest.portfolio import wrap

        return wrap(self.inputs, self.outcome, self.index)

    @cached_property
    def card(self) -> "CardFigures":
        """The values of the card: figures, baselines and notes."""
        from atb.backtest.card import CardFigures

        return CardFigures(
            label=self.label,
            headline=self.headline,
            kernel_hash=self.kernel_hash,
            timeframe=finest(self.slots),
            start=self.index[0].to_pydatetime(),
            end=self._end,
            equity=self.outcome.equity,
            benchmark_equity=self._benchmark.equity,
            stats=self.stats,
            baselines=self.baselines,
            random_entry=self.random_entry,
            refusal_counts=self.refusal_counts,
            ruin=self.ruin,
            halt=self.halt,
            holes=self.holes,
            ambiguity=self.ambiguity,
            fill_model=tuple(fill_model(self.inputs)),
        )

    @property
    def _end(self) -> "datetime":
        """Close time of the last bar."""
        return finest(self.slots).next(self.index[-1].to_pydatetime())

    def to_json(self) -> dict[str, Any]:
        """Return identity, settings and figures as plain JSON values; NaN becomes None."""
        return {
            "slots": [_slot_json(slot) for slot in self.slots],
            "account": self.inputs.account.to_json(),
            "start": self.index[0].isoformat(),
            "end": self._end.isoformat(),
            "kernel_hash": self.kernel_hash,
            "stats": _plain(self.stats),
            "baselines": {name: _plain(values) for name, values in self.baselines.items()},
            "refused": self.refusal_counts,
            "fill_model": self.fill_model,
            "headline": self.headline,
            "holes": [holes.to_json() for holes in self.holes],
            "ruin": None if self.ruin is None else self.ruin.to_json(),
            "ambiguity": self.ambiguity,
            "drilled": None if self.drilled is None else str(self.drilled),
            "band": {name: float(curve.iloc[-1]) for name, curve in self.band.items()},
            "random_entry": self.random_entry.to_json(),
        }

    def export(self, folder: "Path") -> "list[Path]":
        """Write orders, trades, refused signals and equity as CSV files, long tables as Parquet; both read back exactly."""
        equity = self.equity.to_frame().reset_index()
        tables = {"orders": self.orders, "trades": self.trades, "refused": self.refused, "equity": equity}
        return frames.export_tables(tables, folder)

    def __repr__(self) -> str:
        """Return label and headline, in one line."""
        return f"<Result {self.label}: {self.headline}>"

    def __str__(self) -> str:
        """Return the card as text."""
        from atb.backtest.card import text

        return text(self.card)

    def _repr_html_(self) -> str:
        """Return the card that a notebook shows."""
        from atb.backtest.card import html

        return html(self.card)


def _slot_json(slot: Slot) -> dict[str, Any]:
    from atb.strategies import strategy_params

    bars = slot.bars
    return {
        "strategy": {"name": slot.strategy.name, "parameters": strategy_params(slot.strategy)},
        "source": _source_json(type(slot.strategy)),
        "symbol": str(bars.symbol),
        "timeframe": str(bars.timeframe),
        "venue": bars.venue,
        "policy": slot.policy.to_json(),
        "execution": slot.execution.to_json(),
        "instrument": slot.rules.to_json(),
        "warmup": slot.warmup,
        "model": None if slot.predictor is None else {"fingerprint": slot.predictor.fingerprint},
        "data": bars_json(bars),
        "inputs": {name: series.identity() for name, series in slot.handed.items()},
        "funding": slot.funding is not None,
        "listings": None if slot.listings is None else [listing.to_json() for listing in slot.listings],
    }


def _source_json(kind: type) -> dict[str, str | None]:
    """Return a strategy's module and the SHA-256 of its text that ran.

    None if that is no file of atb (a notebook's cell, say), or the file was loaded again since.
    """
    import os
    import sys

    from atb.sources import executed

    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None) if getattr(module, kind.__name__, None) is kind else None
    text = None if file is None else executed().get(os.path.realpath(file))
    return {"module": kind.__module__, "sha256": None if text is None else hashlib.sha256(text).hexdigest()}


def bars_json(bars: Bars) -> dict[str, Any]:
    """Return the identity of a series of bars: symbol, timeframe, venue, period, count and fingerprint."""
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
