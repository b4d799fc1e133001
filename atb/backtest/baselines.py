"""Baselines that a strategy must beat: buy and hold, cash, and its own positions at random times."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.backtest.metrics import Columns, metrics
from atb.backtest.simulation import RunSummary, SimulationRecords, simulate, summarise
from atb.backtest.span import Span
from atb.engine.kernel_input import KernelInput
from atb.engine.parameters import account_parameters, slot_parameters
from atb.engine.policy import AccountPolicy, RiskPolicy
from atb.engine.records import ACCOUNT, SUMMARY, Floats, fresh_account, fresh_slots

RUNS, SEED = 50, 20_240_229
FIGURES = ("total_return_pct", "max_drawdown_pct", "sharpe", "n_trades")
LOW, HIGH = 5, 95  # percentiles of the range that is shown


def figures_of(inputs: KernelInput, ended: Sequence[RunSummary]) -> Columns:
    """Return the figures of merit of several runs on the same inputs, one value per run."""
    return metrics(
        np.array([run.summary for run in ended], SUMMARY),
        np.array([run.account for run in ended], ACCOUNT),
        np.stack([run.slots for run in ended]),
        times=np.array([[run.below, run.exposed] for run in ended], np.float64),
        cash=inputs.account.cash,
        span=Span.of(inputs),
    )


def hold(inputs: KernelInput) -> SimulationRecords:
    """Buy every slot's symbol in equal parts at its first open and hold it; the account's reserve stays in cash.

    The kernel itself trades it, with the slots' own fees, slippage and instrument rules and without any stop, target or limit.
    """
    signal_columns = inputs.signal_columns.with_side(np.ones(len(inputs.bar_columns.opened)))
    policy = RiskPolicy(fraction=(1.0 - inputs.account.reserve) / len(inputs.slots))
    parameters = inputs.parameters.copy()
    for s, slot in enumerate(inputs.slots):
        parameters[s] = slot_parameters(policy, slot.execution, slot.rules)
    limits = account_parameters(AccountPolicy(cash=inputs.account.cash, reserve=inputs.account.reserve))
    limits["max_gross"] = np.inf
    return simulate(replace(inputs, signal_columns=signal_columns, parameters=parameters, limits=limits))


def idle(inputs: KernelInput) -> RunSummary:
    """Return the summary of an account that never trades."""
    summary = np.zeros(1, SUMMARY)
    summary["bars"], summary["last"] = len(inputs.closes), inputs.account.cash
    return RunSummary(summary[0], fresh_account(inputs.account.cash)[0], fresh_slots(len(inputs.slots)), 0.0, 0.0)


@dataclass(frozen=True)
class RandomEntry:
    """The strategy without its timing: many runs that want the same positions for the same durations at random times.

    `figures` has one value per run for each of `FIGURES`; `strategy_return_pct` is what the strategy itself returned.
    """

    seed: int
    figures: dict[str, Floats]
    strategy_return_pct: float

    @property
    def runs(self) -> int:
        """Number of runs."""
        return len(self.figures["total_return_pct"])

    @property
    def beaten(self) -> int:
        """Number of runs that returned less than the strategy."""
        return int((self.figures["total_return_pct"] < self.strategy_return_pct).sum())

    @property
    def varies(self) -> bool:
        """True if the runs differ: a position held throughout, or none at all, cannot be moved in time."""
        returns = self.figures["total_return_pct"]
        return bool(returns.max() > returns.min())

    def median(self, name: str) -> float:
        """Return the median of a figure, NaN when no run has it."""
        return self._percentile(name, 50)

    def span(self, name: str) -> tuple[float, float]:
        """Return the range that holds 90 % of the runs."""
        return self._percentile(name, LOW), self._percentile(name, HIGH)

    def _percentile(self, name: str, percent: float) -> float:
        known = self.figures[name][~np.isnan(self.figures[name])]
        return float(np.percentile(known, percent)) if len(known) else float("nan")

    def to_json(self) -> dict[str, Any]:
        """Return seed, runs, runs beaten, and median and range of each figure; NaN becomes None."""
        kept = {}
        for name in FIGURES:
            low, high = self.span(name)
            values = {"median": self.median(name), f"p{LOW}": low, f"p{HIGH}": high}
            kept[name] = {key: None if np.isnan(value) else value for key, value in values.items()}
        return {"seed": self.seed, "runs": self.runs, "beaten": self.beaten, **kept}


def random_entry(inputs: KernelInput, outcome: SimulationRecords, *, runs: int = RUNS, seed: int = SEED) -> RandomEntry:
    """Run the inputs repeatedly with each slot's stretches of wanted sides moved to random times.

    Parameters
    ----------
    inputs
        The strategy's run.
    outcome
        Its result.
    runs, seed
        Number of random runs, and the seed: the same seed gives the same runs.

    Notes
    -----
    Kernel, policy, costs, bars, ATR and volatility are unchanged. The stretches in which a side is wanted keep their number,
    their sides in order, and their contents; the order of their lengths and the flat time between them are drawn.
    """
    rng = np.random.default_rng(seed)
    sides = inputs.signal_columns.side
    stretches = [Stretches.of(sides[part]) for part in inputs.parts]
    lone = len(inputs.slots) == 1 and len(inputs.signal_columns.fields) < len(sides)  # nothing but the side varies
    other = inputs if lone else inputs.with_signals(inputs.signals.copy())
    ends_of_runs = []
    for _ in range(runs):
        sources = [stretch.drawn(rng) for stretch in stretches]
        if lone:
            moved = np.where(sources[0] < 0, 0.0, sides[sources[0]])
            other = replace(inputs, signal_columns=inputs.signal_columns.with_side(moved))
        else:
            for part, source in zip(inputs.parts, sources, strict=True):
                _move(inputs, other, part, source=source)
            other.signal_columns.side[:] = other.signals["side"]  # the loop for one slot reads this copy of the sides
        ends_of_runs.append(summarise(other))
    figures = figures_of(inputs, ends_of_runs)
    own = float(figures_of(inputs, [RunSummary.of(outcome, inputs)])["total_return_pct"][0])
    return RandomEntry(seed, {name: figures[name] for name in FIGURES}, own)


def _move(inputs: KernelInput, other: KernelInput, part: slice, *, source: NDArray[np.int64]) -> None:
    """Copy one slot's signals from the rows `source` into its rows in order; -1 is flat.

    Confidence moves with its stretch; a wanted price or stop keeps its relative distance from the close. Constant columns stay.
    """
    given, moved = inputs.signals[part], other.signals[part]
    moved["side"] = np.where(source < 0, 0.0, given["side"][source])
    if (given["confidence"] != 1.0).any():
        moved["confidence"] = given["confidence"][source]
    close = inputs.market["close"][part]
    for name in ("stop", "price"):
        if not np.isnan(given[name]).all():
            moved[name] = given[name][source] / close[source] * close


@dataclass(frozen=True)
class Stretches:
    """The stretches of one slot in which it wants a side: start, length, side, and whether a flat stretch must precede."""

    rows: int
    first: int  # rows before it have no signal yet and stay as they are
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    sides: Floats
    apart: NDArray[np.bool_]  # True if a flat stretch must precede it, so that it is an entry of its own

    @classmethod
    def of(cls, side: Floats) -> "Stretches":
        """Find them in a column of wanted sides; NaN continues the side before it."""
        known = np.flatnonzero(~np.isnan(side))
        first = int(known[0]) if len(known) else len(side)
        held = (
            side[known[np.searchsorted(known, np.arange(first, len(side)), side="right") - 1]]
            if len(known)
            else side[:0]
        )
        starts = np.flatnonzero(np.concatenate([[True], held[1:] != held[:-1]])) if len(held) else np.zeros(0, np.int64)
        lengths = np.diff(np.append(starts, len(held)))
        wanted = held[starts] != 0 if len(held) else np.zeros(0, bool)
        sides = held[starts[wanted]] if len(held) else held
        apart = np.concatenate([[False], sides[1:] == sides[:-1]]) if len(sides) else np.zeros(0, bool)
        return cls(len(side), first, first + starts[wanted], lengths[wanted], sides, apart)

    def drawn(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return for each row the row whose signal it takes, -1 for flat, with the stretches at random times."""
        source = np.full(self.rows, -1, dtype=np.int64)
        source[: self.first] = np.arange(self.first)
        if not len(self.starts):
            return source
        order = np.arange(len(self.starts))
        for side in (-1.0, 1.0):
            of_side = np.flatnonzero(self.sides == side)
            order[of_side] = rng.permutation(of_side)
        lengths = self.lengths[order]
        begins = self.first + np.cumsum(self._gaps(rng)) + np.concatenate([[0], np.cumsum(lengths)[:-1]])
        inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        source[np.repeat(begins, lengths) + inside] = np.repeat(self.starts[order], lengths) + inside
        return source

    def _gaps(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the number of flat rows before each stretch: a uniform random split of all flat time, the end included."""
        spare = self.rows - self.first - int(self.lengths.sum()) - int(self.apart.sum())
        marks = np.sort(rng.integers(0, spare + 1, len(self.starts)))
        return np.diff(marks, prepend=0) + self.apart
