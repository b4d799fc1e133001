"""The engines that can be measured: their interface, their fill rules, and the packages they need."""

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from atb.bench.workload import BenchParameters, GeneratedBars


@dataclass(frozen=True)
class FillRules:
    """The two fill rules in which engines that fill at the next open still differ.

    Parameters
    ----------
    entry_bar
        Whether stop and target are active in the entry bar.
    exit_first
        Whether an exit due at a bar's open fills before a stop or target reached later in the same bar.
    """

    entry_bar: bool = True
    exit_first: bool = True


@dataclass
class EngineResult:
    """An engine's results, for comparison: one value per combination, and the closed trades if there is only one.

    A trade is (row of the entry's bar, row of the exit's bar, entry price, exit price, quantity); with several markets their
    rows are numbered one after the other.
    """

    final_equity: list[float] = field(default_factory=list)
    trades_closed: list[int] = field(default_factory=list)
    max_drawdown: list[float] = field(default_factory=list)
    trades: list[list[float]] = field(default_factory=list)

    def extend(self, other: "EngineResult") -> None:
        """Append the results of further combinations."""
        self.final_equity += other.final_equity
        self.trades_closed += other.trades_closed
        self.max_drawdown += other.max_drawdown

    def to_json(self) -> dict[str, Any]:
        """Return the lists by name; floats keep every bit through JSON."""
        return asdict(self)


class Engine(ABC):
    """One backtester. `single`, `several` and `many` are timed; `load` and `result` are not."""

    rules: ClassVar[FillRules] = FillRules()
    chunk: ClassVar[int | None] = None  # combinations per call of `many`; None takes all at once

    @abstractmethod
    def load(self, market: GeneratedBars) -> Any:
        """Import what is needed and return the bars in the engine's own form."""

    @abstractmethod
    def single(self, data: Any, *, tables: bool = False) -> Any:
        """Return one backtest with its trades, its equity and its largest drawdown computed; `tables` makes them readable."""

    @abstractmethod
    def several(self, data: Sequence[Any]) -> Any:
        """Return one backtest of the rule on several markets on one account, each position worth `STAKE`."""

    @abstractmethod
    def many(self, data: Any, combinations: Sequence[BenchParameters]) -> Any:
        """Return final equity, number of trades and largest drawdown of each combination."""

    @abstractmethod
    def result(self, raw: Any) -> EngineResult:
        """Return the results of `single`, `several` or `many` in the form shared by all engines."""


@dataclass(frozen=True)
class EngineEntry:
    """Where an engine is defined, which modules it needs, and which make target installs them."""

    place: str
    needs: tuple[str, ...] = ()
    target: str = "setup"


ENGINES: dict[str, EngineEntry] = {
    "atb": EngineEntry("atb.bench.subject:Atb"),
    "bare loop": EngineEntry("atb.bench.bare:BareLoop"),
    "vectorbt numba": EngineEntry("atb.bench.vectorbt_peer:VectorbtNumba", ("vectorbt",)),
    "vectorbt rust": EngineEntry("atb.bench.vectorbt_peer:VectorbtRust", ("vectorbt", "vectorbt_rust")),
    "backtesting.py": EngineEntry("atb.bench.backtesting_peer:BacktestingPy", ("backtesting",), "bench-setup"),
}


def make_engine(name: str) -> Engine:
    """Import and return an engine by its name in `ENGINES`."""
    module, _, attribute = ENGINES[name].place.partition(":")
    engine: Engine = getattr(importlib.import_module(module), attribute)()
    return engine


def missing_engines() -> list[str]:
    """Return the engines that cannot be measured because a package is not installed."""
    return [
        name
        for name, listed in ENGINES.items()
        if any(importlib.util.find_spec(module) is None for module in listed.needs)
    ]
