"""The port of every provider, `CandleSource`, and one over bars that are in memory already."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from atb.domain import BAR_COLUMNS, Bars, Instrument, Symbol, Timeframe
from atb.domain.bars import bar_index
from atb.errors import DataError, InputError, did_you_mean

Row = list[float]
"""A candle: open time (epoch ms), open, high, low, close (quote per base), volume (base)."""


def frame_of(rows: Sequence[Row]) -> pd.DataFrame:
    """Return candles as a frame of bars, in their order."""
    table = np.array(rows, dtype=np.float64)
    columns = {name: table[:, column] for column, name in enumerate(BAR_COLUMNS, 1)}
    return pd.DataFrame(columns, index=bar_index(table[:, 0]))


class CandleSource(Protocol):
    """The port: a provider of candles that `download_bars` can store."""

    @property
    def venue(self) -> str:
        """Under which name the bars are stored: an exchange's ccxt id, `synthetic`, or a name of the user's."""
        ...

    @property
    def origin(self) -> str:
        """Where the bars come from, in words for the catalogue's files."""
        ...

    @property
    def page(self) -> int:
        """Most candles per answer."""
        ...

    def now_ms(self) -> int:
        """Return the provider's time in epoch milliseconds: a candle that closes later is still open."""
        ...

    def instrument(self, symbol: Symbol, timeframe: Timeframe) -> Instrument | None:
        """Return the symbol's trading rules, None if the provider publishes none; refuse a symbol or timeframe that it lacks."""
        ...

    def candles(self, symbol: Symbol, timeframe: Timeframe, since_ms: int) -> list[Row]:
        """Return up to `page` candles that open at `since_ms` or later, oldest first, the last perhaps still open."""
        ...


class HeldCandles:
    """A `CandleSource` over bars in memory, all of one venue and all closed; its present is the last close.

    Parameters
    ----------
    bars
        At least one series, none of them empty.
    origin
        Where they come from, in words.
    rules
        The trading rules of their symbols, where any are published.
    """

    page = 10_000

    def __init__(self, bars: Iterable[Bars], *, origin: str, rules: Iterable[Instrument] = ()) -> None:
        self._series = {(series.symbol, series.timeframe): series for series in bars}
        self._rules = {instrument.symbol: instrument for instrument in rules}
        self.venue, self.origin = next(iter(self._series.values())).venue, origin

    def now_ms(self) -> int:
        """Return the close of the last bar, epoch milliseconds."""
        return max(int(series.closed_ms[-1]) for series in self._series.values())

    def instrument(self, symbol: Symbol, timeframe: Timeframe) -> Instrument | None:
        """Return the symbol's trading rules, None if there are none.

        Raises
        ------
        InputError
            If there are no bars of this symbol and timeframe.
        """
        if (symbol, timeframe) not in self._series:
            names = [f"{symbol} {timeframe}" for symbol, timeframe in self._series]
            wanted = f"{symbol} {timeframe}"
            raise InputError(f"{self.origin}: no such series", found=wanted, todo=did_you_mean(wanted, names))
        return self._rules.get(symbol)

    def candles(self, symbol: Symbol, timeframe: Timeframe, since_ms: int) -> list[Row]:
        """Return up to `page` candles that open at `since_ms` (epoch ms) or later, oldest first.

        Raises
        ------
        DataError
            If there are no bars of this symbol and timeframe.
        """
        series = self._series.get((symbol, timeframe))
        if series is None:
            raise DataError(f"{self.origin}: no such series", found=f"{symbol} {timeframe}")
        first = int(series.opened_ms.searchsorted(since_ms))
        opened = series.opened_ms[first : first + self.page].tolist()
        values = series.frame[list(BAR_COLUMNS)].iloc[first : first + self.page].to_numpy().tolist()
        return [[open_ms, *row] for open_ms, row in zip(opened, values, strict=True)]
