"""Strategies that decide otherwise in a backtest than in a runner, each in another way, and one that is honest."""

import datetime as dt
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from atb.domain import Signals
from atb.features.indicators import rsi

SEEN: dict[pd.Timestamp, float] = {}


@dataclass(frozen=True)
class Plain:
    """Long above the average of twenty bars, with a stop and a confidence: honest."""

    name: ClassVar[str] = "plain"
    predicts: ClassVar[bool] = False
    warmup: ClassVar[int] = 20

    def features(self, bars: pd.DataFrame) -> pd.DataFrame:
        return bars[[]]

    def signals(self, frame: pd.DataFrame) -> Signals:
        close = frame["close"]
        side = (close > close.rolling(20).mean()).to_numpy().astype(float)
        return Signals(side, **self.more(frame))

    def more(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        return {"stop": 0.9 * frame["close"].to_numpy()}


class RareLeak(Plain):
    """Knows the next bar where it moves far."""

    def signals(self, frame):
        close = frame["close"].to_numpy()
        moved = np.r_[close[1:] / close[:-1] - 1, 0.0]
        side = super().signals(frame).side.copy()
        side[moved > 0.025], side[moved < -0.025] = 1.0, 0.0
        return Signals(side)


class Normalises(Plain):
    """Measures by the whole series."""

    def signals(self, frame):
        return Signals((frame["close"] > frame["close"].mean()).to_numpy().astype(float))


class LastRow(Plain):
    """Says something else of the newest bar."""

    def signals(self, frame):
        side = super().signals(frame).side.copy()
        side[-1] = 0.0
        return Signals(side)


class LeaksInStop(Plain):
    """Its stop knows the next low."""

    def more(self, frame):
        return {"stop": frame["low"].shift(-1).fillna(frame["low"]).to_numpy() * 0.99}


class LeaksInConfidence(Plain):
    """Its confidence knows the lowest price there will be."""

    def more(self, frame):
        return {"confidence": (frame["close"].min() / frame["close"]).to_numpy()}


class LeaksInPrice(Plain):
    """Its entry price knows the next low."""

    def more(self, frame):
        return {"price": frame["low"].shift(-1).fillna(frame["low"]).to_numpy()}


class Rsi(Plain):
    """Fourteen bars are no warm-up for Wilder's smoothing."""

    warmup: ClassVar[int] = 14

    def signals(self, frame):
        return Signals((rsi(frame["close"].to_numpy(), 14) < 45).astype(float))


class Counts(Plain):
    """Goes by the number of the row."""

    def signals(self, frame):
        return Signals((np.arange(len(frame)) % 7 < 3).astype(float))


class Resamples(Plain):
    """Goes by candles of four hours that begin with the first bar there is."""

    def signals(self, frame):
        four = frame["close"].resample("4h", origin="start").first().reindex(frame.index, method="ffill")
        return Signals((frame["close"] > four).to_numpy().astype(float))


class Accumulates(Plain):
    """Adds up all volume there ever was."""

    def signals(self, frame):
        signed = np.sign(frame["close"].diff().fillna(0)) * frame["volume"]
        return Signals((signed.cumsum() > 0).to_numpy().astype(float))


class Expands(Plain):
    """Above the mean of everything so far."""

    def signals(self, frame):
        return Signals((frame["close"] > frame["close"].expanding().mean()).to_numpy().astype(float))


class AllTimeHigh(Plain):
    """Near the highest price so far."""

    def signals(self, frame):
        return Signals((frame["close"] > 0.97 * frame["close"].cummax()).to_numpy().astype(float))


@dataclass(frozen=True)
class Remembers(Plain):
    """Keeps what it said of each bar when it first saw it, and what comes after it was known then."""

    memory: dict[pd.Timestamp, float] = field(default_factory=dict, compare=False)

    def signals(self, frame):
        rises = (frame["close"].shift(-1) > frame["close"]).to_numpy().astype(float)
        for opened, side in zip(frame.index, rises, strict=True):
            self.memory.setdefault(opened, side)
        return Signals(np.array([self.memory[opened] for opened in frame.index]))


class RemembersInItsModule(Plain):
    """The same, in a place that outlives it."""

    def signals(self, frame):
        rises = (frame["close"].shift(-1) > frame["close"]).to_numpy().astype(float)
        for opened, side in zip(frame.index, rises, strict=True):
            SEEN.setdefault(opened, side)
        return Signals(np.array([SEEN[opened] for opened in frame.index]))


@dataclass(frozen=True)
class RemembersInAFile(Plain):
    """The same, in a file."""

    path: str = ""

    def signals(self, frame):
        rises = (frame["close"].shift(-1) > frame["close"]).to_numpy().astype(float)
        if not Path(self.path).exists():
            pd.Series(rises, frame.index).to_pickle(self.path)
        return Signals(pd.read_pickle(self.path).reindex(frame.index).to_numpy())


class Chance(Plain):
    """Throws a coin."""

    def signals(self, frame):
        return Signals((np.random.default_rng().random(len(frame)) > 0.5).astype(float))


class Leaves(Plain):
    """Ends the process that computes bar after bar."""

    def signals(self, frame):
        if len(frame) <= self.warmup + 1:
            os._exit(0)
        return Signals(np.zeros(len(frame)))


class Clock(Plain):
    """Does not trade what is older than five days."""

    def signals(self, frame):
        side = np.where(frame.index < pd.Timestamp.now("UTC") - pd.Timedelta("5D"), 0.0, super().signals(frame).side)
        return Signals(side)


class OtherClocks(Plain):
    """The same, by other clocks."""

    def signals(self, frame):
        now = max(time.time(), dt.datetime.now(dt.UTC).timestamp())
        known = frame.index.as_unit("ms").asi8 / 1_000 > now - 5 * 86_400
        return Signals(np.where(known, super().signals(frame).side, 0.0))


class Fails(Plain):
    """Cannot do with few bars."""

    def signals(self, frame):
        if len(frame) < 50:
            raise ValueError("fifty bars at least")
        return super().signals(frame)


class Peeks(Plain):
    """Looks for the rest of the series behind the view that it was given."""

    def signals(self, frame):
        behind = frame["close"].to_numpy()
        while behind.base is not None and isinstance(behind.base, np.ndarray):
            behind = behind.base
        return Signals(np.full(len(frame), float(behind.size > 25 * 5)))


class Overwrites(Plain):
    """Writes into the bars that it was given."""

    def features(self, bars):
        bars["close"] = bars["close"].shift(-1).fillna(bars["close"])
        return bars[[]]
