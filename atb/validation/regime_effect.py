"""Effect of regimes: how long they last, and whether what follows a bar differs by its regime, with intervals and a test.

A regime is known at a bar's close, so it is judged by the return of the *next* bar. Returns and regimes both come in clusters, and
an interval or a test that takes bars for independent would find an effect in anything. So intervals are those of a bootstrap of
blocks (two mean stretches, or the root of the number of bars if that is longer), and the test turns the labels against the returns:
each turn keeps both clusters and breaks only what ties one to the other, as in Fisher's randomisation test. All turns are computed,
none is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from atb.decimals import counted
from atb.domain import Bars
from atb.engine.records import Floats
from atb.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

LEAST = 200  # bars with a regime
LEAST_STRETCHES = 5  # of a regime with an interval
DRAWS = 1_000
LEVEL = 0.05
SMALLEST_P = 0.001  # smaller ones are shown as smaller than this
_COVERED = (2.5, 97.5)  # percentiles of an interval

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class RegimeEffect:
    """How regimes lie over a series, and what followed them.

    Parameters
    ----------
    title
        The series' label.
    table
        By label: `share` (of the bars with a regime), `stretches`, `dwell_bars` (median), `longest_bars`; of the next bar the mean
        log return `return_pct` and the `volatility_pct`, both in % a year, with the ends of their 95 % intervals (`_low`, `_high`;
        NaN with fewer than 5 stretches).
    dwells
        By label: the length of each stretch in bars; the first and the last one may be parts.
    switches
        Changes of regime by calendar year, per 365 days with a regime.
    changes
        Number of changes of regime: from one bar to the next, both with a regime.
    bars, undecided
        Bars with a regime, and bars without one after the first that has one.
    per_year
        Bars in 365 days.
    p_return, p_volatility
        Share of all turns that separate the mean (or the mean size) of returns as well as the labels do: small if the regime
        matters.
    """

    title: str
    table: "pd.DataFrame"
    dwells: dict[str, Counts]
    switches: "pd.Series[float]"
    changes: int
    bars: int
    undecided: int
    per_year: float
    p_return: float
    p_volatility: float

    @property
    def switches_per_year(self) -> float:
        """Changes of regime in 365 days with a regime."""
        return self.changes * self.per_year / self.bars

    @property
    def verdict(self) -> str:
        """Whether the regime tells anything of the next bar, in one sentence."""
        returns, size = (_said(p) for p in (self.p_return, self.p_volatility))
        return (
            f"{counted(round(self.switches_per_year), 'change')} a year. The return of the next bar {returns} by regime "
            f"({_p_text(self.p_return)}), its size {size} ({_p_text(self.p_volatility)})."
        )


def regime_effect(bars: Bars, regime: "pd.Series[float]", labels: Sequence[str], *, seed: int = 7) -> RegimeEffect:
    """Return how regimes lie over bars, and what followed them.

    Parameters
    ----------
    bars
        The series.
    regime
        Index into `labels` at each bar, NaN where there is none; on the index of the bars.
    labels
        Names of the regimes.
    seed
        Of the bootstrap.

    Raises
    ------
    InputError
        If the regimes are not of these bars, too few bars have one, or only one regime occurs.
    """
    codes = _codes(bars, regime, labels)
    following, returns = _next_returns(bars)
    known = codes >= 0
    judged = known & following
    if judged.sum() < LEAST:
        raise InputError(
            "Too few bars with a regime to judge it by", found=int(judged.sum()), todo=f"Use {LEAST} at least"
        )
    present = [code for code in range(len(labels)) if (codes[judged] == code).any()]
    if len(present) < 2:
        raise InputError("Only one regime occurs", found=labels[present[0]], todo="Use more bars, or other parameters")
    starts, lengths = _stretches(codes)
    dwells = {labels[code]: lengths[codes[starts] == code] for code in present}
    count = int(judged.sum())
    block = min(max(int(2 * lengths.mean()), int(count**0.5)), count // 2)
    figures = _figures(codes[judged], returns[judged], present, block=block, seed=seed)
    p_return, p_volatility = (
        _turned(codes[judged], values, present, block=block) for values in (returns[judged], np.abs(returns[judged]))
    )
    return RegimeEffect(
        bars.label, _table(figures, dwells, per_year=bars.timeframe.bars_per_year), dwells, _switches(bars, codes),
        int(_changed(codes).sum()), int(known.sum()), int((~known[int(np.argmax(known)) :]).sum()),
        bars.timeframe.bars_per_year, p_return, p_volatility,
    )  # fmt: skip


def _codes(bars: Bars, regime: "pd.Series[float]", labels: Sequence[str]) -> Counts:
    """Return each bar's regime as a whole number, -1 where there is none."""
    if len(regime) != len(bars) or not regime.index.equals(bars.frame.index):
        raise InputError("The regimes are not of these bars", found=f"{len(regime)} for {len(bars)} bars")
    values = regime.to_numpy(dtype=np.float64)
    odd = ~np.isnan(values) & ~np.isin(values, range(len(labels)))
    if odd.any():
        raise InputError(
            "A regime is an index into its labels", found=float(values[odd][0]), todo=f"Of {', '.join(labels)}"
        )
    return np.where(np.isnan(values), -1, values).astype(np.int64)


