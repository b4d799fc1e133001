"""Columns: their values, what is missing, and that a bar's value is the same from the declared warm-up as from all of history."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.domain import Symbol, Timeframe
from atb.domain.input_series import InputSeries
from atb.domain.inputs import BarsInput, FundingInput, SentimentInput
from atb.features.indicators import atr, ema, rsi, sma
from atb.strategies.rules.expression import Expression, parse
from atb.strategies.rules.functions import LANGUAGE, function_names
from tests.bars import bars_of, frame_of, random_walk
from tests.seeds import examples
from tests.strategies.rules.trees import calls_of, columns, conditions, numbers

BARS = random_walk(1_500, seed=8)
HOUR_MS = 3_600_000
_WALK = random_walk(260, seed=3)
STILL = _WALK.assign(
    **{
        name: np.where(np.arange(260) // 60 == 2, _WALK["close"].iloc[120], _WALK[name])
        for name in ("open", "high", "low", "close")
    }
)


def same(found, expected):
    np.testing.assert_array_equal(found, np.asarray(expected, dtype=float))


def known(declared, frame, closes_ms):
    """Return an input as it is handed in over bars with these closes."""
    if isinstance(declared, BarsInput):
        whole = declared.resolved(Symbol.parse("BTC/USDT"), Timeframe.parse("1h"))
        series = InputSeries.of_bars(whole, bars_of(frame, whole.symbol, whole.timeframe))
    else:
        series = InputSeries.of_events(declared, frame)
    return series.known(closes_ms)


def closes_of(bars):
    return bars_of(bars).closed_ms


def test_operators_and_indicators_give_what_they_say():
    close, volume = BARS["close"].to_numpy(), BARS["volume"].to_numpy()
    trend = ema(close, 12) - ema(close, 48)
    trend[: 20 * 48] = np.nan
    same(parse("ema(close, 12) - ema(close, 48)").column(BARS), trend)
    same(parse("-close * 2 + volume / 4").column(BARS), -close * 2 + volume / 4)
    same(parse("close > open and volume >= sma(volume, 20)").column(BARS)[19:],
         ((close > BARS["open"]) & (volume >= sma(volume, 20)))[19:])  # fmt: skip
    same(parse("not close > open").column(BARS), close <= BARS["open"])
    same(parse("rsi(14)").column(BARS)[540:], rsi(close, 14)[540:])
    same(parse("atr(7)").column(BARS)[260:], atr(BARS["high"].to_numpy(), BARS["low"].to_numpy(), close, 7)[260:])
    same(parse("lag(close > 100, 2)").column(BARS)[2:], (close > 100)[:-2])


def test_a_function_says_nothing_before_its_warm_up():
    for text, warmup in (
        ("ema(close, 12)", 240),
        ("sma(close, 12)", 11),
        ("rsi(5)", 180),
        ("sma(sma(close, 5), 5)", 8),
    ):
        column = parse(text).column(BARS)
        assert np.isnan(column[:warmup]).all(), text
        assert not np.isnan(column[warmup:]).any(), text


def test_what_is_divided_by_nothing_is_not_known_and_no_average_reaches_over_it():
    bars = frame_of(np.arange(1.0, 41.0)).assign(volume=np.where(np.arange(40) == 20, 0.0, 2.0))
    same(np.isnan(parse("close / volume").column(bars)), np.arange(40) == 20)
    average = parse("sma(close / volume, 5)").column(bars)
    same(np.isnan(average), (np.arange(40) < 4) | ((np.arange(40) >= 20) & (np.arange(40) < 25)))
    same(average[25:], sma(np.arange(1.0, 41.0) / 2, 5)[25:])
    assert np.isnan(parse("close / volume > 0 or not close / volume > 0").column(bars)[20])


def test_an_empty_history_has_an_empty_column():
    for text in ("close > sma(close, 5)", "cross_above(ema(close, 3), 5)", "highest(close, 3) > 1", "rising(close)"):
        assert parse(text).column(BARS.iloc[:0]).shape == (0,)


def test_the_bars_are_left_as_they_were():
    bars = BARS.iloc[:100].copy(deep=True)
    parse("abs(close) > min(open, high) and lag(close, 0) > -volume").column(bars)
    pd.testing.assert_frame_equal(bars, BARS.iloc[:100], check_exact=True)


# --- other rows -------------------------------------------------------------------------------------------------------


def test_a_slower_bar_counts_from_its_close():
    bars = BARS.iloc[:48]
    slow = bars.resample("4h").agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
    inputs = {"bars_4h": known(BarsInput("4h", warmup=2), slow, closes_of(bars))}
    found = parse('sma(close, 3, timeframe="4h")').column(bars, inputs)
    rows = (np.arange(48) + 1) // 4 - 1  # of the newest slow bar at each close; the three first have none
    expected = np.where(rows >= 2, sma(slow["close"].to_numpy(), 3)[rows], np.nan)
    same(found, expected)
    crossed = parse('close > sma(close, 3, timeframe="4h")').column(bars, inputs)
    same(crossed, np.where(np.isnan(expected), np.nan, bars["close"].to_numpy() > expected))


def test_funding_is_counted_in_payments_and_sentiment_in_days_until_they_are_too_old():
    bars = BARS.iloc[:96]
    paid = pd.DataFrame(
        {"funding_rate": [1.0, 2.0, 4.0, 8.0]}, index=pd.date_range("2024-01-01", periods=4, freq="8h", tz="UTC")
    )
    days = pd.date_range("2024-01-01", periods=2, freq="1D", tz="UTC")
    mood = pd.DataFrame({"value": [30.0, 10.0], "published": days + pd.Timedelta("1h")}, index=days)
    inputs = {
        "funding": known(FundingInput(max_age="12h", warmup=1), paid, closes_of(bars)),
        "sentiment_fear_greed": known(SentimentInput(max_age="1d"), mood, closes_of(bars)),
    }
    closes = pd.DatetimeIndex(closes_of(bars).view("M8[ms]")).tz_localize("UTC")
    mean = pd.Series([np.nan, 1.5, 3.0, 6.0], paid.index).reindex(closes, method="ffill")
    mean[closes > paid.index[-1] + pd.Timedelta("12h")] = np.nan
    same(parse("sma(funding, 2)").column(bars, inputs), mean)
    low = parse("sentiment < 20 and close > 0").column(bars, inputs)
    known_from, stale = days + pd.Timedelta("1h"), days + pd.Timedelta("1D")
    expected = np.select([(closes >= known_from[1]) & (closes <= stale[1]), (closes >= known_from[0]) & (closes <= stale[0])],
                         [1.0, 0.0], np.nan)  # fmt: skip
    same(low, expected)


def test_hour_and_weekday_are_those_of_the_close():
    bars = BARS.iloc[:200]
    inputs = {"bars": known(BarsInput(), bars, closes_of(bars))}
    closes = bars.index + pd.Timedelta("1h")
    same(parse("hour").column(bars, inputs), closes.hour)
    same(parse("weekday").column(bars, inputs), closes.day_of_week)
    same(parse("hour >= 22 and close > 0").column(bars, inputs), closes.hour >= 22)


# --- by construction --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", function_names())
def test_every_function_is_known_from_its_warm_up_on_and_the_same_from_there_as_from_all_of_history(name):
    for text in calls_of(name):
        expression = parse(text)
        whole, warmup = expression.column(BARS), expression.warmup
        assert name in LANGUAGE or np.isnan(whole[:warmup]).all()
        assert np.isfinite(whole[warmup:]).all()
        for row in (warmup, 1_234, 1_499):
            window = expression.column(BARS.iloc[row - warmup : row + 1].copy())[-1]
            assert window == pytest.approx(whole[row], rel=1e-9, abs=1e-9), (text, row)


bar_columns = columns(("open", "high", "low", "close", "volume"))


@examples(60)
@given(st.one_of(numbers(bar_columns), conditions(bar_columns)), st.integers(1, 259))
def test_no_column_looks_ahead(tree, cut):
    expression = Expression(tree)
    assert expression.column(STILL.iloc[:cut]).tobytes() == expression.column(STILL)[:cut].tobytes()


@examples(60)
@given(conditions(bar_columns), st.data())
def test_a_condition_from_its_warm_up_is_that_of_the_whole_history(tree, data):
    expression = Expression(tree)
    if expression.warmup >= len(STILL):
        return
    row = data.draw(st.integers(expression.warmup, len(STILL) - 1))
    whole = expression.column(STILL)[row]
    window = expression.column(STILL.iloc[row - expression.warmup : row + 1].copy())[-1]
    np.testing.assert_array_equal(window, whole)


@pytest.mark.parametrize("text", ["cross_above(ema(close, 3), ema(close, 9))", "ema(close, 3) > ema(close, 5)", "rsi(3) > 50",
                                  "macd_histogram(close, 2, 4, signal=3) > 0", "close == ema(close, 2)"])  # fmt: skip
def test_recursive_indicators_say_the_same_from_their_warm_up_while_the_market_stands_still(text):
    bars = random_walk(600, 5, price=0.9, sigma=0.02)
    bars.iloc[330:480] = bars.iloc[330].to_numpy()
    expression = parse(text)
    whole, warmup = expression.column(bars), expression.warmup
    assert np.isfinite(whole[warmup:]).all()
    for row in range(max(warmup, 300), 600):
        assert expression.column(bars.iloc[row - warmup : row + 1].copy())[-1] == whole[row], row
