"""Records trials as they are made: what they share, and one row for each."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb import __version__
from atb.domain.bars import Bars
from atb.engine.cache import kernel_hash
from atb.engine.kernel_input import KernelInput
from atb.trials.days import DayGrid, Floats, compress, day_returns
from atb.trials.description import of_slots, plain
from atb.trials.frames import FORM, Frame
from atb.trials.writing import WRITER

KINDS = ("run", "sweep", "screen", "explore")
SERIES = 32  # of a recording, at least, whose returns are kept; of more trials every SHARE-th, evenly spread
SHARE = 32
MOST_SERIES = 512
_kind: ContextVar[str | None] = ContextVar("kind of trial", default=None)


@contextmanager
def recording_as(kind: str) -> Iterator[None]:
    """Record the trials of a block under another name, such as `explore`: a person looked at each of them."""
    token = _kind.set(kind)
    try:
        yield
    finally:
        _kind.reset(token)


def kept_series(trials: int) -> NDArray[np.int64]:
    """Return the rows of so many trials whose returns are kept, evenly spread.

    A combination of a sweep costs a fraction of a millisecond; keeping its account's value at each close costs a fifth of that. So
    a large sweep keeps a sample, from which `effective_number` judges how alike all of them are. Every trial keeps its Sharpe
    ratio, and `Sweep.run` of a row records its returns.
    """
    most = int(np.clip(trials // SHARE, SERIES, MOST_SERIES))
    if trials <= most:
        return np.arange(trials)
    return np.unique(np.linspace(0, trials - 1, most).astype(np.int64))


@dataclass(frozen=True)
class Setting:
    """The common part of trials that were made together.

    Parameters
    ----------
    bars
        Of each slot, warm-up included.
    first_ms
        Open of the first traded bar, epoch milliseconds.
    closes
        (C,) times at which equity is known, epoch milliseconds, increasing.
    cash
        Starting cash, in quote.
    account, costs
        As JSON types.
    models
        Fingerprints of the models that predicted.
    """

    bars: tuple[Bars, ...]
    first_ms: int
    closes: NDArray[np.int64]
    cash: float
    account: Any
    costs: Any
    models: tuple[str, ...] = ()
    grid: DayGrid = field(init=False)

    def __post_init__(self) -> None:
        """Lay the grid of days."""
        object.__setattr__(self, "grid", DayGrid.of(self.closes))

    @classmethod
    def of(cls, inputs: KernelInput) -> "Setting":
        """Return the setting of a backtest."""
        slots, account = inputs.slots, inputs.account
        models = tuple(slot.predictor.fingerprint for slot in slots if slot.predictor and slot.strategy.predicts)
        costs = of_slots([slot.execution for slot in slots], slots)
        first = int(inputs.bar_columns.opened.min())
        bars = tuple(slot.bars for slot in slots)
        return cls(bars, first, inputs.closes, account.cash, plain(account), costs, models)


@dataclass(frozen=True)
class Rows:
    """One row for each of N trials.

    Parameters
    ----------
    strategies, policies
        The distinct ones, as `described` gives them.
    cells
        (N, 2) numbers into both.
    figures
        (N,) values: `sharpe` (annualised by a year of 365 days), `total_return_pct`, `n_trades`.
    kept
        (M,) which of the N have their equity given.
    equity
        (M, D) account value in quote at the end of each day of the grid.
    """

    strategies: Any
    policies: Any
    cells: NDArray[Any]
    figures: Mapping[str, NDArray[Any]]
    kept: NDArray[np.int64]
    equity: Floats


def record(kind: str, setting: Setting, rows: Rows) -> None:
    """Append trials to the ledger; a disk that refuses them is a warning, never an error.

    Parameters
    ----------
    kind
        One of `KINDS`; `recording_as` overrides it.
    """
    header = {
        "form": FORM,
        "kind": _kind.get() or kind,
        "at": time.time_ns() // 1_000_000,
        "atb": __version__,
        "kernel": kernel_hash(),
        "markets": [_market(bars) for bars in setting.bars],
        "first": setting.first_ms,
        "end": int(setting.closes[-1]),
        "account": setting.account,
        "costs": setting.costs,
        "models": list(setting.models),
        "strategies": rows.strategies,
        "policies": rows.policies,
    }
    arrays = {"cells": rows.cells.astype(np.uint32), "kept": rows.kept.astype(np.uint32)}
    arrays |= {name: np.asarray(values, np.float64) for name, values in rows.figures.items()}
    arrays |= {"days": setting.grid.days.astype(np.int32), **compress(day_returns(rows.equity, setting.cash))}
    WRITER.append(Frame(header, arrays), len(rows.cells))


def _market(bars: Bars) -> dict[str, Any]:
    identity = {"symbol": str(bars.symbol), "timeframe": str(bars.timeframe), "venue": bars.venue}
    return identity | {"fingerprint": bars.fingerprint, "bars": len(bars)}
