"""A candle chart for notebooks that stays fluid on millions of bars, with the trades of a result to click on.

Only the visible window leaves the kernel, aggregated to a fixed number of candles (`atb.workbench.candle_windows`), as bytes in
messages and never in the widget's state, so that a saved notebook stays small. Where widgets do not work, in a saved notebook or a
report, a static picture is shown instead.

It draws with Lightweight Charts by TradingView (folder `lightweight_charts`, Apache-2.0), whose licence asks for a visible link.
The library's own logo would send the page's address along, so the link below the chart is ours, without a referrer.
"""

from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import anywidget
import numpy as np
import traitlets

from atb.backtest import Result
from atb.backtest.card import framed
from atb.decimals import counted
from atb.domain import Bars
from atb.errors import InputError
from atb.reports.downsampling import span_text
from atb.reports.trade_detail import TradeDetail, trade_detail
from atb.workbench.candle_windows import MOST, CandleWindows, Window
from atb.workbench.trade_marks import TradeMarks

HEIGHT = 420  # pixels
MOST_DIGITS = 8
FEWEST = 300  # candles of an answer, of a series that has so many bars
PICTURE = 240  # candles of the static picture


@cache
def _script() -> str:
    folder = files("atb.workbench")
    library = folder.joinpath("lightweight_charts", "lightweight-charts.standalone.production.js")
    return "\n".join(part.read_text(encoding="utf-8") for part in (library, folder.joinpath("candle_chart.js")))


@cache
def _style() -> str:
    return files("atb.workbench").joinpath("candle_chart.css").read_text(encoding="utf-8")


