"""Pairs: one leg of a cointegrated pair, bought when it is cheap beside the other one and sold when it is dear."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from atb.domain.inputs import BarsInput, Input, Known
from atb.domain.signals import Signals
from atb.domain.symbol import Symbol
from atb.errors import InputError
from atb.features.cointegration import PERCENTS, critical_value, rolling_pair

if TYPE_CHECKING:
    import pandas as pd

    from atb.features.indicators import Array


@dataclass(frozen=True, slots=True)
class Pairs:
    """A pair is two slots, one on each symbol: `pairs` with the `other` one here, and with `explained` false there (`legs`).

    Both estimate the same line, log price of the explained symbol on that of the other, from the `window` bars before each bar, and
    so decide alike. A leg is entered while the residuals pass the test of Engle and Granger, and left once the spread has closed,
    is so wide that the relation is broken, or fails the test even at 10 percent. Needs a policy with `allow_short`.

    Confidence holds the legs' hedge ratio: with `sizing="confidence"` a leg that moves more than the other one is as much smaller.

    Parameters
    ----------
    other
        The other symbol, in any accepted spelling; not the slot's own. Over two symbols each is the other's.
    explained
        Whether this slot's symbol is the one that the other explains; over two symbols, whether the first is.
    window
        Bars from which the line is estimated.
    lags
        Changes of the residuals that the test takes into account.
    percent
        Level of the test: 1, 5 or 10.
    enter, leave, broken
        Distances from the line, in standard deviations, at which to enter, to be flat again, and to give up.
    """

    name: ClassVar[str] = "pairs"
    predicts: ClassVar[bool] = False
    shorts: ClassVar[bool] = True
    question: ClassVar[str] = "Does the distance of two markets that move together close again?"
    other_texts: ClassVar[tuple[str, ...]] = ("DOGE/USDT",)
    example: ClassVar[Mapping[str, Any]] = {"window": 60, "enter": 1.5, "leave": 0.7, "broken": 2.2}
    other: str = "ETH/USDT"
    explained: bool = True
    window: int = 480
    lags: int = 1
    percent: int = 5
    enter: float = 2.0
    leave: float = 0.5
    broken: float = 4.0

    def __post_init__(self) -> None:
        """Refuse an unknown symbol or level, a window too short for the test, and distances out of order."""
        object.__setattr__(self, "other", BarsInput(symbol=self.other).symbol)
        critical_value(self.percent, 1)
        if not 0 <= self.lags <= 24 or self.window < 2 * self.lags + 30:
            found = f"window={self.window} lags={self.lags}"
            raise InputError("pairs needs 0 to 24 lags, and a window of 30 bars more than twice as many", found=found)
        if not 0 <= self.leave < self.enter < self.broken:
            found = f"leave={self.leave} enter={self.enter} broken={self.broken}"
            raise InputError("pairs needs 0 <= leave < enter < broken", found=found)

    @property
    def inputs(self) -> Mapping[str, Input]:
        """The other symbol's bars."""
        return {"other": BarsInput(symbol=self.other, another=True)}

    def legs(self, symbols: tuple[Symbol, ...]) -> "tuple[Pairs, ...]":
        """Return the pair over two symbols: each leg names the other symbol.

        Raises
        ------
        InputError
            If there are more than two, or `other` was given and is neither.
        """
        names = [str(symbol) for symbol in symbols]
        if len(names) != 2:
            raise InputError("pairs trades two symbols, or one leg on one", found=", ".join(names))
        if self.other not in {*names, type(self)().other}:
            raise InputError("The other symbol is neither of the two that are traded", found=f"other={self.other}",
                             todo="Leave `other` out: each of two symbols is the other's")  # fmt: skip
        first, second = names
        return replace(self, other=second), replace(self, other=first, explained=not self.explained)

    @property
    def warmup(self) -> int:
        """Bars of the first estimate, all before the bar that it judges."""
        return self.window

    def features(self, bars: "pd.DataFrame", inputs: Mapping[str, Known]) -> "pd.DataFrame":
        """Return `hedge` (log price of the explained per log price of the other), `score` (standard deviations), `statistic`."""
        import pandas as pd

        own, other = np.log(bars["close"].to_numpy()), np.log(inputs["other"].as_of("close"))
        first, second = (own, other) if self.explained else (other, own)
        columns = rolling_pair(first, second, self.window, lags=self.lags)._asdict()
        return pd.DataFrame(columns, index=bars.index, copy=False)

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return 1, -1 and 0 for this leg, NaN (hold) between the thresholds or where the other symbol is missing."""
        hedge, score, statistic = (frame[name].to_numpy() for name in ("hedge", "score", "statistic"))
        usual, loosest = (critical_value(percent, self.window - 1) for percent in (self.percent, max(PERCENTS)))
        away = np.abs(score)
        enter = (statistic < usual) & (hedge > 0) & (away >= self.enter) & (away < self.broken)
        leave = (away <= self.leave) | (away >= self.broken) | (statistic >= loosest) | (hedge <= 0)
        leg = -np.sign(score) if self.explained else np.sign(score)
        return Signals(np.select([enter, leave], [leg, 0.0], np.nan), confidence=self._share(hedge))

    def _share(self, hedge: "Array") -> "Array":
        """Return this leg's value as a fraction of the larger leg's, 0 where it is not known."""
        with np.errstate(divide="ignore"):
            share = 1 / hedge if self.explained else hedge
        return np.clip(np.nan_to_num(share, nan=0.0), 0.0, 1.0)
