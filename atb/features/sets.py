"""Feature sets: the ordered, stationary, causal columns that a model is trained on and reads again when it predicts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atb.errors import InputError, did_you_mean
from atb.features.indicators import SETTLED, Array, atr, rsi, sma

if TYPE_CHECKING:
    import pandas as pd

LIMIT = 8.0  # unbounded columns are cut here: one crash must not outweigh a year in a fitted scale


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Ordered columns computed from bars.

    Parameters
    ----------
    columns
        Names in the order in which a model reads them.
    warmup
        Bars that must come before a row for its values to be trusted.
    function
        Bars' columns (float64 arrays by name) in, one float64 array per name of `columns` out; pure and causal.
    """

    name: str
    columns: tuple[str, ...]
    warmup: int
    function: Callable[[dict[str, Array]], dict[str, Array]]

    def compute(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return the columns (float64, no units) on the index of `bars`.

        Rows before `warmup` are NaN, so that a value is either trustworthy or absent. Row t uses bars up to and including t.

        Raises
        ------
        InputError
            If a column of the bars is missing or has no number in some row.
        """
        import pandas as pd

        return pd.DataFrame(self.values(bars), index=bars.index, columns=list(self.columns), copy=False)

    def values(self, bars: "pd.DataFrame") -> Array:
        """Return the same as an array, rows x columns."""
        missing = [name for name in ("open", "high", "low", "close", "volume") if name not in bars.columns]
        if missing:
            raise InputError("Bars lack a column", found=missing[0], todo="Features need open high low close volume")
        computed = self.function({name: bars[name].to_numpy(dtype=np.float64) for name in bars.columns})
        table = np.column_stack([computed[name] for name in self.columns])
        table[: self.warmup] = np.nan
        return table


def feature_set(name: str) -> FeatureSet:
    """Return the registered set, or refuse the name with the nearest known one."""
    if name not in FEATURE_SETS:
        raise InputError("Unknown feature set", found=name, todo=did_you_mean(name, FEATURE_SETS))
    return FEATURE_SETS[name]


def _basic(bars: dict[str, Array]) -> dict[str, Array]:
    """Momentum in units of volatility, stretch in units of range, who pushed the volume and who was pushed back."""
    close, log_close = bars["close"], np.log(bars["close"])
    volatility = np.sqrt(sma(_change(log_close, 1) ** 2, 72))
    true_range = atr(bars["high"], bars["low"], close, 14)
    columns = {f"momentum_{n}": _ratio(_change(log_close, n), volatility * np.sqrt(n)) for n in (1, 6, 24, 48)}
    columns |= {f"imbalance_{n}": _imbalance(bars, n) for n in (12, 24, 48)}
    columns |= {f"wick_{n}": _wick(bars, n) for n in (12, 24, 48)}
    return columns | {"stretch_24": _ratio(close - sma(close, 24), true_range), "rsi_14": rsi(close, 14) / 50 - 1}


def _wick(bars: dict[str, Array], n: int) -> Array:
    """Return lower less upper wicks as a share of `n` bars' ranges, -1 to 1: above 0 where lows were bought back."""
    opened, close, high, low = bars["open"], bars["close"], bars["high"], bars["low"]
    lower, upper = np.minimum(opened, close) - low, high - np.maximum(opened, close)
    return np.clip(_ratio(sma(lower - upper, n), sma(high - low, n)), -1, 1)


def _imbalance(bars: dict[str, Array], n: int) -> Array:
    """Return the share of `n` bars' volume traded in rising bars less the share in falling ones, -1 to 1."""
    signed = np.sign(bars["close"] - bars["open"]) * bars["volume"]
    return np.clip(_ratio(sma(signed, n), sma(bars["volume"], n)), -1, 1)


def _change(x: Array, n: int) -> Array:
    """Return x[t] - x[t-n], NaN in the first `n` rows."""
    changed = np.full(len(x), np.nan)
    changed[n:] = x[n:] - x[:-n]
    return changed


def _ratio(above: Array, below: Array) -> Array:
    """Return above / below within -/+ LIMIT; 0 where nothing moved or traded, so that a flat market gives no signal."""
    quotient = np.divide(above, below, out=np.zeros(len(above)), where=np.isnan(below) | (below > 0))
    return np.clip(quotient, -LIMIT, LIMIT)


FEATURE_SETS: dict[str, FeatureSet] = {
    "basic": FeatureSet(
        name="basic",
        columns=(
            "momentum_1", "momentum_6", "momentum_24", "momentum_48", "stretch_24", "rsi_14",
            "imbalance_12", "imbalance_24", "imbalance_48", "wick_12", "wick_24", "wick_48",
        ),
        warmup=SETTLED * (2 * 14 - 1),  # Wilder's ATR and RSI over 14 bars settle last
        function=_basic,
    ),
}  # fmt: skip
