"""The trials ledger: everything that was ever tried on some bars, and the Sharpe ratio that luck alone would reach by now.

Every `backtest.run`, each combination of a `backtest.sweep`, every column of a `backtest.screen` and each move of the explorer is
recorded here before its result is handed out: strategy, parameters, policy, costs, bars, Sharpe ratio, and returns by day.

The ledger is files, not a database: it lies below the backtests, which know no database, and a row costs microseconds. Each
machine appends to files of its own, `<data root>/trials/<machine>/<month>.trials`, by one write under a lock, so that any number
of processes may write at once and a killed one leaves at most one unfinished piece, which is passed over and counted. A run is
written before its result is returned, a sweep's rows every second and at its end: a kill loses nothing that was shown. To bring the
trials of several machines together, copy their folders side by side (rsync): reading is merging, and a trial that is there
twice counts once. Runs meet in the registry (SQLite, or PostgreSQL for many machines); trials meet here.

Of every trial the row keeps what was tried and its figures. Day returns are kept of every run, and of every trial of a recording of
up to 32; of a larger sweep or screen of every 32nd, 32 to 512 of them, evenly spread. To keep all would take a fifth of a sweep's
time, since the account's value at every close would have to be written (without, a combination takes running sums alone), and some
kilobytes for each of perhaps a million rows. How alike the others are is judged from the sample (`atb.trials.luck`).

Which trials are *looks at the same data*: those that traded at least one of the same markets (symbol and timeframe; a generated
series is never a market's) over periods that overlap by at least half of the shorter one. So some bars more change nothing, and
a period held out is unseen. Trials with equal strategy, parameters, policy, costs, account, model and markets count once.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atb.trials.luck import effective_number, expected_maximum
    from atb.trials.recording import recording_as
    from atb.trials.seen import Seen, seen, seen_by_market

_HOMES = {
    "Seen": "seen",
    "effective_number": "luck",
    "expected_maximum": "luck",
    "recording_as": "recording",
    "seen": "seen",
    "seen_by_market": "seen",
}

__all__ = ["Seen", "effective_number", "expected_maximum", "recording_as", "seen", "seen_by_market"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names, loaded or not: what a notebook completes to."""
    return sorted(__all__)
