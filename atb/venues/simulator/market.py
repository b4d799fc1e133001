"""Market data of the exchange: candles up to the exchange's time, and each symbol's trading rules."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from atb.domain import Bars, Instrument
from atb.domain.observed import exchange_rules
from atb.venues.simulator.clock import RealClock, VirtualClock

__all__ = ["Candle", "Market", "VirtualClock"]


@dataclass(frozen=True, slots=True)
class Candle:
    """One candle as served: open and close time in epoch ms, prices in quote, volume in base."""

    open_ms: int
    close_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True)
class Market:
    """All series of the exchange, up to its time.

    Parameters
    ----------
    series
        One `Bars` per symbol and timeframe; bars after the exchange's time stay hidden.
    clock
        The exchange's clock.
    instruments
        Trading rules by symbol as the exchange spells it (`BTCUSDT`).
    frozen
        Symbols (or `*`) whose candles stopped at a time: a fault.
    others
        Series that are served as candles and never move a price.
    revised
        Factors by (symbol, open time) of candles that are served wrong until they are revised: a fault.
    """

    series: tuple[Bars, ...]
    clock: VirtualClock | RealClock
    instruments: dict[str, Instrument] = field(default_factory=dict)
    frozen: dict[str, int] = field(default_factory=dict)
    revised: dict[tuple[str, int], float] = field(default_factory=dict)
    others: tuple[Bars, ...] = ()
    _rows: dict[int, NDArray[np.float64]] = field(default_factory=dict, repr=False)

    @classmethod
    def from_bars(
        cls, bars: Bars | Iterable[Bars], clock: VirtualClock | RealClock, instruments: Iterable[Instrument] = (),
        *, candles: Iterable[Bars] = (),
    ) -> "Market":  # fmt: skip
        """Build a market from one series or many; symbols without an instrument get this exchange's own rules."""
        series = (bars,) if isinstance(bars, Bars) else tuple(bars)
        rules = {bars.symbol.joined: exchange_rules(bars) for bars in reversed(series)}
        rules |= {instrument.symbol.joined: instrument for instrument in instruments}
        return cls(series, clock, rules, others=tuple(candles))

    def find(self, venue_symbol: str, interval: str) -> Bars | None:
        """Return the series of a symbol and interval, or None."""
        wanted = (venue_symbol, interval)
        return next(
            (bars for bars in (*self.series, *self.others) if (bars.symbol.joined, str(bars.timeframe)) == wanted), None
        )

    def finest(self) -> dict[str, Bars]:
        """Return each symbol's series of the shortest timeframe: the one that moves its price."""
        found: dict[str, Bars] = {}
        for bars in sorted(self.series, key=lambda bars: -bars.timeframe.seconds):
            found[bars.symbol.joined] = bars
        return {name: found[name] for name in sorted(found)}

    def candles(
        self, bars: Bars, *, start_ms: int | None, end_ms: int | None, limit: int, ahead_ms: int = 0
    ) -> list[Candle]:
        """Return up to `limit` candles that open in [start, end], the still open one included.

        Without a start the latest ones, with a start the earliest from there, as at Binance. An exchange whose clock is
        `ahead_ms` ahead closes its candles by that clock, so that its time and its candles always agree.
        """
        opened, symbol = bars.opened_ms, bars.symbol.joined
        now = min(self.clock.now_ms() + ahead_ms, self.frozen.get(symbol, 2**62), self.frozen.get("*", 2**62))
        end = min(now, end_ms if end_ms is not None else now)
        first = int(np.searchsorted(opened, start_ms)) if start_ms is not None else 0
        stop = int(np.searchsorted(opened, end, side="right"))
        rows = range(first, stop)[:limit] if start_ms is not None else range(first, stop)[-limit:]
        return [self.candle(bars, row, now_ms=now) for row in rows]

    def candle(self, bars: Bars, row: int, *, now_ms: int) -> Candle:
        """Return one bar of a series as served at a time."""
        opened, closed = int(bars.opened_ms[row]), int(bars.closed_ms[row])
        prices = self._served(bars.symbol.joined, opened, self._values(bars)[row].tolist())
        if closed - 1 > now_ms:
            # The rest of an open bar lies in the future: only its first trade is known.
            return Candle(opened, closed - 1, prices[0], prices[0], prices[0], prices[0], 0.0)
        return Candle(opened, closed - 1, *prices)

    def is_frozen(self, symbol: str) -> bool:
        """Return True if a fault has stopped a symbol's candles."""
        return symbol in self.frozen or "*" in self.frozen

    def _values(self, bars: Bars) -> NDArray[np.float64]:
        """Return a series as an array, one row per bar; cached, because clients request candles often."""
        if id(bars) not in self._rows:
            self._rows[id(bars)] = bars.frame.to_numpy()
        return self._rows[id(bars)]

    def _served(self, symbol: str, opened_ms: int, prices: list[float]) -> list[float]:
        """Return a candle's values; a fault may make the close wrong, and high or low with it."""
        factor = self.revised.get((symbol, opened_ms)) if self.revised else None
        if factor is None:
            return prices
        opened, high, low, close, volume = prices
        return [opened, max(high, close * factor), min(low, close * factor), close * factor, volume]
