"""Feature sets that read more than a market's own bars: sentiment, funding, another market; a missing input is a missing value."""

from typing import Any

from atb.domain.inputs import BarsInput, FundingInput, SentimentInput
from atb.features.indicators import sma, zscore
from atb.features.indicators.columns import change, clip, quotient
from atb.features.sets.feature_set import LIMIT, OPENED, Columns, FeatureSet, InputColumns
from atb.features.sets.of_bars import momentum
from atb.times import HOUR_MS

_MARKET = "BTC/USDT"
_MOMENTA = (1, 6, 24)


def _mood(rows: Columns) -> Columns:
    """The index of 0 to 100 around its middle, its change over a week, and how unusual it is in a month."""
    value = rows["value"]
    return {
        "level": value / 50.0 - 1.0,
        "change_7": change(value, 7) / 50.0,
        "unusual_30": clip(zscore(value, 30), -LIMIT, LIMIT),
    }


def _sentiment(columns: Columns) -> Columns:
    return {f"mood_{name}": columns[f"mood.{name}"] for name in ("level", "change_7", "unusual_30")}


def _paid(rows: Columns) -> Columns:
    """The rate of eight hours in hundredths of a percent, whatever the interval, its mean of 21 payments, and how unusual it is."""
    hours = change(rows[OPENED]) / HOUR_MS
    rate = quotient(rows["funding_rate"], hours, 0.0) * (8.0 * 1e4)
    return {
        "rate": clip(rate, -LIMIT, LIMIT),
        "mean_21": clip(sma(rate, 21), -LIMIT, LIMIT),
        "unusual_90": clip(zscore(rate, 90), -LIMIT, LIMIT),
    }


def _funding(columns: Columns) -> Columns:
    return {f"funding_{name}": columns[f"funding.{name}"] for name in ("rate", "mean_21", "unusual_90")}


def _market(rows: Columns) -> Columns:
    return {f"momentum_{n}": momentum(rows["close"], n) for n in _MOMENTA}


def _cross_asset(columns: Columns) -> Columns:
    """The large market's momentum, and by how much the own one is ahead of it, both in units of their own volatility."""
    found: Columns = {}
    for n in _MOMENTA:
        market: Any = columns[f"market.momentum_{n}"]
        found |= {f"market_{n}": market, f"ahead_{n}": momentum(columns["close"], n) - market}
    return found


SETS = (
    FeatureSet(
        name="sentiment",
        version=1,
        question="how greedy or fearful people say they are",
        columns=("mood_level", "mood_change_7", "mood_unusual_30"),
        warmup=0,
        function=_sentiment,
        inputs={"mood": SentimentInput("fear_greed", warmup=29)},
        of_input={"mood": InputColumns(("value",), ("level", "change_7", "unusual_30"), _mood)},
    ),
    FeatureSet(
        name="funding",
        version=1,
        question="who pays whom to hold a perpetual, and how unusual that is",
        columns=("funding_rate", "funding_mean_21", "funding_unusual_90"),
        warmup=0,
        function=_funding,
        inputs={"funding": FundingInput(warmup=90)},
        of_input={"funding": InputColumns(("funding_rate",), ("rate", "mean_21", "unusual_90"), _paid)},
    ),
    FeatureSet(
        name="cross_asset",
        version=1,
        question=f"what {_MARKET} does, and whether this market is ahead of it",
        columns=("market_1", "ahead_1", "market_6", "ahead_6", "market_24", "ahead_24"),
        warmup=72,
        function=_cross_asset,
        inputs={"market": BarsInput(symbol=_MARKET, warmup=72)},
        of_input={"market": InputColumns(("close",), tuple(f"momentum_{n}" for n in _MOMENTA), _market)},
    ),
)
