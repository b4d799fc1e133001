"""Static pictures of a result, for places without plotly: a PNG and a sparkline."""

import io
from typing import TYPE_CHECKING

import numpy as np

from atb.backtest import Result
from atb.backtest.metrics import drawdowns
from atb.reports.theme import BLUE, GREY, GRID, INK, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLOCKS = "▁▂▃▄▅▆▇█"


def equity_png(result: Result, *, width: int = 1200, height: int = 640) -> bytes:
    """Return a PNG of equity beside holding with the drawdown below; sizes in pixels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 100, height / 100), dpi=100, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    cash = result.inputs.account.cash
    upper.plot(result.index, result.benchmark_equity, color=ORANGE, linewidth=1.1, label="hold")
    upper.plot(result.index, result.equity, color=BLUE, linewidth=1.6, label=result.slots[0].strategy.name)
    upper.set_title(f"{result.label}\n", loc="left", fontsize=14, color=INK, fontweight="bold")
    upper.text(0, 1.02, result.headline, transform=upper.transAxes, fontsize=9.5, color=GREY)
    upper.set_ylabel(f"equity ({result.slots[0].bars.symbol.quote})")
    upper.legend(frameon=False, loc="upper left")
    lower.fill_between(
        result.index, -100 * drawdowns(result.equity.to_numpy(), cash), color=BLUE, alpha=0.35, linewidth=0
    )
    lower.set_ylabel("drawdown (%)")
    for axes in (upper, lower):
        _calm(axes)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _calm(axes: "Axes") -> None:
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=GREY, labelsize=9)
    axes.yaxis.label.set_color(GREY)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def sparkline(result: Result, *, width: int = 60) -> str:
    """Return the equity curve as one line of `width` block characters, lowest to highest."""
    values = result.equity.to_numpy()
    chosen = values[np.linspace(0, len(values) - 1, min(width, len(values))).astype(int)]
    low, high = float(chosen.min()), float(chosen.max())
    scale = (chosen - low) / (high - low) if high > low else np.zeros(len(chosen))
    return "".join(BLOCKS[int(level)] for level in np.rint(scale * (len(BLOCKS) - 1)))
