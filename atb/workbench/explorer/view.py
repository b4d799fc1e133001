"""The part of the explorer that follows a move: the figure, the key figures beside holding, and what luck alone would reach."""

from html import escape
from typing import TYPE_CHECKING, Any

from atb.backtest.card import FIGURES
from atb.decimals import figure

if TYPE_CHECKING:
    from atb.backtest import Result

SHOWN = ("total_return_pct", "sharpe", "max_drawdown_pct", "n_trades", "exposure_time_pct", "fees_paid")
_CELL = "padding:1px 12px 1px 0;text-align:right;font-variant-numeric:tabular-nums"


class View:
    """The figure and the key figures of one result after another."""

    def __init__(self) -> None:
        import ipywidgets

        self.figures = ipywidgets.HTML()
        self.box = ipywidgets.VBox([self.figures])
        self._figure: Any = None

    def show(self, result: "Result") -> None:
        """Show a result; the lines of the figure there is are moved, not drawn anew."""
        from atb.reports.exploring import TITLE, explorer_curves, explorer_figure
        from atb.reports.theme import title_text

        self.figures.value = key_figures(result)
        if self._figure is None:
            from plotly.graph_objects import FigureWidget

            self._figure = FigureWidget(explorer_figure(result))
            self.box.children = (self.figures, self._figure)
            return
        with self._figure.batch_update():
            for line, (times, values) in zip(self._figure.data, explorer_curves(result), strict=True):
                line.x, line.y = times, values
            if self._figure.layout.title.text != (title := title_text(TITLE, result.label)):
                self._figure.layout.title.text = title

    @property
    def lines(self) -> list[Any]:
        """The lines of the figure, as plotly has them; empty before the first result."""
        return [] if self._figure is None else list(self._figure.data)


def key_figures(result: "Result") -> str:
    """Return the key figures beside holding as HTML, and what kept the strategy from trading, if anything did."""
    held = result.baselines["hold"]
    rows = "".join(
        f"<tr><th scope='row' style='{_CELL};text-align:left;font-weight:400'>{name}</th>"
        f"<td style='{_CELL}'><b>{escape(figure(result.stats[key], form))}</b></td>"
        f"<td style='{_CELL}'>{escape(figure(held[key], form)) if key in held else ''}</td></tr>"
        for name, key, form in FIGURES
        if key in SHOWN
    )
    head = f"<tr><th></th><th style='{_CELL}'>strategy</th><th style='{_CELL}'>hold</th></tr>"
    notes = "".join(f"<div>{escape(text)}</div>" for text in (result.headline, str(result.seen)))
    return f"<div style='line-height:1.4'>{notes}<table>{head}{rows}</table></div>"
