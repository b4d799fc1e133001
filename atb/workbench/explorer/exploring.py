"""The explorer: each move of a widget is a backtest, shown at once; what is worth it is kept, written out, or promoted."""

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atb.config import load_settings, part_of
from atb.errors import AtbError, InputError
from atb.experiments import BACKTEST
from atb.workbench.explorer.controls import POLICY, RULES, Controls
from atb.workbench.explorer.view import View

if TYPE_CHECKING:
    from atb.backtest import Result
    from atb.db.tables import RunRow

TIMEFRAMES = ["1m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d", "1w"]
_MESSAGE = "white-space:pre-wrap;font-family:monospace;font-size:12px;border-left:3px solid {colour};padding:2px 8px"
_WRONG, _DONE = "#D55E00", "#009E73"


class Explorer:
    """Widgets over the backtest notebook's parameters; the last line of a cell shows them.

    Attributes
    ----------
    widgets
        Every widget by the name of what it sets.
    result
        Of the last move that could be run; None before the first.
    message
        What was wrong with the last move, or what the last button did; empty if there is nothing to say.
    kept
        The registered run of the values at hand; None if they were not kept.
    """

    def __init__(
        self, strategy: str, *, symbol: str | None, timeframe: str | None, days: int, params: Mapping[str, Any],
        rules: Mapping[str, Any],
    ) -> None:  # fmt: skip
        from atb.strategies import make_strategy, strategy_names

        make_strategy(strategy, **params)
        self.notebook = part_of(load_settings().project, "notebooks", BACKTEST)
        symbols, (first, usual) = _stored()
        values = _first_values(self.notebook, rules) | {
            "strategy": strategy, "params": dict(params), "symbol": symbol or first, "timeframe": timeframe or usual, "days": days,
        }  # fmt: skip
        values["symbol"], values["timeframe"] = _canonical(values["symbol"], values["timeframe"])
        market = symbols, list(dict.fromkeys([*TIMEFRAMES, values["timeframe"]]))
        self._controls = Controls(market, strategy_names(), parameters_of=_parameters_of, values=values)
        self._view = View()
        self.result: Result | None = None
        self.kept: RunRow | None = None
        self._lay_out()
        self._move()
        self._controls.on_change(self._move)

    @property
    def widgets(self) -> dict[str, Any]:
        """Every widget by the name of what it sets."""
        return self._controls.widgets

    @property
    def values(self) -> dict[str, Any]:
        """The backtest notebook's parameters that the widgets say."""
        return self._controls.values

    @property
    def lines(self) -> list[Any]:
        """The lines of the figure, as plotly has them."""
        return self._view.lines

    # --- moves --------------------------------------------------------------------------------------------------------

    def _move(self) -> None:
        """Run the backtest that the widgets say; what is wrong is said beside them, and the last result stays."""
        self.kept = None
        self._guarded(self._run)

    def _run(self) -> None:
        from atb.trials import recording_as
        from atb.workbench.backtesting import prepare_backtest

        with recording_as("explore"):
            self.result = prepare_backtest(self._all_values()).run()
        self._view.show(self.result)
        self._say("")

    def _all_values(self) -> dict[str, Any]:
        from atb.experiments.parameters import read_parameters, validate_parameters, with_defaults

        spec = read_parameters(self.notebook)
        return with_defaults(spec, validate_parameters(spec, self.values))

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do something that a person asked for; whatever goes wrong is said, and the widgets go on."""
        try:
            action()
        except AtbError as error:
            self._say(str(error), wrong=True)
        except Exception as error:  # noqa: BLE001 - a strategy of the user's own may raise anything
            self._say(f"{type(error).__name__}: {error}", wrong=True)

    def _say(self, text: str, *, wrong: bool = False) -> None:
        self.message = text
        style = _MESSAGE.format(colour=_WRONG if wrong else _DONE)
        self._text.value = f"<div style='{style}'>{escape(text)}</div>" if text else ""

    # --- buttons ------------------------------------------------------------------------------------------------------

    def keep(self) -> None:
        """Execute the backtest notebook with these values, as `atb run` does, and register the run."""
        self._guarded(self._keep)

    def _keep(self) -> None:
        from atb.workbench.explorer.keeping import keep

        self._say("The backtest notebook runs with these values: half a minute ...")
        self.kept = keep(self.notebook, self.values, shown=self._shown())
        self._say(f"Kept as run {self.kept.run_id}, with these figures. Its report: {self.kept.path}/report.html")

    def as_notebook(self) -> Path | None:
        """Write a copy of the backtest notebook with these values as its defaults, and return where it is."""
        written: list[Path] = []
        self._guarded(lambda: written.append(self._write_notebook()))
        return written[0] if written else None

    def _write_notebook(self) -> Path:
        from atb.workbench.explorer.keeping import write_notebook

        self._shown()
        path = write_notebook(self.notebook, self.values, folder=Path.cwd())
        self._say(f"Written: {path}")
        return path

    def promote(self) -> None:
        """Keep these values if they are not kept yet, and let the gate judge the run for paper."""
        self._guarded(self._promote)

    def _promote(self) -> None:
        from atb.workbench.runs import promote_to_paper

        if self.kept is None:
            self._keep()
        assert self.kept is not None  # or it was refused
        promoted = promote_to_paper(self.kept.run_id)  # its notebook ran by itself: that at hand is not asked
        self._say(f"Promoted to paper: {promoted.path}\nStart it: python runners/live.py {promoted.path}")

    def _shown(self) -> "Result":
        """Return the result on the screen.

        Raises
        ------
        InputError
            If it is not that of the values in the widgets, because these could not be run.
        """
        self._run()
        assert self.result is not None  # or it was refused
        return self.result

    # --- display ------------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        import ipywidgets

        self._text = ipywidgets.HTML()
        self.buttons = {
            name: ipywidgets.Button(description=text, tooltip=hint, button_style=style)
            for name, text, hint, style in (
                ("keep", "Keep", "Execute the backtest notebook with these values, and register the run", "primary"),
                ("notebook", "As notebook", "Write a copy of the backtest notebook with these values", ""),
                ("promote", "Promote to paper", "Keep it, and let the gate judge it for paper trading", ""),
            )
        }
        for name, action in (("keep", self.keep), ("notebook", self.as_notebook), ("promote", self.promote)):
            self.buttons[name].on_click(lambda _, action=action: action())
        buttons = ipywidgets.HBox(list(self.buttons.values()))
        right = ipywidgets.VBox([self._text, self._view.box, buttons], layout={"flex": "1 1 400px", "min_width": "0"})
        self.widget = ipywidgets.HBox([self._controls.box, right], layout={"flex_flow": "row wrap"})

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Show the widgets; where there are none, as in a saved page, the result's card with its picture."""
        bundle = dict(self.widget._repr_mimebundle_())
        bundle["text/plain"] = repr(self)
        return bundle | ({"text/html": self.result._repr_html_()} if self.result is not None else {})

    def __repr__(self) -> str:
        """Return the result that is shown, in a line."""
        return f"<Explorer of {self.result.headline if self.result is not None else self.message}>"


