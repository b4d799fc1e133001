"""Strategies side by side on the same bars: each beside holding and beside its own positions at random times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from atb.domain import Bars, Strategy, Symbol
from atb.errors import AtbError, InputError
from atb.workbench.rules import BacktestRules
from atb.workbench.slots import Period, prepare_slot

if TYPE_CHECKING:
    import pandas as pd

    from atb.backtest import Result

COLUMNS = ("strategy", "symbol", "total_return_pct", "hold_return_pct", "sharpe", "hold_sharpe", "max_drawdown_pct", "n_trades",
           "exposure_time_pct", "random_beaten_pct", "random_p5_pct", "random_p95_pct")  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Results of strategies on symbols, and why some are missing.

    Parameters
    ----------
    results
        By strategy and symbol: its name, with the parameters in which it differs from others of that name.
    left_out
        Why a strategy could not be run on a symbol, by both: a model or an input that is not there.
    """

    results: "Mapping[tuple[str, str], Result]"
    left_out: Mapping[tuple[str, str], str]

    @cached_property
    def table(self) -> "pd.DataFrame":
        """One row per result, the highest return of each symbol first.

        `random_beaten_pct` is the share of runs with the same positions at random times that returned less, and the two columns
        after it hold the middle 90 % of those runs; NaN where a position was held throughout, or none was.
        """
        import pandas as pd

        rows = [_row(strategy, symbol, result) for (strategy, symbol), result in self.results.items()]
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        return table.sort_values(["symbol", "total_return_pct"], ascending=[True, False], ignore_index=True)

    @property
    def bars(self) -> list[Bars]:
        """The bars of each symbol."""
        found = {symbol: result.bars[0] for (_, symbol), result in self.results.items()}
        return list(found.values())

    @property
    def label(self) -> str:
        """Title of the figure: which markets, when."""
        periods = {
            symbol: f"{result.bars[0].label}, {result.index[0]:%Y-%m-%d} to {result.index[-1]:%Y-%m-%d}"
            for (_, symbol), result in self.results.items()
        }
        return "; ".join(periods.values())

    @property
    def verdict(self) -> str:
        """How many earned more than holding, and how many have a timing that chance seldom has."""
        table = self.table
        better = int((table["total_return_pct"] > table["hold_return_pct"]).sum())
        calmer = int((table["sharpe"] > table["hold_sharpe"]).sum())
        timed = int((table["random_beaten_pct"] >= 95.0).sum())
        chances = int(table["random_beaten_pct"].notna().sum())
        return (
            f"Of {len(table)} results {better} returned more than holding, {calmer} had a higher Sharpe ratio, and {timed} beat "
            f"95 % of the runs with the same positions at random times, where chance alone gives about {chances * 0.05:.0f}"
        )


def compare_strategies(
    strategies: Sequence[Strategy],
    symbols: Sequence[str],
    timeframe: str,
    *,
    period: Period | None = None,
    venue: str | None = None,
    rules: BacktestRules | None = None,
) -> Comparison:
    """Backtest every strategy on every symbol, each on an account of its own; of two symbols a pair reads the other one.

    A strategy that sells short may do so here whatever the rules say; a spot account cannot.

    Parameters
    ----------
    strategies
        Whose defaults or parameters are compared.
    symbols, timeframe, period, venue
        As for `prepare_slot`.
    rules
        Sizing and protection, costs and account, the same for all.
    """
    from atb.backtest import run

    rules = rules or BacktestRules()
    results, left_out = {}, {}
    for place, symbol in enumerate(symbols):
        for name, given in zip(_names(strategies), strategies, strict=True):
            strategy = _leg(given, symbols, place)
            shorts = bool(getattr(strategy, "shorts", False))
            policy = replace(rules.policy, allow_short=rules.policy.allow_short or shorts)
            common: dict[str, Any] = {"period": period, "venue": venue, "policy": policy, "execution": rules.execution}
            try:
                slot, start = prepare_slot(strategy, symbol, timeframe, **common)
                result = run(slot, account=rules.account, start=start)
            except AtbError as error:
                left_out[name, symbol] = f"{error.wrong}{f' ({error.found})' if error.found is not None else ''}"
                continue
            results[name, str(slot.bars.symbol)] = result
    return Comparison(results, left_out)


def _leg(strategy: Strategy, symbols: Sequence[str], place: int) -> Strategy:
    """Return the strategy for one of the symbols: a pair's leg on it, which reads the other symbol; else the strategy itself."""
    from atb.domain.declaration import legs_of

    try:
        return legs_of(strategy, [Symbol.parse(symbol) for symbol in symbols])[place]
    except InputError:  # a pair, and more symbols than two
        return strategy


def _names(strategies: Sequence[Strategy]) -> list[str]:
    """Return the name of each strategy; where several have it, with the parameters in which they differ."""
    from atb.strategies import differing_params

    found = {}
    for name in {one.name for one in strategies}:
        namesakes = [one for one in strategies if one.name == name]
        found[name] = iter(differing_params(namesakes) if len(namesakes) > 1 else [{}])
    own = [(one.name, [f"{key}={value}" for key, value in next(found[one.name]).items()]) for one in strategies]
    return [f"{name} {', '.join(differing)}".strip() for name, differing in own]


def _row(strategy: str, symbol: str, result: "Result") -> list[object]:
    stats, hold, chance = result.stats, result.baselines["hold"], result.random_entry
    low, high = chance.span("total_return_pct") if chance.varies else (float("nan"), float("nan"))
    beaten = 100.0 * chance.beaten / chance.runs if chance.varies else float("nan")
    own = [stats["max_drawdown_pct"], int(stats["n_trades"]), stats["exposure_time_pct"]]
    ratios = [stats["total_return_pct"], hold["total_return_pct"], stats["sharpe"], hold["sharpe"]]
    return [strategy, symbol, *ratios, *own, beaten, low, high]
