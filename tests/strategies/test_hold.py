"""Hold: long at every bar, so that its backtest is the baseline of every report."""

import pytest

from atb.backtest import run
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.engine.slot import Slot
from atb.strategies import make_strategy
from tests.bars import bars_of, random_walk


def test_it_earns_nearly_what_the_baseline_of_every_result_does():
    """The baseline buys at the first open; a strategy decides at the first close and buys one bar later."""
    bars = bars_of(random_walk(400))
    slot = Slot(make_strategy("hold"), bars, RiskPolicy(fraction=1.0), ExecutionModel(fee=0.0, slippage=0.0))
    result = run(slot)
    assert len(result.orders) == 1
    grew = bars.frame["close"].iloc[-1] / bars.frame["open"].iloc[1] - 1
    assert result.stats["total_return_pct"] == pytest.approx(100 * grew, rel=0.01)