def _stored() -> tuple[list[str], tuple[str, str]]:
    """Return the stored symbols, and symbol and timeframe of the first series; real ones come first."""
    from atb.data.catalogue.series import MARK, all_series
    from atb.domain.bars import SYNTHETIC
    from atb.workbench.market import ensure_sample

    ensure_sample()
    found = [series for series in all_series(load_settings().bars_root) if not series.venue.endswith(MARK)]
    found.sort(key=lambda series: series.venue == SYNTHETIC)
    if not found:
        raise InputError("No series of bars is stored", todo="atb data download, or atb data import")
    return list(dict.fromkeys(str(series.symbol) for series in found)), (str(found[0].symbol), str(found[0].timeframe))


def _canonical(symbol: str, timeframe: str) -> tuple[str, str]:
    from atb.domain import Symbol, Timeframe

    return str(Symbol.parse(symbol)), str(Timeframe.parse(timeframe))


def _first_values(notebook: Path, rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return the notebook's defaults with the given rules; those without a widget of their own become JSON."""
    import json

    from atb.experiments.parameters import read_parameters
    from atb.workbench.rules import make_rules

    make_rules(rules)
    values = {parameter.name: parameter.default for parameter in read_parameters(notebook)}
    own = {*(name for name, *_ in RULES), "cash"}
    others = {name: value for name, value in rules.items() if name not in own}
    return values | {name: rules[name] for name in own & {*rules}} | {POLICY: json.dumps(others) if others else ""}


def _parameters_of(strategy: str) -> Any:
    from atb.workbench.strategies import listed_strategy

    return listed_strategy(strategy, load_settings()).parameters
