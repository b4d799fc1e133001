"""Inputs made by hand, as a strategy is handed them over its bars."""

import pandas as pd

from atb.domain import Bars, Symbol
from atb.domain.input_series import InputSeries
from atb.domain.inputs import SentimentInput
from tests.bars import bars_of


def mood_of(bars, values):
    """Return one value a day from the first bar's day on, each published on the next, as the input `mood` of fear and greed."""
    days = pd.date_range(bars.index[0].floor("D"), periods=len(values), freq="1D", tz="UTC")
    frame = pd.DataFrame({"value": values, "published": days + pd.Timedelta(1, "D")}, index=days)
    rows = InputSeries.of_events(SentimentInput("fear_greed"), frame, venue="synthetic")
    return {"mood": rows.known(bars_of(bars).closed_ms)}


def other_rows(strategy, bars, other, *, symbol="BTC/USDT"):
    """Return another symbol's bars as rows of the input `other` that a strategy declares; `symbol` is its own."""
    own = bars_of(bars, symbol)
    declared = strategy.inputs["other"].resolved(own.symbol, own.timeframe)
    return InputSeries.of_bars(declared, Bars(Symbol.parse(declared.symbol), own.timeframe, other, own.venue))


def other_of(strategy, bars, other):
    """Return another symbol's bars as the input `other`, as it is handed over these bars."""
    return {"other": other_rows(strategy, bars, other).known(bars_of(bars).closed_ms)}


def sides_with(strategy, bars, inputs, **columns):
    """Return the sides over bars with inputs, and with more columns such as a prediction."""
    return strategy.signals(bars.join(strategy.features(bars, inputs)).assign(**columns)).side
