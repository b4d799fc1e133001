"""Cost of a closed bar's indicators: the live form's one step, beside pandas computing the columns again from the whole history.

Both give the columns that most strategies begin with. The formulas of the other side are written with pandas alone, so that equal
values are evidence; exponential averages have been through so many bars that where they began does not show.
"""

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from atb.bench.cases import ATB, Row
from atb.bench.workload import generate

if TYPE_CHECKING:
    import pandas as pd

CASE = "indicators"
COLUMNS = (
    "sma_20", "ema_20", "rsi_14", "atr_14", "macd", "macd_signal", "bollinger_upper", "bollinger_lower", "stochastic",
    "williams", "donchian_upper", "donchian_lower", "roc_10", "obv_100",
)  # fmt: skip
UPDATES, RECOMPUTES, SHORT = 2_000, 5, 1_000
CLOSE_ENOUGH = 1e-9


def measure_indicators(bars: int, seed: int) -> list[Row]:
    """Return the rows of the live form and of pandas; times are CPU seconds a bar.

    Parameters
    ----------
    bars
        Length of the history at the last bar, at least 4,000, so that averages have settled on both sides.
    """
    bars = max(bars, 4_000)
    frame = generate(bars, seed).frame()
    step, values = _live(frame)
    again, held = _recomputed(frame, RECOMPUTES)
    short, _ = _recomputed(frame.iloc[-SHORT:], RECOMPUTES)
    worst = max(_apart(values[row], held[row]) for row in range(RECOMPUTES))
    agrees = worst <= CLOSE_ENOUGH
    costs = f"{step * 1e6:.0f} us live, {again * 1e6:,.0f} us by pandas over {bars:,} bars, {short * 1e6:,.0f} us over {SHORT:,}"
    said = "agree" if agrees else "DIFFER"
    notes = [f"{len(COLUMNS)} columns a bar: {costs}", f"values of {RECOMPUTES} bars {said}, the worst by {worst:.0e}"]
    return [
        Row(CASE, ATB, bars, 1, step, 1.0, None, agrees, notes=notes),
        Row(CASE, "pandas", bars, 1, again, again / step, None, agrees),
    ]


def _live(frame: "pd.DataFrame") -> tuple[float, list[tuple[float, ...]]]:
    """Return the CPU seconds of one update, the quickest of ten parts, and the values of the last bars."""
    from atb.features.indicators import Stream

    names = ("high", "low", "close", "volume")
    stream, history = Stream(_columns, names, COLUMNS), frame[list(names)].to_numpy().tolist()
    updates = min(UPDATES, len(history) // 2)
    for bar in history[:-updates]:
        stream.update(*bar)
    values: list[tuple[float, ...]] = []
    parts = []
    for part in np.array_split(np.array(history[-updates:]), 10):
        rows = part.tolist()
        begun = time.process_time()
        values += [stream.update(*bar) for bar in rows]
        parts.append((time.process_time() - begun) / len(rows))
    return min(parts), values[-RECOMPUTES:]


def _columns(high: Any, low: Any, close: Any, volume: Any) -> tuple[Any, ...]:  # noqa: PLR0917 - the columns of a bar
    from atb.features.indicators import atr, bollinger, donchian, ema, macd, obv, roc, rsi, sma, stochf, willr

    lines, bands, channel = macd(close), bollinger(close, 20), donchian(high, low, 20)
    return (
        sma(close, 20), ema(close, 20), rsi(close, 14), atr(high, low, close, 14), lines.macd, lines.signal, bands.upper,
        bands.lower, stochf(high, low, close, 14, 3).d, willr(high, low, close, 14), channel.upper, channel.lower,
        roc(close, 10), obv(close, volume, 100),
    )  # fmt: skip


def _recomputed(frame: "pd.DataFrame", count: int) -> tuple[float, list[tuple[float, ...]]]:
    """Return the CPU seconds of one computation by pandas, the quickest of all, and the values of the last `count` bars."""
    values, parts = [], []
    for end in range(len(frame) - count + 1, len(frame) + 1):
        history = frame.iloc[:end]
        begun = time.process_time()
        columns = [compute(history) for compute in PANDAS]
        parts.append(time.process_time() - begun)
        values.append(tuple(float(column.iloc[-1]) for made in columns for column in made))
    return min(parts), values


def _apart(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Return the largest difference of two rows, relative where values are above 1."""
    pairs = zip(first, second, strict=True)
    return max(abs(a - b) / max(1.0, abs(b)) if math.isfinite(a) and math.isfinite(b) else math.inf for a, b in pairs)


def _averages(bars: "pd.DataFrame") -> list[Any]:
    return [bars["close"].rolling(20).mean(), bars["close"].ewm(span=20, adjust=False).mean()]


def _strength(bars: "pd.DataFrame") -> list[Any]:
    change = bars["close"].diff().iloc[1:]
    gain = change.clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean()
    loss = (-change.clip(upper=0)).ewm(alpha=1 / 14, adjust=False).mean()
    return [100 - 100 / (1 + gain / loss)]


def _range(bars: "pd.DataFrame") -> list[Any]:
    before = bars["close"].shift()
    span: Any = np.maximum(bars["high"], before) - np.minimum(bars["low"], before)
    return [span.iloc[1:].ewm(alpha=1 / 14, adjust=False).mean()]


def _macd(bars: "pd.DataFrame") -> list[Any]:
    fast, slow = (bars["close"].ewm(span=span, adjust=False).mean() for span in (12, 26))
    return [fast - slow, (fast - slow).ewm(span=9, adjust=False).mean()]


def _bands(bars: "pd.DataFrame") -> list[Any]:
    window = bars["close"].rolling(20)
    middle, spread = window.mean(), window.std(ddof=0)
    return [middle + 2 * spread, middle - 2 * spread]


def _stochastics(bars: "pd.DataFrame") -> list[Any]:
    top, bottom = bars["high"].rolling(14).max(), bars["low"].rolling(14).min()
    place = 100 * (bars["close"] - bottom) / (top - bottom)
    return [place.rolling(3).mean(), place - 100]


def _channel(bars: "pd.DataFrame") -> list[Any]:
    return [bars["high"].rolling(20).max(), bars["low"].rolling(20).min()]


def _rest(bars: "pd.DataFrame") -> list[Any]:
    close = bars["close"]
    return [100 * (close / close.shift(10) - 1), (np.sign(close.diff()) * bars["volume"]).rolling(100).sum()]


PANDAS: tuple[Callable[["pd.DataFrame"], list[Any]], ...] = (
    _averages, _strength, _range, _macd, _bands, _stochastics, _channel, _rest
)  # fmt: skip
