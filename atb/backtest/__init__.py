"""Backtests: slots in, a `Result` out, computed by the decision kernel and audited by vectorbt."""

from atb.backtest.result import Result
from atb.backtest.simulation import run

__all__ = ["Result", "run"]
