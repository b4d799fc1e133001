"""Indicators against numbers worked out by hand or printed elsewhere."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from atb.errors import InputError
from atb.features.indicators import (
    adx,
    atr,
    bollinger_position,
    dx,
    ema,
    kama,
    macd_histogram,
    plus_di,
    roc,
    rsi,
    sma,
    stddev,
)
from atb.features.indicators.windows import mean, means

NAN = np.nan


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


def test_sma_by_hand():
    np.testing.assert_allclose(sma(column(1, 2, 6, 4), 3), [NAN, NAN, 3, 4])


def test_ema_by_hand():
    """Seeded with the mean of 2, 4, 6; then half of the way to each new value (alpha = 2 / (3 + 1))."""
    np.testing.assert_allclose(ema(column(2, 4, 6, 8, 12), 3), [NAN, NAN, 4, 6, 9])


def test_stddev_is_the_populations():
    """The variance of 1, 2, 3, 4 around 2.5 is (2.25 + 0.25 + 0.25 + 2.25) / 4 = 1.25."""
    assert stddev(column(1, 2, 3, 4), 4)[-1] == pytest.approx(1.25**0.5)


def test_roc_is_in_percent():
    np.testing.assert_allclose(roc(column(100, 110, 99), 1), [NAN, 10, -10])


def test_rsi_of_the_stockcharts_example():
    """StockCharts ChartSchool, "Relative Strength Index", the 14-period example's closes and its first RSI values."""
    closes = column(
        44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931,
        46.0328, 45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439,
    )  # fmt: skip
    values = rsi(closes, 14)
    assert np.isnan(values[:14]).all()
    np.testing.assert_allclose(values[14:], [70.53, 66.32, 66.55, 69.41, 66.36, 57.97], atol=0.006)


def test_rsi_of_a_market_that_only_rises_is_100_and_of_one_that_stands_still_50():
    assert rsi(np.arange(1.0, 40.0), 14)[-1] == 100
    assert rsi(np.full(40, 5.0), 14)[-1] == 50


def test_atr_by_hand():
    """True ranges from the second bar on: 3, 4 and 6 (a gap from 11 up to 17); the first average is of two bars.

    (3 + 4) / 2 = 3.5, then Wilder's (3.5 + 6) / 2 = 4.75.
    """
    high, low, close = column(10, 12, 13, 17), column(8, 9, 9, 15), column(9, 10, 11, 16)
    np.testing.assert_allclose(atr(high, low, close, 2), [NAN, NAN, 3.5, 4.75])


def test_bollinger_position_by_hand():
    """Mean 2.5 and deviation 1.118: the bands are 0.264 and 4.736, and 4 is 83.5 % of the way up."""
    assert bollinger_position(column(1, 2, 3, 4), 4)[-1] == pytest.approx(0.8354, abs=5e-5)


def test_bollinger_position_of_a_flat_market_is_the_middle():
    np.testing.assert_allclose(bollinger_position(np.full(6, 3.0), 4), [NAN, NAN, NAN, 0.5, 0.5, 0.5])


def test_macd_histogram_by_hand():
    """Fast 2, slow 3, signal 2 on 1 2 4 8 16; both averages start at the third value.

    EMA(2): 3, 6.333, 12.778; EMA(3): 2.333, 5.167, 10.583; difference: 0.667, 1.167, 2.194; its EMA(2): 0.917 and 1.769.
    """
    values = macd_histogram(column(1, 2, 4, 8, 16), 2, 3, signal=2)
    np.testing.assert_allclose(values, [NAN, NAN, NAN, 0.25, 0.425926], atol=1e-6)


def test_macd_needs_fast_below_slow():
    with pytest.raises(InputError, match="fast below slow"):
        macd_histogram(np.arange(50.0), 26, 12)


@pytest.mark.parametrize("width", [0.0, -1.0, NAN, True])
def test_bollinger_bands_need_a_width(width):
    with pytest.raises(InputError, match="width above 0"):
        bollinger_position(np.arange(50.0), 20, width)


def test_refuses_columns_of_different_lengths():
    with pytest.raises(InputError, match="equally long"):
        atr(np.ones(20), np.ones(20), np.ones(19), 5)


def test_refuses_infinity_even_before_the_first_number():
    with pytest.raises(InputError, match="Row 0 has no number"):
        sma(column(np.inf, 1, 2), 2)


def test_refuses_a_table():
    with pytest.raises(InputError, match="one column"):
        sma(np.ones((3, 2)), 2)


def moved_then_stood(bars: int) -> np.ndarray:
    walk = 0.7 * np.exp(np.cumsum(np.random.default_rng(6).normal(0, 0.02, 900)))
    return np.concatenate([walk, np.full(bars, walk[-1])])


def test_a_ratio_stands_still_with_the_market_and_then_has_no_side():
    """Its parts shrink alike, bar by bar: rounding must not move it, and a history that is long gone must not decide it."""
    close = moved_then_stood(600)
    for column in (rsi(close), plus_di(close, close, close), dx(close, close, close)):
        assert len(set(column[900:950])) == 1
        assert column[950] != column[-1]
    assert rsi(close)[-1] == 50
    assert dx(close, close, close)[-1] == plus_di(close, close, close)[-1] == 0


@pytest.mark.parametrize("n", range(2, 60))
def test_averages_of_a_market_that_stands_still_are_its_price(n):
    close = moved_then_stood(25 * n)
    assert sma(close, n)[-1] == ema(close, n)[-1] == close[-1]
    assert stddev(close, n)[-1] == 0


def test_the_range_of_a_market_that_stands_still_is_0():
    close = moved_then_stood(600)
    assert atr(close, close, close)[-1] == 0
    assert adx(*[moved_then_stood(1_500)] * 3)[-1] == 0


def test_kama_needs_fast_below_slow():
    with pytest.raises(InputError, match="KAMA needs fast below slow"):
        kama(np.arange(50.0), 5, 9, 9)


@pytest.mark.parametrize("rows", [0, 5, 400, 20_000])
def test_means_over_several_windows_are_those_of_each_alone_bit_by_bit(rows):
    x = np.round(np.random.default_rng(rows).normal(size=rows), 1)  # rounded: runs of equal values
    windows = (48, 1, 7, 24, 300)
    for n, found in zip(windows, means(x, windows), strict=True):
        assert np.array_equal(found, mean(x, n), equal_nan=True)
        if n <= rows:
            np.testing.assert_allclose(found[n - 1 :], sliding_window_view(x, n).mean(axis=1), atol=1e-12)
        assert np.isnan(found[: n - 1]).all()
