"""Small markets made by hand or from a seed, for every test that needs bars."""

import numpy as np
import pandas as pd

from atb.domain import Bars, Symbol, Timeframe

START = "2024-01-01"


def frame_of(close: np.ndarray, *, spread: float = 0.0, freq: str = "1h", start: str = START) -> pd.DataFrame:
    """Return bars that open at the previous close; highs and lows `spread` (a fraction) beyond both ends."""
    close = np.asarray(close, dtype=float)
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) * (1 + spread), np.minimum(opened, close) * (1 - spread)
    index = pd.date_range(start, periods=len(close), freq=freq, tz="UTC", name="timestamp")
    columns = {"open": opened, "high": high, "low": low, "close": close, "volume": np.full(len(close), 100.0)}
    return pd.DataFrame(columns, index=index)


def random_walk(n: int, seed: int = 0, *, sigma: float = 0.01, price: float = 100.0) -> pd.DataFrame:
    """Return `n` hourly bars of a seeded geometric walk whose opens gap and whose ranges vary, rounded to 0.01."""
    rng = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(rng.normal(0, sigma, n)))
    opened = np.concatenate([[price], close[:-1]]) * np.exp(rng.normal(0, sigma / 4, n))
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, sigma / 2, n)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, sigma / 2, n)))
    index = pd.date_range(START, periods=n, freq="1h", tz="UTC", name="timestamp")
    columns = {"open": opened, "high": high, "low": low, "close": close}
    frame = pd.DataFrame(columns, index=index).round(2)
    return frame.assign(volume=rng.lognormal(4, 0.5, n).round(3))


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
