"""Backtests: slots in, a `Result` out, computed by the decision kernel and audited by vectorbt."""

from atb.backtest.result import Result
from atb.backtest.screening import Screen, screen
from atb.backtest.simulation import run
from atb.backtest.sweeping import Sweep, sweep

__all__ = ["Result", "Screen", "Sweep", "run", "screen", "sweep"]