class Chart(anywidget.AnyWidget):
    """The chart of one series of bars. `trade` is the last trade that was clicked, None before.

    Make one with `chart`.
    """

    _esm = _script()
    _css = _style()
    label = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(HEIGHT).tag(sync=True)  # pixels
    digits = traitlets.Int(2).tag(sync=True)  # decimals of prices
    trade = traitlets.Int(None, allow_none=True)

    def __init__(self, bars: Bars, *, result: Result | None = None, slot: int = 0, height: int = HEIGHT) -> None:
        super().__init__(label=bars.label if result is None else result.label, height=height, digits=_digits(bars))
        self.bars, self.result = bars, result
        self._candles = CandleWindows(bars)
        self._marks = None if result is None else TradeMarks(result, slot)
        self._span = 1
        self.on_msg(self._received)

    def _received(self, _widget: object, message: dict[str, Any], _buffers: object) -> None:
        """Answer a message of the page: it asks for a window, or a place was clicked."""
        if message.get("kind") == "window":
            bounds = [None if message.get(name) is None else 1_000 * float(message[name]) for name in ("from", "to")]
            most = min(MOST, max(FEWEST, int(message.get("width") or MOST)))
            self._answer(self._candles.window(*bounds, most=most), int(message.get("asks", 0)))
        elif message.get("kind") == "click" and self._marks is not None:
            near = 1_000 * float(message["time"])
            chosen = message.get("trade")
            found = self._marks.nearest(near, self._span * self._candles.step) if chosen is None else int(chosen)
            if found is not None:
                self.show_trade(found)

    def _answer(self, window: Window, asks: int) -> None:
        self._span = window.span
        marks, said = ([], "") if self._marks is None else self._marks.within(window)
        text = (
            f"{counted(len(self._candles), 'bar')}, drawn as {span_text(self.bars, window.span)}; times in UTC. {said}"
        )
        content = {
            "kind": "window",
            "answers": asks,
            "span": window.span,
            "step": self._candles.step / 1_000,
            "whole": list(window.whole),
            "trades": marks,
            "text": text.strip(),
        }
        self.send(content, [window.to_bytes()])

    def show_trade(self, trade_id: int) -> TradeDetail:
        """Show one trade below the chart, beside what led to it, and return it.

        Raises
        ------
        InputError
            If the chart has no result, or the result no such trade.
        """
        if self.result is None:
            raise InputError("This chart has no trades", todo="Make it from a result: chart(result)")
        detail = trade_detail(self.result, trade_id)
        self.send({"kind": "trade", "html": detail.html()})
        self.trade = trade_id
        return detail

    def append(self, bars: Bars) -> None:
        """Add bars that came after those of the chart, and draw the candle they belong to; a bar that is known is replaced.

        Raises
        ------
        InputError
            If they are of another series, or open before the last bar of the chart.
        """
        if (bars.symbol, bars.timeframe) != (self.bars.symbol, self.bars.timeframe):
            raise InputError(
                "These bars are of another series", found=bars.label, todo=f"The chart is of {self.bars.label}"
            )
        for opened, row in zip(bars.opened_ms.tolist(), bars.frame.to_numpy(dtype=np.float64), strict=True):
            self._candles.append(opened, row)
        newest = self._candles.last_candle(self._span)
        self.send({"kind": "bar", "span": self._span}, [newest.to_bytes()])

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the widget, and a static picture and text for where widgets do not work."""
        shown = super()._repr_mimebundle_(**options)
        data, metadata = ({}, {}) if shown is None else shown
        bars = counted(len(self._candles), "bar")
        picture = framed(self.label, _picture(self._candles.window(most=PICTURE), bars))
        return {**data, "text/html": picture, "text/plain": f"{self.label}: {bars}"}, metadata


def chart(shown: Bars | Result, *, slot: int = 0, height: int = HEIGHT) -> Chart:
    """Return a candle chart of bars, or of a result with its trades, for the last line of a notebook cell.

    Zooming and panning load what is visible; a click on a trade shows its bars, features, decision, order and fill below.

    Parameters
    ----------
    shown
        Bars, or the result of a backtest.
    slot
        Number of the result's slot.
    height
        Pixels, 120 to 4,000.

    Raises
    ------
    InputError
        If it is neither, there is no such slot, or no bar.
    """
    if not 120 <= height <= 4_000:
        raise InputError("The height of a chart is 120 to 4,000 pixels", found=height)
    if isinstance(shown, Bars):
        return Chart(shown, height=height)
    if not isinstance(shown, Result):
        raise InputError("A chart needs bars, or the result of a backtest", found=type(shown).__name__)
    if not 0 <= slot < len(shown.slots):
        raise InputError(f"slot must be 0 to {len(shown.slots) - 1}", found=slot)
    return Chart(shown.bars[slot].slice(shown.index[0]), result=shown, slot=slot, height=height)


def _digits(bars: Bars) -> int:
    """Return the decimals that tell neighbouring prices apart: those of a ten-thousandth of the last close, 2 at least."""
    last = float(bars.frame["close"].iloc[-1]) if len(bars) else 1.0
    return int(min(MOST_DIGITS, max(2, 4 - np.floor(np.log10(last)))))


def _picture(window: Window, bars: str) -> str:
    """Return the candles as a static picture, as an image so that reports keep it."""
    _, opened, high, low, close, _ = window.values
    bottom, top = float(low.min()), float(high.max())
    scale = 156 / (top - bottom if top > bottom else 1.0)
    x = (np.arange(len(close)) + 0.5) * 860 / len(close)
    y = {name: 158 - (values - bottom) * scale for name, values in zip("ohlc", (opened, high, low, close), strict=True)}
    wicks = "".join(f"M{a:.1f} {b:.1f}V{c:.1f}" for a, b, c in zip(x, y["h"], y["l"], strict=True))
    bodies = "".join(f"M{a:.1f} {b:.1f}V{c:.1f}" for a, b, c in zip(x, y["o"], y["c"] + 0.4, strict=True))
    wide = max(1.0, 0.6 * 860 / len(close))
    drawing = (
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 860 160' preserveAspectRatio='none'>"
        f"<path d='{wicks}' stroke='#6B7684' stroke-width='0.8' fill='none'/>"
        f"<path d='{bodies}' stroke='#2F8FCE' stroke-width='{wide:.1f}' fill='none'/></svg>"
    )
    return (
        f"<div style='font-size:12px;opacity:0.72'>{bars}; lowest {bottom:,.8g}, highest {top:,.8g}</div>"
        f"<img src='data:image/svg+xml,{quote(drawing)}' width='100%' height='160' alt='candles'/>"
    )
