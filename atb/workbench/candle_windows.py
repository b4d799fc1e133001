"""Candles of a long series for a chart: only the visible window, aggregated to a fixed number of candles, leaves the kernel.

A window is answered with as much again on each side, so that panning a little needs no new answer. Candles of one duration start
at the same times in every answer (multiples of the duration), so that they do not change while the chart is panned.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atb.domain.bars import BAR_COLUMNS, Bars
from atb.engine.records import Floats
from atb.errors import InputError
from atb.reports.downsampling import candle_starts, candle_values, fitting_span

MOST = 1_800  # candles of an answer: three windows of 600
COLUMNS = ("time", *BAR_COLUMNS)
_SPARE = 1_024  # rows kept free for bars to come


@dataclass(frozen=True)
class Window:
    """The candles of a window.

    Parameters
    ----------
    opened_ms
        Opens of the candles, epoch milliseconds.
    values
        (6, N) float64: open time in seconds, open, high, low, close, volume.
    span
        Bars per candle.
    whole
        Whether the first and the last bar of the series are in it.
    """

    opened_ms: NDArray[np.int64]
    values: Floats
    span: int
    whole: tuple[bool, bool]

    def to_bytes(self) -> bytes:
        """Return the values as little-endian float64, column after column."""
        return np.ascontiguousarray(self.values, dtype="<f8").tobytes()


class CandleWindows:
    """The bars of one series as arrays that grow, and their windows."""

    def __init__(self, bars: Bars) -> None:
        if not len(bars):
            raise InputError("There is no bar to draw", found=bars.label, todo="Load a period that has bars")
        self.step = bars.timeframe.seconds * 1_000  # milliseconds; of a month 30 days, good enough for a grid
        self._count = len(bars)
        self._opened = np.empty(self._count + _SPARE, np.int64)
        self._values = np.empty((len(BAR_COLUMNS), self._count + _SPARE))
        self._opened[: self._count] = bars.opened_ms
        for row, name in enumerate(BAR_COLUMNS):
            self._values[row, : self._count] = bars.frame[name].to_numpy()

    def __len__(self) -> int:
        """Return the number of bars."""
        return self._count

    @property
    def opened_ms(self) -> NDArray[np.int64]:
        """Opens of the bars, epoch milliseconds."""
        return self._opened[: self._count]

    def append(self, opened_ms: int, prices: Floats) -> None:
        """Add a bar, or replace the last one if it opens at the same time.

        Parameters
        ----------
        opened_ms
            Its open, epoch milliseconds.
        prices
            (5,) open, high, low, close, volume.

        Raises
        ------
        InputError
            If it opens before the last bar.
        """
        last = int(self._opened[self._count - 1])
        if opened_ms < last:
            raise InputError(
                "A bar is appended after the last one",
                found=f"{_moment(opened_ms)} after {_moment(last)}",
                todo="Make the chart anew",
            )
        if opened_ms > last:
            self._grow()
        self._opened[self._count - 1], self._values[:, self._count - 1] = opened_ms, prices

    def _grow(self) -> None:
        self._count += 1
        if self._count > len(self._opened):
            more = max(_SPARE, len(self._opened) // 2)
            self._opened = np.concatenate([self._opened, np.empty(more, np.int64)])
            self._values = np.concatenate([self._values, np.empty((len(BAR_COLUMNS), more))], axis=1)

    def window(self, start_ms: float | None = None, end_ms: float | None = None, *, most: int = MOST) -> Window:
        """Return the candles of [start, end], of as much before and as much after; without bounds those of all bars."""
        opened = self.opened_ms
        first, end = 0, len(opened)
        if start_ms is not None and end_ms is not None:
            width = max(end_ms - start_ms, float(self.step))
            first = max(0, int(np.searchsorted(opened, start_ms - width, side="right")) - 1)
            end = int(np.searchsorted(opened, end_ms + width, side="right"))
            first, end = min(first, len(opened) - 1), max(end, min(first, len(opened) - 1) + 1)
        span = fitting_span(opened[first:end], self.step, most)
        first, end = self._whole_candles(first, end, self.step * span)
        starts = candle_starts(opened[first:end], self.step * span)
        found = self._candles(first, end, starts)
        return Window(opened[first:end][starts], found, span, (first == 0, end == len(opened)))

    def _whole_candles(self, first: int, end: int, duration: int) -> tuple[int, int]:
        """Return the rows extended to where candles start, so that none is cut in two."""
        opened = self.opened_ms
        begin, last = opened[first] // duration * duration, (opened[end - 1] // duration + 1) * duration
        return int(np.searchsorted(opened, begin)), int(np.searchsorted(opened, last))

    def _candles(self, first: int, end: int, starts: NDArray[np.int64]) -> Floats:
        columns = dict(zip(BAR_COLUMNS, self._values[:, first:end], strict=True))
        values = candle_values(columns, starts)
        times = self.opened_ms[first:end][starts] / 1_000
        return np.stack([times, *(values[name] for name in BAR_COLUMNS)])

    def last_candle(self, span: int) -> Window:
        """Return the newest candle of `span` bars."""
        opened = self.opened_ms
        first = int(np.searchsorted(opened, opened[-1] // (self.step * span) * (self.step * span)))
        found = self._candles(first, len(opened), np.zeros(1, np.int64))
        return Window(opened[first : first + 1], found, span, (first == 0, True))


def _moment(milliseconds: int) -> str:
    return f"{np.datetime64(milliseconds, 'ms')} UTC"
