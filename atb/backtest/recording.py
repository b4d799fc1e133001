"""Hands backtests, sweeps and screens to the trials ledger, before anyone sees their results."""

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from atb.domain.declaration import legs_of
from atb.domain.ports import Strategy
from atb.engine.kernel_input import KernelInput
from atb.engine.policy import RiskPolicy
from atb.engine.records import Floats
from atb.strategies.from_signals import strategies_from
from atb.trials.description import described, of_slots, plain
from atb.trials.recording import Rows, Setting, kept_series, record

if TYPE_CHECKING:
    import pandas as pd

    from atb.backtest.result import Result
    from atb.domain.bars import Bars

FIGURES = ("sharpe", "total_return_pct", "n_trades")
EVERY_S = 1.0  # between a sweep's writes: a killed one loses its trials since the last, whose results it never returned


def record_run(result: "Result") -> None:
    """Record one backtest."""
    slots, setting = result.slots, Setting.of(result.inputs)
    rows = Rows(
        {"each": [of_slots([slot.strategy for slot in slots], slots)]},
        {"each": [of_slots([slot.policy for slot in slots], slots)]},
        cells=np.zeros((1, 2)),
        figures={name: result.figures[name] for name in FIGURES},
        kept=np.zeros(1, np.int64),
        equity=result.outcome.equity[setting.grid.rows][None],
    )
    record("run", setting, rows)


class SweepTrials:
    """Records a sweep's combinations as they are done: each strategy with each policy, the policy changing fastest.

    Parameters
    ----------
    strategies, policies
        What is combined.
    """

    def __init__(self, strategies: Sequence[Strategy], policies: Sequence[RiskPolicy]) -> None:
        self._strategies, self._policies = strategies, policies
        self._kept = kept_series(len(strategies) * len(policies))
        self._places = {combination: place for place, combination in enumerate(self._kept.tolist())}
        self._recorded = np.zeros(len(strategies) * len(policies), bool)
        self._inputs: KernelInput | None = None
        self._scratch, self._last = threading.local(), time.monotonic()

    def begin(self, inputs: KernelInput) -> None:
        """Take the bars, costs and account that all combinations share, from the first that was prepared."""
        if self._inputs is None:
            self._inputs, self._setting = inputs, Setting.of(inputs)
            self._equity = np.zeros((len(self._kept), len(self._setting.grid.rows)))

    def curve(self, combination: int) -> Floats | None:
        """Return where a combination's account values (C,) are to be written; None for one whose returns are not kept."""
        if combination not in self._places:
            return None
        if not hasattr(self._scratch, "values"):
            self._scratch.values = np.empty(len(self._setting.closes))
        return self._scratch.values  # type: ignore[no-any-return] # of this thread

    def keep(self, combination: int, curve: Floats | None) -> None:
        """Keep what was written, at the ends of days."""
        if curve is not None:
            np.take(curve, self._setting.grid.rows, out=self._equity[self._places[combination]])

    @property
    def due(self) -> bool:
        """Whether it is time to write what is done."""
        return time.monotonic() - self._last >= EVERY_S

    def write(self, done: NDArray[np.bool_], figures: Any) -> None:
        """Record the combinations that are done and were not recorded yet.

        Parameters
        ----------
        done
            (N,) which are.
        figures
            Gives the figures of merit of combinations, given by their numbers.
        """
        self._last = time.monotonic()
        new = np.flatnonzero(done & ~self._recorded)
        if not len(new):
            return
        strategies, policies = np.divmod(new, len(self._policies))
        used, first = np.unique(strategies, return_inverse=True)
        chosen, second = np.unique(policies, return_inverse=True)
        found, kept = figures(new), np.isin(self._kept, new)
        rows = Rows(
            self._described([self._strategies[k] for k in used]),
            described([self._policies[k] for k in chosen]),
            cells=np.column_stack([first, second]),
            figures={name: found[name] for name in FIGURES},
            kept=np.searchsorted(new, self._kept[kept]),
            equity=self._equity[kept],
        )
        record("sweep", self._setting, rows)
        self._recorded[new] = True

    def _described(self, strategies: list[Strategy]) -> Any:
        assert self._inputs is not None  # something is done
        slots = self._inputs.slots
        if len(slots) == 1:
            return described(strategies)
        symbols = [slot.bars.symbol for slot in slots]
        return {"each": [of_slots(legs_of(strategy, symbols), slots) for strategy in strategies]}


def record_screen(
    given: Any,
    sides: "pd.DataFrame",
    traded: "Bars",
    *,
    ranking: "pd.DataFrame",
    portfolio: Any,
    terms: tuple[Any, ...],
) -> None:
    """Record the columns of a screen; its account's values are vectorbt's.

    Parameters
    ----------
    given, sides
        Strategies or sides as the screen was given them, and the sides of all bars that were made of them, by column.
    traded
        The bars that were traded.
    ranking, portfolio
        The screen's figures by column, and vectorbt's portfolio.
    terms
        Policy, costs, and cash of each column.
    """
    policy, execution, cash = terms
    ranked = ranking.loc[portfolio.wrapper.get_columns()]
    setting = Setting((traded,), int(traded.opened_ms[0]), traded.closed_ms, cash, {"cash": cash}, plain(execution))
    kept = kept_series(len(ranked))
    values = portfolio.value().to_numpy()[setting.grid.rows]
    rows = Rows(
        _screened(given, sides, len(ranked)),
        described([policy]),
        cells=np.column_stack([np.arange(len(ranked)), np.zeros(len(ranked))]),
        figures={name: ranked[name].to_numpy() for name in FIGURES},
        kept=kept,
        equity=np.ascontiguousarray(values.reshape(len(values), -1)[:, kept].T),
    )
    record("screen", setting, rows)


def _screened(given: Any, sides: "pd.DataFrame", count: int) -> Any:
    """Return a description of each column of a screen; of a portfolio of several columns, all of them."""
    strategies = [given] if isinstance(given, Strategy) else given
    if not (isinstance(strategies, Sequence) and all(isinstance(one, Strategy) for one in strategies)):
        strategies = strategies_from(sides)
    if len(strategies) == count:
        return described(strategies)
    whole = described(strategies)
    return {"each": [{"strategy": "portfolio", "number": number, "of": whole} for number in range(count)]}
