"""Screens: the same signals through vectorbt's `Portfolio.from_signals`, to rank many columns at once; never evidence.

A screen has vectorbt's broadcasting, indicators and statistics, and vectorbt's fill rules; `Screen.fill_rules` says where they
differ from the kernel's. It cannot be published or promoted: `backtest.sweep` and `backtest.run` decide.
"""

import html
import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from atb.backtest import vectorbt_settings
from atb.backtest.span import Holes
from atb.decimals import counted
from atb.domain.bars import Bars
from atb.engine.checks import check_choice, check_number
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.errors import InputError, SetupError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import numpy as np
    import pandas as pd
    import vectorbt as vbt
    from numpy.typing import NDArray

    from atb.backtest.result import Result
    from atb.domain.ports import Strategy
    from atb.domain.signals import Signals

    Given = Signals | Strategy | Sequence[Strategy] | pd.DataFrame | pd.Series[float] | NDArray[np.floating[Any]]

NOTICE = "A screen ranks; it is never evidence."
ENGINES = ("auto", "numba", "rust")
YEAR = "365 days"
SHOWN = 10  # columns of a ranking that is printed


@dataclass(frozen=True, eq=False)
class Screen:
    """One vectorbt portfolio per column of signals, and how it was filled.

    Parameters
    ----------
    portfolio
        vectorbt's own, with all its statistics and plots.
    fill_rules
        How orders were filled and where that differs from the kernel, in sentences.
    label
        Of the bars.
    missing
        Bars that are missing between the first and the last one.
    """

    portfolio: "vbt.Portfolio"
    fill_rules: tuple[str, ...]
    label: str
    missing: int = 0

    @cached_property
    def ranking(self) -> "pd.DataFrame":
        """One row per column, the highest return first: `total_return_pct`, `sharpe`, `max_drawdown_pct` (positive), `n_trades`.

        Ratios are annualised by a year of 365 days; `n_trades` counts closed round trips.
        """
        import pandas as pd

        portfolio = self.portfolio
        table = pd.DataFrame(
            {
                "total_return_pct": 100 * portfolio.total_return(),
                "sharpe": portfolio.sharpe_ratio(year_freq=YEAR) if not self.missing else self._sharpe(),
                "max_drawdown_pct": -100 * portfolio.max_drawdown(),
                "n_trades": portfolio.positions.closed.count().astype(int),
            }
        )
        return table.sort_values("total_return_pct", ascending=False, kind="stable")

    def _sharpe(self) -> "pd.Series[float]":
        """Return the Sharpe ratios by the clock: the return of a period without a bar is 0."""
        import pandas as pd

        returns = self.portfolio.returns()
        periods = len(returns) + self.missing
        mean = returns.sum() / periods
        deviation = (((returns**2).sum() - periods * mean**2) / (periods - 1)) ** 0.5
        a_year = pd.Timedelta(YEAR) / self.portfolio.wrapper.freq
        return pd.Series(mean / deviation * a_year**0.5)

    def compare(self, result: "Result", column: "Hashable | None" = None) -> "pd.DataFrame":
        """Return the round trips of one column beside those of a kernel's result on the same bars, with what sets them apart.

        Parameters
        ----------
        result
            Of `backtest.run` or `Sweep.run`, of one slot.
        column
            Which column; may be left out where there is only one.

        Raises
        ------
        InputError
            If there is no such column, or the result is of other bars.
        """
        from atb.backtest.agreement import side_by_side

        columns = list(self.portfolio.wrapper.columns)
        if column is None and len(columns) == 1:
            column = columns[0]
        if column not in columns:
            raise InputError("The screen has no such column", found=column, todo=f"One of {columns[:SHOWN]}")
        return side_by_side(self.portfolio, columns.index(column), result)

    def __repr__(self) -> str:
        """Return the notice, the best columns and the fill rules."""
        best = self.ranking.head(SHOWN).to_string(float_format="{:,.2f}".format)
        return "\n".join([NOTICE, f"{self.label}: {self._count}", best, *self.fill_rules])

    def _repr_html_(self) -> str:
        """Return the same as a card for notebooks."""
        best = self.ranking.head(SHOWN).to_html(float_format="{:,.2f}".format, border=0)
        rules = "".join(f"<li>{html.escape(rule)}</li>" for rule in self.fill_rules)
        return (
            f"<div><b>{html.escape(NOTICE)}</b><div>{html.escape(f'{self.label}: {self._count}')}</div>{best}"
            f"<ul style='font-size:12px'>{rules}</ul></div>"
        )

    @property
    def _count(self) -> str:
        columns = len(self.ranking)
        return f"{columns} columns, the best {SHOWN} by return" if columns > SHOWN else counted(columns, "column")


