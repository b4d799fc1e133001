"""The engines that can be measured: what each must offer, by which rules it fills, and what it needs installed."""

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from atb.bench.workload import Combination, Market


@dataclass(frozen=True)
class Rules:
    """The two rules in which engines that fill at the next open still differ.

    Parameters
    ----------
    entry_bar
        Whether stop and target are live in the bar in which the position was opened.
    exit_first
        Whether an exit due at a bar's open goes before a stop or target that the same bar reaches later.
    """

    entry_bar: bool = True
    exit_first: bool = True


@dataclass
class Found:
    """What an engine found, for comparison: a value per combination, and the closed trades where there is one of them.

    A trade is (row of the entry's bar, row of the exit's bar, entry price, exit price, quantity); with several markets the
    rows of the second one follow those of the first.
    """

    final_equity: list[float] = field(default_factory=list)
    trades_closed: list[int] = field(default_factory=list)
    max_drawdown: list[float] = field(default_factory=list)
    trades: list[list[float]] = field(default_factory=list)

    def extend(self, other: "Found") -> None:
        """Append what was found for the next combinations."""
        self.final_equity += other.final_equity
        self.trades_closed += other.trades_closed
        self.max_drawdown += other.max_drawdown

    def to_json(self) -> dict[str, Any]:
        """Return the lists by name; Python prints floats so that they read back to the same bits."""
        return asdict(self)


class Engine(ABC):
    """One backtester. `load` and `found` are not timed; `single`, `several` and `many` are."""

    rules: ClassVar[Rules] = Rules()
    chunk: ClassVar[int | None] = None  # combinations per call of `many`; None takes all at once

    @abstractmethod
    def load(self, market: Market) -> Any:
        """Import what is needed and return the bars in the engine's own form."""

    @abstractmethod
    def single(self, data: Any, *, tables: bool = False) -> Any:
        """Return one backtest with its trades, its equity and its largest drawdown computed; `tables` makes them readable."""

    @abstractmethod
    def several(self, data: Sequence[Any]) -> Any:
        """Return one backtest of the rule on several markets, each position worth `STAKE`, paid from one account."""

    @abstractmethod
    def many(self, data: Any, combinations: Sequence[Combination]) -> Any:
        """Return final equity, number of trades and largest drawdown of each combination."""

    @abstractmethod
    def found(self, raw: Any) -> Found:
        """Return what `single` or `many` returned, in the form that all engines share."""


@dataclass(frozen=True)
class Listed:
    """Where an engine is, which modules it needs, and which target of make installs them."""

    place: str
    needs: tuple[str, ...] = ()
    target: str = "setup"


ENGINES: dict[str, Listed] = {
    "atb": Listed("atb.bench.subject:Atb"),
    "bare loop": Listed("atb.bench.bare:BareLoop"),
    "vectorbt numba": Listed("atb.bench.vectorbt_peer:VectorbtNumba", ("vectorbt",)),
    "vectorbt rust": Listed("atb.bench.vectorbt_peer:VectorbtRust", ("vectorbt", "vectorbt_rust")),
    "backtesting.py": Listed("atb.bench.backtesting_peer:BacktestingPy", ("backtesting",), "bench-setup"),
}


def make_engine(name: str) -> Engine:
    """Import and return an engine by its name in `ENGINES`."""
    module, _, attribute = ENGINES[name].place.partition(":")
    engine: Engine = getattr(importlib.import_module(module), attribute)()
    return engine


def missing_engines() -> list[str]:
    """Return the names of the engines that cannot be measured here, because a package is not installed."""
    return [
        name
        for name, listed in ENGINES.items()
        if any(importlib.util.find_spec(module) is None for module in listed.needs)
    ]
