"""The explorer's widgets: data, strategy with a widget for each parameter, rules; what they hold is the values of a notebook."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from atb.errors import InputError

if TYPE_CHECKING:
    from atb.workbench.strategies import Parameter

SYMBOL, TIMEFRAME, DAYS, START, END = "symbol", "timeframe", "days", "start", "end"
MARKET = (SYMBOL, TIMEFRAME, DAYS, START, END)
# Name, largest value of the slider, step; 0 is off for the two that may be off.
RULES = (("fraction", 1.0, 0.05), ("stop_loss", 0.3, 0.005), ("take_profit", 0.5, 0.005), ("fee", 0.01, 0.0005),
         ("slippage", 0.01, 0.0005))  # fmt: skip
MAY_BE_OFF = ("stop_loss", "take_profit")
POLICY = "policy"
LONG_TEXT = 24  # characters, from which a text has a field of several lines
TIMES = 4  # a slider reaches so many times the default
_WIDE = {"description_width": "110px"}


class Controls:
    """The widgets, by name in `widgets`; `changed` is called after any of them took another value.

    Parameters
    ----------
    market
        Symbols and timeframes to choose from.
    strategies
        Names of strategies.
    parameters_of
        Gives the parameters of a strategy by its name.
    values
        The notebook's values to begin with.
    """

    def __init__(
        self, market: tuple[list[str], list[str]], strategies: list[str], *,
        parameters_of: "Callable[[str], tuple[Parameter, ...]]", values: Mapping[str, Any],
    ) -> None:  # fmt: skip
        import ipywidgets

        self._parameters_of, self._changed = parameters_of, _ignore
        self.widgets: dict[str, Any] = _market_widgets(market, values) | _rule_widgets(values)
        self.widgets["strategy"] = _dropdown("strategy", strategies, values["strategy"])
        self._rules = [name for name in self.widgets if name not in {*MARKET, "strategy"}]
        self._parameters = ipywidgets.VBox()
        self._show_parameters(values["params"])
        for name, widget in self.widgets.items():
            if name not in self.parameters:
                widget.observe(self._chosen if name == "strategy" else self._moved, names="value")
        self.box = self._laid_out()

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each move from now on."""
        self._changed = changed

    @property
    def values(self) -> dict[str, Any]:
        """The values of the widgets, as the backtest notebook's parameters.

        Raises
        ------
        InputError
            If the rules are no JSON object.
        """
        from atb.workbench.rules import read_rules

        held = {name: widget.value for name, widget in self.widgets.items()}
        rules = {name: held[name] for name, *_ in RULES}
        rules |= {name: rules[name] or None for name in MAY_BE_OFF}
        period = {name: held[name].strip() or None for name in (START, END)}
        market = {SYMBOL: held[SYMBOL], TIMEFRAME: held[TIMEFRAME], DAYS: held[DAYS], **period}
        params = {name: held[key] for key, name in self.parameters.items()}
        return {
            **market,
            "strategy": held["strategy"],
            "params": params,
            **rules,
            "cash": held["cash"],
            POLICY: read_rules(held[POLICY].strip()),
        }

    def _chosen(self, change: Any) -> None:
        self._show_parameters({})
        self._moved(change)

    def _moved(self, _: Any) -> None:
        self._changed()

    def _show_parameters(self, given: Mapping[str, Any]) -> None:
        """Make the widgets of the chosen strategy's parameters; a parameter named like another widget gets a dot before it."""
        import ipywidgets

        for key in getattr(self, "parameters", {}):
            self.widgets.pop(key).close()
        known = {one.name: one for one in self._parameters_of(self.widgets["strategy"].value)}
        self.parameters: dict[str, str] = {}
        rows = []
        for name, parameter in known.items():
            key = f".{name}" if name in self.widgets else name
            widget = parameter_widget(parameter, given.get(name, parameter.default))
            self.widgets[key], self.parameters[key] = widget, name
            widget.observe(self._moved, names="value")
            rows.append(widget)
        self._parameters.children = rows or [ipywidgets.Label("It has no parameters.")]

    def _laid_out(self) -> Any:
        import ipywidgets

        of = self.widgets
        return ipywidgets.VBox(
            [
                *(of[name] for name in MARKET),
                _heading("Strategy"),
                of["strategy"],
                self._parameters,
                _heading("Rules"),
                *(of[name] for name in self._rules),
            ],
            layout={"width": "370px", "flex": "0 0 auto"},
        )