def screen(
    signals: "Given",
    bars: Bars,
    *,
    policy: RiskPolicy | None = None,
    execution: ExecutionModel | None = None,
    cash: float = 10_000.0,
    engine: str = "auto",
    start: "pd.Timestamp | None" = None,
    **options: Any,
) -> Screen:
    """Hand signals to vectorbt's `Portfolio.from_signals`, set as near to the kernel as it can be.

    Parameters
    ----------
    signals
        A strategy or several, `Signals`, or sides (1, 0, -1, NaN) as a frame or array with one column per combination; stamped
        at the closes of `bars` and never shifted.
    bars
        What is traded.
    policy, execution
        Sizing and protection; costs. Only what `from_signals` can follow.
    cash
        Of each column, in quote.
    engine
        vectorbt's: `numba`, `rust` (compiled beforehand), or `auto`, which takes Rust where it is installed.
    start
        Bars that open before it only warm indicators up.
    options
        Further arguments of `from_signals`, other than those that the above settle.

    Raises
    ------
    InputError
        If the policy has rules that `from_signals` cannot follow (all are named), the sides do not fit the bars, or an option is
        unknown or settled already.
    SetupError
        If `rust` is asked for and not installed.
    """
    from atb.backtest.recording import record_screen
    from atb.backtest.signal_frame import sides_frame

    policy, execution = policy or RiskPolicy(), execution or ExecutionModel()
    check_number("cash", cash, low=1e-6, high=1e15)
    _check_engine(engine)
    if wrong := vectorbt_settings.uncarried(policy, execution):
        raise InputError(
            "vectorbt's from_signals cannot follow these rules",
            found="; ".join(wrong),
            todo="Screen without them, or use backtest.sweep, which has them all",
        )
    traded = bars.slice(start)
    if not len(traded):
        raise InputError("No bar to trade", found=f"start={start}", todo="Choose an earlier start")
    given = sides_frame(signals, bars)
    sides = given.loc[traded.frame.index]
    settled = _settings(sides, traded, policy=policy, execution=execution) | {"init_cash": cash, "engine": engine}
    _check_options(options, settled)
    from vectorbt import Portfolio

    portfolio = Portfolio.from_signals(**settled, **options)
    holes = Holes.of(traded, 0)
    rules = vectorbt_settings.fill_rules(policy, execution)
    made = Screen(portfolio, rules, bars.label, missing=holes.missing if holes else 0)
    terms = (policy, execution, cash)
    record_screen(signals, given, traded, ranking=made.ranking, portfolio=portfolio, terms=terms)
    return made


def _settings(sides: "pd.DataFrame", bars: Bars, *, policy: RiskPolicy, execution: ExecutionModel) -> dict[str, Any]:
    """Return every argument of `from_signals` that a screen settles, but for cash and engine."""
    import pandas as pd

    given = vectorbt_settings.signals(sides, policy)
    prices = {name: bars.frame[name].to_numpy(copy=True)[:, None] for name in ("open", "high", "low", "close")}
    short = given["short_entries"].to_numpy()
    return {
        **prices,
        **given,
        **vectorbt_settings.size(policy, execution, bars=bars.frame, short=short),
        **vectorbt_settings.stops(policy),
        "price": prices["open"],
        "fees": execution.fee,
        "slippage": execution.slippage,
        "accumulate": False,
        "freq": pd.Timedelta(seconds=bars.timeframe.seconds),
    }


def _check_engine(engine: str) -> None:
    from importlib.util import find_spec

    check_choice("engine", engine, ENGINES)
    if engine == "rust" and find_spec("vectorbt_rust") is None:
        raise SetupError(
            "vectorbt's Rust engine is not installed", todo="Install the extra research, or use engine='numba'"
        )


def _check_options(options: dict[str, Any], settled: dict[str, Any]) -> None:
    from vectorbt import Portfolio

    known = set(inspect.signature(Portfolio.from_signals).parameters) - {"kwargs", "direction", "signal_func_nb"}
    for name in options:
        if name in settled:
            raise InputError("A screen settles this itself", found=name, todo="Use vectorbt directly to change it")
        if name not in known:
            raise InputError(
                "from_signals has no such option", found=name, todo=did_you_mean(name, known - set(settled))
            )
