"""What the simulated exchange knows: bars, trading rules and a clock that only moves when told."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from atb.domain import Bars, Instrument


class VirtualClock:
    """The exchange's present, in epoch milliseconds; safe to move from another thread."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = int(now_ms)
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        """Return the present."""
        with self._lock:
            return self._now_ms

    def advance(self, ms: int) -> None:
        """Move the present forward."""
        with self._lock:
            self._now_ms += int(ms)


@dataclass(frozen=True)
class Candle:
    """One candle as the exchange tells it: open and close time in epoch ms, prices in quote, volume in base."""

    open_ms: int
    close_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True)
class Market:
    """All series the exchange offers, seen from its clock.

    Parameters
    ----------
    series
        One `Bars` per symbol and timeframe; they may reach beyond the present, which hides the rest.
    clock
        The exchange's present.
    instruments
        Trading rules by symbol as the exchange spells it (`BTCUSDT`); the usual ones where none is given.
    """

    series: tuple[Bars, ...]
    clock: VirtualClock
    instruments: dict[str, Instrument] = field(default_factory=dict)

    @classmethod
    def of(cls, bars: Bars | Iterable[Bars], clock: VirtualClock, instruments: Iterable[Instrument] = ()) -> "Market":
        """Build a market from one series or many, with the rules of some of its symbols."""
        series = (bars,) if isinstance(bars, Bars) else tuple(bars)
        rules = {one.symbol.joined: Instrument(one.symbol) for one in series}
        return cls(series, clock, rules | {one.symbol.joined: one for one in instruments})

    def find(self, venue_symbol: str, interval: str) -> Bars | None:
        """Return the series of a symbol and interval, or None if the exchange has none."""
        wanted = (venue_symbol, interval)
        return next((one for one in self.series if (one.symbol.joined, str(one.timeframe)) == wanted), None)

    def candles(self, bars: Bars, *, start_ms: int | None, end_ms: int | None, limit: int) -> list[Candle]:
        """Return up to `limit` candles that open in [start, end], the still open one included.

        Without a start, the latest ones; with one, the earliest from there on, as Binance does.
        """
        opened = bars.opened_ms
        end = min(self.clock.now_ms(), end_ms if end_ms is not None else self.clock.now_ms())
        first = int(np.searchsorted(opened, start_ms)) if start_ms is not None else 0
        stop = int(np.searchsorted(opened, end, side="right"))
        rows = range(first, stop)[:limit] if start_ms is not None else range(first, stop)[-limit:]
        part = slice(rows.start, rows.stop)
        values = bars.frame.iloc[part].to_numpy().tolist()
        times = zip(opened[part].tolist(), bars.closed_ms[part].tolist(), strict=True)
        return [self._candle(*span, prices=prices) for span, prices in zip(times, values, strict=True)]

    def _candle(self, opened_ms: int, closed_ms: int, *, prices: list[float]) -> Candle:
        if closed_ms > self.clock.now_ms():
            # How the bar went on is the future: the exchange has seen its first trade only.
            return Candle(opened_ms, closed_ms - 1, prices[0], prices[0], prices[0], prices[0], 0.0)
        return Candle(opened_ms, closed_ms - 1, *prices)