def _ignore() -> None: ...


def _heading(text: str) -> Any:
    import ipywidgets

    return ipywidgets.HTML(f"<b>{text}</b>")


def _dropdown(name: str, options: list[str], value: str) -> Any:
    import ipywidgets

    if value not in options:
        from atb.errors import did_you_mean

        raise InputError(f"There is no such {name}", found=value, todo=did_you_mean(value, options))
    return ipywidgets.Dropdown(options=options, value=value, description=name, style=_WIDE)


def _market_widgets(market: tuple[list[str], list[str]], values: Mapping[str, Any]) -> dict[str, Any]:
    import ipywidgets

    symbols, timeframes = market
    days = ipywidgets.BoundedIntText(value=values[DAYS], min=1, max=36_500, description=DAYS, style=_WIDE)
    days.tooltip = "days to trade, back from the end; counts only without a start"
    texts = {
        name: ipywidgets.Text(value=values.get(name) or "", description=name, placeholder=hint, style=_WIDE,
                              continuous_update=False)
        for name, hint in ((START, "2024-01-31, UTC; empty: by days"), (END, "empty: the last stored bar"))
    }  # fmt: skip
    return {
        SYMBOL: _dropdown(SYMBOL, symbols, values[SYMBOL]),
        TIMEFRAME: _dropdown(TIMEFRAME, timeframes, values[TIMEFRAME]),
        DAYS: days,
        **texts,
    }


def _rule_widgets(values: Mapping[str, Any]) -> dict[str, Any]:
    import ipywidgets

    found: dict[str, Any] = {}
    for name, most, step in RULES:
        value = float(values[name] or 0.0)
        widget = ipywidgets.FloatSlider(
            value=value, min=0.0, max=max(most, value), step=step, description=name, readout_format=".4f", style=_WIDE
        )
        widget.tooltip = "a fraction, 0 is off" if name in MAY_BE_OFF else "a fraction"
        found[name] = widget
    cash = ipywidgets.FloatText(value=values["cash"], description="cash", style=_WIDE)
    others = ipywidgets.Textarea(
        value=values.get(POLICY) or "",
        description="other rules",
        placeholder='{"trailing_stop": 0.03, "daily_loss": 0.02}',
        rows=2,
        style=_WIDE,
        continuous_update=False,
    )
    return {**found, "cash": cash, POLICY: others}


def parameter_widget(parameter: "Parameter", value: Any) -> Any:
    """Return the widget of a strategy's parameter: a slider for a number, a box for a choice, a field for a text.

    A slider goes from the lower of 0 and the default to `TIMES` the default; what the strategy itself refuses, it says.
    """
    import ipywidgets

    common: dict[str, Any] = {"description": parameter.name, "style": _WIDE}
    default = parameter.default
    if parameter.kind == "bool":
        widget = ipywidgets.Checkbox(value=value, indent=False, description=parameter.name)
    elif parameter.kind == "int":
        ends = sorted((min(0, default, value), max(10, TIMES * default, value)))
        widget = ipywidgets.IntSlider(value=value, min=ends[0], max=ends[1], **common)
    elif parameter.kind == "float":
        most = max(TIMES * abs(default), abs(value)) or 1.0
        least = 0.0 if min(default, value) >= 0 else -most
        step = 10.0 ** round(_magnitude(most) - 2)
        widget = ipywidgets.FloatSlider(value=value, min=least, max=most, step=step, readout_format=".4g", **common)
    else:
        kind = ipywidgets.Textarea if len(str(default)) > LONG_TEXT or "\n" in str(default) else ipywidgets.Text
        widget = kind(value=str(value), continuous_update=False, **common)
    widget.tooltip = parameter.meaning or parameter.name
    return widget


def _magnitude(value: float) -> float:
    import math

    return math.floor(math.log10(value))
