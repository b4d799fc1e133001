"""What a strategy must beat: the same market, costs and account, without the strategy, or without its timing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.backtest.metrics import Columns, metrics
from atb.backtest.simulation import Ended, Outcome, only_the_end, simulate
from atb.backtest.span import Span
from atb.engine.parameters import account_parameters, slot_parameters
from atb.engine.policy import AccountPolicy, RiskPolicy
from atb.engine.prepare import Problem
from atb.engine.records import ACCOUNT, SUMMARY, Floats, fresh_account, fresh_slots

RUNS, SEED = 50, 20_240_229
FIGURES = ("total_return_pct", "max_drawdown_pct", "sharpe", "n_trades")
LOW, HIGH = 5, 95  # percentiles of the range that is shown


def figures_of(problem: Problem, ended: Sequence[Ended]) -> Columns:
    """Return the figures of merit of several runs of one problem, one value each."""
    return metrics(
        np.array([one.summary for one in ended], SUMMARY),
        np.array([one.account for one in ended], ACCOUNT),
        np.stack([one.slots for one in ended]),
        times=np.array([[one.below, one.exposed] for one in ended], np.float64),
        cash=problem.account.cash,
        span=Span.of(problem),
    )


def hold(problem: Problem) -> Outcome:
    """Buy every slot's symbol in equal parts at its first open and keep it; the account's reserve stays in cash.

    The kernel itself trades it, with the slots' own fees, slippage and instrument rules and without any stop, target or limit.
    """
    wanted = problem.wanted.with_side(np.ones(len(problem.lanes.opened)))
    policy = RiskPolicy(fraction=(1.0 - problem.account.reserve) / len(problem.slots))
    parameters = problem.parameters.copy()
    for s, slot in enumerate(problem.slots):
        parameters[s] = slot_parameters(policy, slot.execution, slot.rules)
    limits = account_parameters(AccountPolicy(cash=problem.account.cash, reserve=problem.account.reserve))
    limits["max_gross"] = np.inf
    return simulate(replace(problem, wanted=wanted, parameters=parameters, limits=limits))


def idle(problem: Problem) -> Ended:
    """Return the end of an account that never trades."""
    summary = np.zeros(1, SUMMARY)
    summary["bars"], summary["last"] = len(problem.closes), problem.account.cash
    return Ended(summary[0], fresh_account(problem.account.cash)[0], fresh_slots(len(problem.slots)), 0.0, 0.0)


@dataclass(frozen=True)
class RandomEntry:
    """The strategy with its timing taken away: many runs that want the same positions for as long, at random times.

    `figures` has one value per run for each of `FIGURES`; `strategy_return_pct` is what the strategy itself returned.
    """

    seed: int
    figures: dict[str, Floats]
    strategy_return_pct: float

    @property
    def runs(self) -> int:
        """How many runs there were."""
        return len(self.figures["total_return_pct"])

    @property
    def beaten(self) -> int:
        """How many of them returned less than the strategy."""
        return int((self.figures["total_return_pct"] < self.strategy_return_pct).sum())

    @property
    def varies(self) -> bool:
        """Whether chance had a choice: a position held throughout, or none, cannot be held at another time."""
        returns = self.figures["total_return_pct"]
        return bool(returns.max() > returns.min())

    def median(self, name: str) -> float:
        """Return the median of a figure, NaN when no run has it."""
        return self._percentile(name, 50)

    def span(self, name: str) -> tuple[float, float]:
        """Return the range that nine of ten runs lie in."""
        return self._percentile(name, LOW), self._percentile(name, HIGH)

    def _percentile(self, name: str, percent: float) -> float:
        known = self.figures[name][~np.isnan(self.figures[name])]
        return float(np.percentile(known, percent)) if len(known) else float("nan")

    def to_json(self) -> dict[str, Any]:
        """Return the seed, how many runs were beaten, and median and range of each figure; NaN becomes None."""
        kept = {}
        for name in FIGURES:
            low, high = self.span(name)
            values = {"median": self.median(name), f"p{LOW}": low, f"p{HIGH}": high}
            kept[name] = {key: None if np.isnan(value) else value for key, value in values.items()}
        return {"seed": self.seed, "runs": self.runs, "beaten": self.beaten, **kept}


def random_entry(problem: Problem, outcome: Outcome, *, runs: int = RUNS, seed: int = SEED) -> RandomEntry:
    """Run the problem again and again with each slot's stretches of wanted sides put at random times.

    Parameters
    ----------
    problem
        Of the strategy.
    outcome
        What the strategy made of it.
    runs, seed
        How often, and where chance begins: the same seed gives the same runs.

    Notes
    -----
    Kernel, policy, costs, bars, ATR and volatility stay as they are. The stretches in which a side is wanted keep their
    number, sides, order of sides and contents; which length comes when, and the flat time between them, are drawn anew.
    """
    rng = np.random.default_rng(seed)
    ends = (*problem.offsets[1:], len(problem.market))
    parts = [slice(a, b) for a, b in zip(problem.offsets, ends, strict=True)]
    stretches = [Stretches.of(problem.signals["side"][part]) for part in parts]
    other = problem.with_signals(problem.signals.copy())
    ends_of_runs = []
    for _ in range(runs):
        for part, wanted in zip(parts, stretches, strict=True):
            _move(problem, other, part, source=wanted.drawn(rng))
        other.wanted.side[:] = other.signals["side"]  # the kernel's own copy of the sides
        ends_of_runs.append(only_the_end(other))
    figures = figures_of(problem, ends_of_runs)
    own = float(figures_of(problem, [Ended.of(outcome, problem)])["total_return_pct"][0])
    return RandomEntry(seed, {name: figures[name] for name in FIGURES}, own)


def _move(problem: Problem, other: Problem, part: slice, *, source: NDArray[np.int64]) -> None:
    """Write what was wanted at the rows `source` of one slot into its rows in order; -1 is flat.

    Confidence moves with its stretch; a wanted price or stop keeps its distance from the close. Columns that are the same
    everywhere stay.
    """
    given, moved = problem.signals[part], other.signals[part]
    moved["side"] = np.where(source < 0, 0.0, given["side"][source])
    if (given["confidence"] != 1.0).any():
        moved["confidence"] = given["confidence"][source]
    close = problem.market["close"][part]
    for name in ("stop", "price"):
        if not np.isnan(given[name]).all():
            moved[name] = given[name][source] / close[source] * close


@dataclass(frozen=True)
class Stretches:
    """The stretches of one slot in which it wants a side: where they begin, how long they are, and what lies around them."""

    rows: int
    first: int  # rows before it have no opinion yet and stay as they are
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    sides: Floats
    apart: NDArray[np.bool_]  # whether a flat stretch must lie before the stretch, so that it is an entry of its own

    @classmethod
    def of(cls, side: Floats) -> "Stretches":
        """Read them from a column of wanted sides; no opinion goes on with what was wanted."""
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
        """Return for each row the row whose wish it gets, -1 for flat, with the stretches at random times."""
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
        """Return the flat rows before each stretch: a uniformly drawn way to part all the flat time, the end's share included."""
        spare = self.rows - self.first - int(self.lengths.sum()) - int(self.apart.sum())
        marks = np.sort(rng.integers(0, spare + 1, len(self.starts)))
        return np.diff(marks, prepend=0) + self.apart
