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
    """The bars of one series, to which bars may be added, and their windows.

    The series' own arrays are read where they are: a copy of millions of bars would delay the first picture. Added bars are beside
    them, the newest one included as soon as it is replaced.
    """

    def __init__(self, bars: Bars) -> None:
        if not len(bars):
            raise InputError("There is no bar to draw", found=bars.label, todo="Load a period that has bars")
        self.step = bars.timeframe.seconds * 1_000  # milliseconds; of a month 30 days, good enough for a grid
        self._count = self._known = len(bars)  # of all bars, and of those that are not added
        self._opened = bars.opened_ms
        self._series = [bars.frame[name].to_numpy(dtype=np.float64) for name in BAR_COLUMNS]
        self._added = np.empty((len(BAR_COLUMNS), 0))

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
            self._open(opened_ms)
        elif self._count == self._known:
            self._known -= 1
        row = self._count - 1 - self._known
        if row >= self._added.shape[1]:
            more = max(_SPARE, row // 2)
            self._added = np.concatenate([self._added, np.empty((len(BAR_COLUMNS), more))], axis=1)
        self._added[:, row] = prices

    def _open(self, opened_ms: int) -> None:
        if self._count == len(self._opened):
            self._opened = np.concatenate([self._opened, np.empty(max(_SPARE, self._count // 2), np.int64)])
        self._opened[self._count] = opened_ms
        self._count += 1

    def _columns(self, first: int, end: int) -> dict[str, Floats]:
        """Return the columns of the bars `first` to `end`."""
        known = self._known
        columns = [column[first : min(end, known)] for column in self._series]
        if end > known:
            added = self._added[:, max(first - known, 0) : end - known]
            columns = [np.concatenate(pair) if first < known else pair[1] for pair in zip(columns, added, strict=True)]
        return dict(zip(BAR_COLUMNS, columns, strict=True))

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
        values = candle_values(self._columns(first, end), starts)
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
