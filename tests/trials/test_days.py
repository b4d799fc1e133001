"""Returns by day: closes on one grid whatever the timeframe, and a compressed form that loses less than a cost."""

import numpy as np
import pandas as pd
import pytest

from atb.domain import Timeframe
from atb.times import DAY_MS
from atb.trials.days import DayGrid, compress, day_returns, expand
from tests.bars import bars_of, frame_of


@pytest.mark.parametrize(("freq", "timeframe"), [("1h", "1h"), ("7h", "7h"), ("1D", "1d"), ("W-MON", "1w")])
def test_day_returns_are_those_of_the_last_close_of_each_day(freq, timeframe):
    rng = np.random.default_rng(3)
    prices = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 400)))
    if timeframe == "7h":
        index = pd.date_range("2024-01-01", periods=400, freq="7h", tz="UTC")
        closes = (index.as_unit("ms").asi8 + 7 * 3_600_000).astype(np.int64)
    else:
        bars = bars_of(frame_of(prices, freq=freq), timeframe=timeframe)
        closes = bars.closed_ms
    grid = DayGrid.of(closes)
    found = day_returns(prices[grid.rows][None], 100.0)[0]
    last = pd.Series(prices, index=pd.to_datetime(closes - 1, unit="ms", utc=True)).groupby(lambda at: at.date()).last()
    assert list(grid.days) == [int(pd.Timestamp(day).value // 1_000_000 // DAY_MS) for day in last.index]
    np.testing.assert_allclose(
        found, np.concatenate([[last.iloc[0] / 100 - 1], last.pct_change().dropna()]), rtol=1e-12
    )


def test_a_bar_that_closes_at_midnight_belongs_to_the_day_that_ends():
    closes = Timeframe.parse("1h").closes_ms(np.arange(24) * 3_600_000)
    assert list(DayGrid.of(closes).days) == [0]


def test_compressed_returns_come_back_to_half_a_step_and_quiet_days_exactly():
    rng = np.random.default_rng(1)
    returns = rng.normal(0, 0.02, (5, 1_001)) * (rng.random((5, 1_001)) < 0.3)
    returns[4] = 0.0
    arrays = compress(returns)
    back = expand(arrays, 1_001)
    assert (np.abs(back - returns).max(axis=1) <= arrays["step"] / 2 * 1.001).all()
    assert (back[returns == 0] == 0).all()
    assert sum(array.nbytes for array in arrays.values()) < returns.nbytes / 8


def test_an_account_without_anything_left_has_no_return():
    found = day_returns(np.array([[50.0, 0.0, 0.0, -5.0, 3.0]]), 100.0)
    assert found.tolist() == [[-0.5, -1.0, 0.0, 0.0, 0.0]]
