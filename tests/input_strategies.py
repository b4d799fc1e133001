"""Strategies that read more than their own bars, honest ones and ones that use a row before it was known; and rows for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from atb.domain import Bars, BarsInput, FundingInput, Known, SentimentInput, Signals, UniverseInput
from atb.domain.input_series import InputSeries
from atb.engine.slot import Slot, slot_inputs
from atb.features.indicators import INDICATORS, ema, sma

Inputs = Mapping[str, Known]


@dataclass(frozen=True)
class Above:
    """Long while a column `above` is over 0, flat below, and no opinion where it is missing."""

    predicts: ClassVar[bool] = False
    warmup: ClassVar[int] = 3

    def signals(self, frame: pd.DataFrame) -> Signals:
        above = frame["above"].to_numpy()
        return Signals(np.where(np.isnan(above), np.nan, (above > 0).astype(float)))


@dataclass(frozen=True)
class SlowTrend(Above):
    """Long while the average of slower bars rises: the close against it, of the newest slower bar."""

    name: ClassVar[str] = "slow_trend"
    n: int = 2

    @property
    def inputs(self):
        return {"slow": BarsInput(timeframe="4h", warmup=INDICATORS["ema"].warmup(n=self.n))}

    def features(self, bars: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
        slow = inputs["slow"]
        close = slow.frame["close"].to_numpy()
        return pd.DataFrame({"above": slow.as_of(close - ema(close, self.n))}, index=bars.index)


@dataclass(frozen=True)
class OtherSymbol(Above):
    """Long while another symbol's close is over its average of a few bars."""

    name: ClassVar[str] = "other_symbol"
    inputs: ClassVar = {"other": BarsInput(symbol="ETH/USDT", warmup=4)}

    def features(self, bars: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
        other = inputs["other"]
        close = other.frame["close"].to_numpy()
        return pd.DataFrame({"above": other.as_of(close - sma(close, 5))}, index=bars.index)


@dataclass(frozen=True)
class CheapFunding(Above):
    """Long while the last three payments were cheap."""

    name: ClassVar[str] = "cheap_funding"
    inputs: ClassVar = {"funding": FundingInput(warmup=2)}

    def features(self, bars: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
        funding = inputs["funding"]
        return pd.DataFrame(
            {"above": funding.as_of(-sma(funding.frame["funding_rate"].to_numpy(), 3))}, index=bars.index
        )


@dataclass(frozen=True)
class Members(Above):
    """Long while a universe has more than one symbol."""

    name: ClassVar[str] = "members"
    inputs: ClassVar = {"members": UniverseInput("large")}

    def features(self, bars: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
        members = inputs["members"]
        return pd.DataFrame({"above": members.as_of(members.frame.sum(axis=1) - 1)}, index=bars.index)


@dataclass(frozen=True)
class Fearful(Above):
    """Long while the mood is low, and measured on its own bars too."""

    name: ClassVar[str] = "fearful"
    inputs: ClassVar = {"mood": SentimentInput()}

    def features(self, bars: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
        return pd.DataFrame({"above": 50.0 - inputs["mood"].as_of("value")}, index=bars.index)


HONEST = (SlowTrend, OtherSymbol, CheapFunding, Fearful)


class SlowBeforeItsClose(SlowTrend):
    """Takes a slower bar from its open on."""

    def features(self, bars, inputs):
        close = inputs["slow"].frame["close"]
        return pd.DataFrame({"above": (close - close.shift()).reindex(bars.index, method="ffill")}, index=bars.index)


class OtherOneBarAhead(OtherSymbol):
    """Takes the other symbol's next bar where it has it."""

    def features(self, bars, inputs):
        close = inputs["other"].frame["close"]
        return pd.DataFrame({"above": (close - close.shift()).reindex(bars.index).shift(-1)}, index=bars.index)


class FundingBeforeItsPayment(CheapFunding):
    """Takes the next payment's rate."""

    def features(self, bars, inputs):
        rate = inputs["funding"].frame["funding_rate"]
        return pd.DataFrame({"above": -rate.reindex(bars.index, method="bfill")}, index=bars.index)


class MoodByItsStatedDay(Fearful):
    """Takes a value from its stated day on, and not from its publication."""

    def features(self, bars, inputs):
        value = inputs["mood"].frame["value"]
        return pd.DataFrame({"above": 50.0 - value.reindex(bars.index, method="ffill")}, index=bars.index)


class TooShortAWarmUp(SlowTrend):
    """Declares fewer slower bars than its average needs."""

    @property
    def inputs(self):
        return {"slow": BarsInput(timeframe="4h", warmup=3)}


LEAKING = (SlowBeforeItsClose, OtherOneBarAhead, FundingBeforeItsPayment, MoodByItsStatedDay)


def resampled(bars: Bars, timeframe: str) -> Bars:
    """Return slower bars made of these; the last may be a part of one."""
    from atb.domain import Timeframe

    freq = {"4h": "4h", "1d": "1D"}[timeframe]
    ways = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    frame = bars.frame.resample(freq).agg(ways)
    whole = frame.index + pd.Timedelta(freq) <= bars.frame.index[-1] + pd.Timedelta(1, "h")
    return Bars(bars.symbol, Timeframe.parse(timeframe), frame[whole], bars.venue)


def funding_frame(index: pd.DatetimeIndex, seed: int = 3) -> pd.DataFrame:
    """Return payments every eight hours, a few milliseconds late, and one that is missing."""
    times = pd.date_range(index[0].floor("D"), index[-1], freq="8h")
    rng = np.random.default_rng(seed)
    late = pd.to_timedelta(rng.integers(0, 9, len(times)), unit="ms")
    frame = pd.DataFrame({"funding_rate": rng.normal(0, 1e-4, len(times))}, index=times + late)
    return frame.drop(frame.index[len(frame) // 2])


def mood_frame(index: pd.DatetimeIndex, seed: int = 4) -> pd.DataFrame:
    """Return a value a day, published the next, one of them four days late."""
    days = pd.date_range(index[0].floor("D") - pd.Timedelta(9, "D"), index[-1].floor("D"), freq="D")
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"value": rng.integers(20, 80, len(days)).astype(float)}, index=days)
    frame["published"] = days + pd.Timedelta(1, "D")
    seen = frame["published"] + pd.Timedelta(5, "min")
    seen.iloc[len(days) // 2] += pd.Timedelta(4, "D")
    seen.iloc[:2] = pd.NaT
    return frame.assign(first_seen=seen)


def rows_of(strategy, bars: Bars, other: Bars) -> dict[str, InputSeries]:
    """Return the rows of every input that a strategy declares, made of these bars or up."""
    found = {}
    for name, one in slot_inputs(strategy, bars.symbol, bars.timeframe).items():
        if one.kind == "bars":
            source = other if one.symbol == str(other.symbol) else bars
            found[name] = InputSeries.of_bars(
                one, source if one.timeframe == "1h" else resampled(source, one.timeframe)
            )
        else:
            make = {"funding": funding_frame, "sentiment": mood_frame}[one.kind]
            found[name] = InputSeries.of_events(one, make(bars.frame.index), venue="test")
    return found


def slot_of(strategy, bars: Bars, other: Bars, **given) -> Slot:
    """Return a slot with every input that its strategy declares."""
    return Slot(strategy, bars, inputs=rows_of(strategy, bars, other), **given)


READER = '''"""Reader: long while what it reads is above 0, flat below."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.domain.inputs import BarsInput, FundingInput, Input, Known, SentimentInput
from atb.domain.signals import Signals
from atb.features.indicators import sma

if TYPE_CHECKING:
    import pandas as pd

INPUTS: dict[str, Input] = {
    "slow": BarsInput(timeframe="4h", warmup=4),
    "other": BarsInput(symbol="ETH/USDT", warmup=4),
    "funding": FundingInput(warmup=2),
    "mood": SentimentInput(),
}


@dataclass(frozen=True)
class Reader:
    """Long while the inputs that it reads are above 0 in sum, no opinion where one is missing."""

    name: ClassVar[str] = "reader"
    predicts: ClassVar[bool] = False
    reads: str = "slow"

    @property
    def warmup(self) -> int:
        """Bars before the first signal."""
        return 3

    @property
    def inputs(self) -> Mapping[str, Input]:
        """The chosen inputs."""
        return {name: INPUTS[name] for name in self.reads.split("+")}

    def features(self, bars: "pd.DataFrame", inputs: Mapping[str, Known]) -> "pd.DataFrame":
        """Return the sum of what is read."""
        import pandas as pd

        total = np.zeros(len(bars))
        for name, known in inputs.items():
            if name == "mood":
                total = total + (50.0 - known.as_of("value"))
            elif name == "funding":
                total = total - 1e5 * known.as_of(sma(known.frame["funding_rate"].to_numpy(), 3))
            else:
                close = known.frame["close"].to_numpy()
                total = total + known.as_of(close - sma(close, 5))
        return pd.DataFrame({"above": total}, index=bars.index)

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return 1 above 0, 0 below, NaN where it is missing."""
        above = frame["above"].to_numpy()
        return Signals(np.where(np.isnan(above), np.nan, (above > 0).astype(float)))
'''