def _next_returns(bars: Bars) -> tuple[NDArray[np.bool_], Floats]:
    """Return whether another bar follows each without a gap, and its log return."""
    close = bars.frame["close"].to_numpy(dtype=np.float64)
    follows, returns = np.zeros(len(bars), bool), np.zeros(len(bars))
    follows[:-1] = bars.opened_ms[1:] == bars.closed_ms[:-1]
    returns[:-1] = np.diff(np.log(close))
    return follows, returns


def _stretches(codes: Counts) -> tuple[Counts, Counts]:
    """Return first row and length of each stretch of one regime; rows without one belong to none."""
    edges = np.flatnonzero(np.diff(codes, prepend=-2, append=-2))
    starts, lengths = edges[:-1], np.diff(edges)
    kept = codes[starts] >= 0
    return starts[kept], lengths[kept]


def _changed(codes: Counts) -> NDArray[np.bool_]:
    """Return whether each bar has another regime than the bar before it; False where either has none."""
    changed = np.zeros(len(codes), bool)
    changed[1:] = (codes[1:] != codes[:-1]) & (codes[1:] >= 0) & (codes[:-1] >= 0)
    return changed


def _switches(bars: Bars, codes: Counts) -> "pd.Series[float]":
    """Return the changes of regime per 365 days with a regime, by calendar year."""
    import pandas as pd

    table = pd.DataFrame({"changed": _changed(codes), "known": codes >= 0}, bars.frame.index)
    yearly = table.groupby(pd.DatetimeIndex(table.index).year).sum()
    yearly = yearly[yearly["known"] > 0]
    return yearly["changed"] * bars.timeframe.bars_per_year / yearly["known"]


@dataclass(frozen=True)
class _Figures:
    """Mean and deviation of returns by regime (L,), and the ends of their intervals (2, L)."""

    mean: Floats
    deviation: Floats
    means: Floats
    deviations: Floats


def _figures(codes: Counts, returns: Floats, present: list[int], *, block: int, seed: int) -> _Figures:
    sums = np.stack([np.where(codes == code, values, 0.0) for code in present
                     for values in (np.ones(len(codes)), returns, returns**2)])  # fmt: skip
    mean, deviation = _moments(sums.sum(axis=1))
    drawn = _moments(_block_sums(sums, block, seed=seed))
    with np.errstate(all="ignore"):
        ends = [np.nanpercentile(values, _COVERED, axis=0) for values in drawn]
    return _Figures(mean, deviation, *ends)


def _block_sums(values: Floats, block: int, *, seed: int) -> Floats:
    """Return the sums of (K, N) values over draws of as many values in circular blocks: (draws, K)."""
    count = values.shape[1]
    running = np.cumsum(np.concatenate([np.zeros((len(values), 1)), values, values[:, :block]], axis=1), axis=1)
    of_block = (running[:, block:] - running[:, :-block])[:, :count]
    starts = np.random.default_rng(seed).integers(0, count, (DRAWS, -(-count // block)))
    return np.stack([of_block[row][starts].sum(axis=1) for row in range(len(values))], axis=-1)


def _moments(sums: Floats) -> tuple[Floats, Floats]:
    """Return mean and deviation (..., L) from number, sum and sum of squares (..., 3 L); NaN where there is nothing."""
    number, total, squares = (sums[..., part::3] for part in range(3))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / number
        return mean, np.sqrt(np.maximum(squares / number - mean**2, 0.0))


def _turned(codes: Counts, values: Floats, present: list[int], *, block: int) -> float:
    """Return the share of turns of the labels, by more than a block, that separate the means as well as they do unturned.

    The measure is the sum of squares between regimes; correlations at all turns come from Fourier transforms.
    """
    centred = np.fft.rfft(values - values.mean())
    between = np.zeros(len(values))
    for code in present:
        of_label = (codes == code).astype(np.float64)
        totals = np.fft.irfft(centred * np.conj(np.fft.rfft(of_label)), len(values))
        between += totals**2 / of_label.sum()
    turns = between[block : len(values) - block + 1]
    return float((1 + (turns >= between[0] * (1 - 1e-9)).sum()) / (1 + len(turns)))


def _table(figures: _Figures, dwells: dict[str, Counts], *, per_year: float) -> "pd.DataFrame":
    import pandas as pd

    bars = sum(int(lengths.sum()) for lengths in dwells.values())
    few = np.array([len(lengths) < LEAST_STRETCHES for lengths in dwells.values()])
    columns = {
        "share": [lengths.sum() / bars for lengths in dwells.values()],
        "stretches": [len(lengths) for lengths in dwells.values()],
        "dwell_bars": [float(np.median(lengths)) for lengths in dwells.values()],
        "longest_bars": [int(lengths.max()) for lengths in dwells.values()],
    }
    for name, value, ends, scale in (
        ("return_pct", figures.mean, figures.means, 100 * per_year),
        ("volatility_pct", figures.deviation, figures.deviations, 100 * per_year**0.5),
    ):
        low, high = (np.where(few, np.nan, end * scale) for end in ends)
        columns |= {name: list(value * scale), f"{name}_low": list(low), f"{name}_high": list(high)}
    return pd.DataFrame(columns, index=pd.Index(list(dwells), name="regime"))


def _p_text(p: float) -> str:
    return f"p = {p:.2g}" if not p < SMALLEST_P else f"p < {SMALLEST_P}"


def _said(p: float) -> str:
    return "differs" if p < LEVEL else "does not differ"
