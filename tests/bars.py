"""Small markets made by hand or from a seed, for every test that needs bars."""

import numpy as np
import pandas as pd

from atb.domain import Bars, Symbol, Timeframe
from atb.validation.markets import START, random_walk  # noqa: F401 - tests take their bars from here


def frame_of(close: np.ndarray, *, spread: float = 0.0, freq: str = "1h", start: str = START) -> pd.DataFrame:
    """Return bars that open at the previous close; highs and lows `spread` (a fraction) beyond both ends."""
    close = np.asarray(close, dtype=float)
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) * (1 + spread), np.minimum(opened, close) * (1 - spread)
    index = pd.date_range(start, periods=len(close), freq=freq, tz="UTC", name="timestamp")
    columns = {"open": opened, "high": high, "low": low, "close": close, "volume": np.full(len(close), 100.0)}
    return pd.DataFrame(columns, index=index)


def ramp(*, up: int = 0, down: int = 0, price: float = 100.0) -> pd.DataFrame:
    """Return a market that rises one unit a bar for `up` bars, then falls one unit a bar for `down` bars."""
    steps = np.concatenate([np.ones(up), -np.ones(down)])
    return frame_of(price + np.cumsum(steps))


def bars_of(frame: pd.DataFrame, symbol: str = "BTC/USDT", timeframe: str = "1h", venue: str = "test") -> Bars:
    """Wrap a frame as `Bars`."""
    return Bars(Symbol.parse(symbol), Timeframe.parse(timeframe), frame, venue)


def pandas_freq(timeframe: Timeframe) -> str:
    """Return the alias of pandas whose range gives the open times of a timeframe."""
    if timeframe.unit == "w":
        return "W-MON"
    return "MS" if timeframe.unit == "M" else f"{timeframe.count}{ {'m': 'min', 'h': 'h', 'd': 'D'}[timeframe.unit] }"
