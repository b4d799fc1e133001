"""Backtests: slots in, a `Result` out, computed by the decision kernel and audited by vectorbt."""

from typing import TYPE_CHECKING, Any

from atb.backtest.result import Result
from atb.backtest.running import run
from atb.backtest.sweeping import Sweep, sweep

if TYPE_CHECKING:
    from atb.backtest.screening import Screen, screen

__all__ = ["Result", "Screen", "Sweep", "run", "screen", "sweep"]


def __getattr__(name: str) -> Any:
    """Load the screening module at first use, so that a backtest does not pay for it."""
    if name in {"Screen", "screen"}:
        from atb.backtest import screening

        return getattr(screening, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, loaded or not: what a notebook completes to."""
    return sorted(__all__)
