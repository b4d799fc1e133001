"""Seeded markets on which strategies are checked: they prove properties of code, and say nothing of any real market."""

from typing import TYPE_CHECKING

from atb.domain import Bars, Symbol, Timeframe
from atb.domain.bars import SYNTHETIC
from atb.domain.input_series import InputSeries
from atb.domain.inputs import BarsInput, Input

if TYPE_CHECKING:
    import pandas as pd

START = "2024-01-01"
SYMBOL, TIMEFRAME, VENUE = Symbol.parse("BTC/USDT"), Timeframe.parse("1h"), SYNTHETIC
_SPARE = 50  # rows of an input before its warm-up


def random_walk(n: int, seed: int = 0, *, sigma: float = 0.01, price: float = 100.0) -> "pd.DataFrame":
    """Return `n` hourly bars of a seeded geometric walk whose opens gap and whose ranges vary, rounded to 0.01.

    Parameters
    ----------
    sigma
        Standard deviation of an hour's log return.
    price
        First open.
    """
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(rng.normal(0, sigma, n)))
    opened = np.concatenate([[price], close[:-1]]) * np.exp(rng.normal(0, sigma / 4, n))
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, sigma / 2, n)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, sigma / 2, n)))
    index = pd.date_range(START, periods=n, freq="1h", tz="UTC", name="timestamp")
    columns = {"open": opened, "high": high, "low": low, "close": close}
    frame = pd.DataFrame(columns, index=index).round(2)
    return frame.assign(volume=rng.lognormal(4, 0.5, n).round(3))


def standing_still(n: int, seed: int, *, quiet: range) -> "pd.DataFrame":
    """Return a random walk near 1 that stands still for some bars, where sums that run would keep the last bits of what is gone."""
    frame = random_walk(n, seed, price=0.9, sigma=0.02)
    frame.iloc[quiet.start : quiet.stop] = frame.iloc[quiet.start].to_numpy()
    return frame


def series_of(frame: "pd.DataFrame") -> Bars:
    """Return hourly bars as a series of a synthetic venue."""
    return Bars(SYMBOL, TIMEFRAME, frame, VENUE)


def synthetic_input(declared: Input, index: "pd.DatetimeIndex") -> InputSeries:
    """Return seeded rows of a declared input, from its warm-up before these opens up to the last of them."""
    if isinstance(declared, BarsInput):
        return _other_bars(declared, index)
    return _events(declared, index)


def _other_bars(declared: BarsInput, index: "pd.DatetimeIndex") -> InputSeries:
    import pandas as pd

    timeframe = Timeframe.parse(str(declared.timeframe))
    step = pd.Timedelta(timeframe.seconds, "s")
    first = index[0].floor("D") - (declared.warmup + _SPARE) * step
    offset = {"w": "W-MON", "M": "MS"}.get(timeframe.unit, step)
    opens = pd.date_range(first, index[-1] + step, freq=offset, name="timestamp")
    frame = random_walk(len(opens), seed=len(str(declared)), sigma=0.02).set_axis(opens)
    return InputSeries.of_bars(declared, Bars(Symbol.parse(str(declared.symbol)), timeframe, frame, VENUE))


def _events(declared: Input, index: "pd.DatetimeIndex") -> InputSeries:
    """Return funding each eight hours, or a value a day that is published on the next."""
    import numpy as np
    import pandas as pd

    every = pd.Timedelta(8 if declared.kind == "funding" else 24, "h")
    times = pd.date_range(index[0].floor("D") - (declared.warmup + _SPARE) * every, index[-1], freq=every)
    rng = np.random.default_rng(3)
    values = {
        "funding_rate": rng.normal(0, 1e-4, len(times)),
        "value": rng.integers(5, 95, len(times)).astype(float),
        str(SYMBOL): 1.0,
    }
    frame = pd.DataFrame(values, index=times)
    wanted = {"funding": ["funding_rate"], "sentiment": ["value"]}.get(declared.kind, [str(SYMBOL)])
    frame = frame[wanted].assign(published=times + every) if declared.kind == "sentiment" else frame[wanted]
    return InputSeries.of_events(declared, frame, venue=VENUE)  # type: ignore[arg-type] # every input that is no bars
