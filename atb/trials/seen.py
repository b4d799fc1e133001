"""The looks at some bars so far: how many trials they have seen, and the Sharpe ratio that luck alone would reach by now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atb.domain.bars import SYNTHETIC, Bars
from atb.times import DAY_MS, at_ms
from atb.trials.days import Floats
from atb.trials.luck import effective_number, lucky_sharpe
from atb.trials.reading import Ledger, Trials, read_ledger

if TYPE_CHECKING:
    from atb.engine.kernel_input import KernelInput

OVERLAP = 0.5  # of the shorter of two periods, from which they are the same data
MOST = 200  # series that are compared with each other
Market = tuple[str, str, bool]


@dataclass(frozen=True)
class Seen:
    """The looks at some bars so far.

    Parameters
    ----------
    markets
        Names of the markets asked about.
    rows
        Trials as recorded, repetitions included.
    trials
        Distinct trials.
    independent
        Independent ones among them, as `effective_number` counts.
    best
        The largest Sharpe ratio among them, annualised, brought to the length of the period asked about (`atb.trials.luck`); NaN
        if none has one.
    lucky
        The Sharpe ratio, annualised, that the best of them is expected to show over that length without any skill.
    kinds
        Rows by how they were tried.
    faults
        What the ledger lacks, a sentence each.
    """

    markets: tuple[str, ...]
    rows: int
    trials: int
    independent: int
    best: float
    lucky: float
    kinds: dict[str, int]
    faults: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the sentence to show beside a result."""
        alike = "" if self.independent == self.trials else f" ({self.independent:,} independent)"
        text = f"This data has seen {self.trials:,} trials{alike}: luck alone would reach a Sharpe ratio of {self.lucky:.2f}."
        if self.trials < 2:
            text = "This data has seen one trial." if self.trials else "No trial on this data is recorded."
        return " ".join([text, *(f"{fault}." for fault in self.faults)])

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        figures = {"best_sharpe": self.best if np.isfinite(self.best) else None, "lucky_sharpe": self.lucky}
        counts = {"rows": self.rows, "trials": self.trials, "independent": self.independent}
        return {"markets": list(self.markets), **counts, **figures, "kinds": self.kinds, "faults": list(self.faults)}


def seen(inputs: "KernelInput", ledger: Ledger | None = None) -> Seen:
    """Return the looks at the bars of a backtest, itself included."""
    period = int(inputs.bar_columns.opened.min()), int(inputs.closes[-1])
    return seen_of([slot.bars for slot in inputs.slots], period, ledger)


def seen_of(bars: Sequence[Bars], period: tuple[int, int], ledger: Ledger | None = None) -> Seen:
    """Return the looks at the markets of bars over a period: first open and last close, epoch milliseconds."""
    ledger = read_ledger() if ledger is None else ledger
    wanted = {_market(one) for one in bars}
    found = [one for one in ledger.frames if one.markets & wanted and is_same_period(one.period, period)]
    return _counted(sorted(wanted), found, ledger, years=_years(period))


def _market(bars: Bars) -> Market:
    return str(bars.symbol), str(bars.timeframe), bars.venue == SYNTHETIC


def is_same_period(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether two periods (ms) overlap by at least `OVERLAP` of the shorter one."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return shared > 0 and shared >= OVERLAP * min(one[1] - one[0], other[1] - other[0])


def _years(period: tuple[int, int]) -> float:
    """Return the length of a period (ms) in years of 365 days; one of no length counts as a millisecond."""
    return max(1, period[1] - period[0]) / (365 * DAY_MS)


def _counted(markets: Iterable[Market], found: Sequence[Trials], ledger: Ledger, *, years: float) -> Seen:
    """Return the looks that were found, for a period of so many years."""
    first: dict[str, tuple[int, int]] = {}  # of each distinct trial: its frame, and its row there
    kinds: dict[str, int] = {}
    for number, trials in enumerate(found):
        kinds[trials.kind] = kinds.get(trials.kind, 0) + len(trials)
        for row, key in enumerate(trials.keys):
            first.setdefault(key, (number, row))
    sharpes = np.array([found[number].sharpe[row] for number, row in first.values()], np.float64)
    lengths = np.array([_years(found[number].period) for number, _ in first.values()], np.float64)
    alike = sharpes * np.sqrt(lengths / years)
    known = alike[np.isfinite(alike)]
    independent = effective_number(_aligned(found), len(first)) if len(first) > 1 else len(first)
    return Seen(
        markets=tuple(f"{symbol} {timeframe}{' SYNTHETIC' * made}" for symbol, timeframe, made in markets),
        rows=sum(len(trials) for trials in found),
        trials=len(first),
        independent=independent,
        best=float(known.max()) if len(known) else float("nan"),
        lucky=lucky_sharpe(sharpes, independent, years=lengths, period=years),
        kinds=kinds,
        faults=tuple(ledger.faults()),
    )


def _aligned(found: Sequence[Trials]) -> Floats:
    """Return the day returns (M, D) of distinct trials whose returns are kept, at most `MOST`; NaN on days that one lacks."""
    places: dict[str, tuple[int, int]] = {}
    for number, trials in enumerate(found):
        for place, row in enumerate(trials.kept.tolist()):
            places.setdefault(trials.keys[row], (number, place))
    chosen = list(places.values())
    if len(chosen) > MOST:
        chosen = [chosen[k] for k in np.linspace(0, len(chosen) - 1, MOST).astype(int)]
    if not chosen:
        return np.zeros((0, 0))
    days = np.unique(np.concatenate([found[number].days for number in {number for number, _ in chosen}]))
    series: dict[int, Floats] = {number: found[number].returns() for number in {number for number, _ in chosen}}
    aligned = np.full((len(chosen), len(days)), np.nan)
    for at, (number, place) in enumerate(chosen):
        aligned[at, np.searchsorted(days, found[number].days)] = series[number][place]
    return aligned


def seen_by_market(ledger: Ledger | None = None) -> list[tuple[Seen, tuple[Any, Any]]]:
    """Return the looks at each market and period, with the period's first and last moment; the most tried first.

    A row is the count for a backtest over that period. A market has one for its most tried period, and one more for each that
    is not the same data as those before; a trial over all of two such periods has looked at both, and counts in both.
    """
    ledger = read_ledger() if ledger is None else ledger
    by_market: dict[Market, list[Trials]] = {}
    for trials in ledger.frames:
        for market in trials.markets:
            by_market.setdefault(market, []).append(trials)
    rows = []
    for market, found in by_market.items():
        for period in _periods(found):
            same = [one for one in found if is_same_period(one.period, period)]
            rows.append((_counted([market], same, ledger, years=_years(period)), (at_ms(period[0]), at_ms(period[1]))))
    return sorted(rows, key=lambda row: -row[0].trials)


def _periods(found: Sequence[Trials]) -> list[tuple[int, int]]:
    """Return the periods of trials, the most tried first, without those that are the same data as one before."""
    counts: dict[tuple[int, int], int] = {}
    for one in found:
        counts[one.period] = counts.get(one.period, 0) + len(one)
    kept: list[tuple[int, int]] = []
    for period in sorted(counts, key=lambda each: (-counts[each], each)):
        if not any(is_same_period(period, other) for other in kept):
            kept.append(period)
    return kept
