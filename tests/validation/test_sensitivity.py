"""Runs around a result: its own figure is among them, and more cost is never a gain."""

import numpy as np
import pytest

from atb.engine.policy import ExecutionModel
from atb.workbench import cost_table, run, shift_table
from tests.bars import random_walk
from tests.scenarios import scripted_slot

SIDES = tuple(np.where(np.arange(1_000) // 12 % 2 == 0, 1.0, 0.0))


@pytest.fixture
def slot():
    return scripted_slot(
        random_walk(1_000, 2), SIDES, None, ExecutionModel(fee=0.001, slippage=0.0005, maker_fee=0.0005)
    )


def test_the_runs_own_return_is_in_the_table_of_costs(slot):
    start = slot.bars.frame.index[0]
    table = cost_table(slot, start, fees=[0.0, 0.001, 0.002], slippages=[0.0, 0.0005])
    assert table.loc["0.100%", "0.050%"] == run(slot, start=start).stats["total_return_pct"]
    assert (table.diff().dropna() < 0).all().all()
    assert (table["0.050%"] < table["0.000%"]).all()


def test_the_runs_own_return_is_in_the_table_of_starts(slot):
    start = slot.bars.frame.index[0]
    table = shift_table(slot, start, days=[0, 3])
    result = run(slot, start=start)
    assert table.loc[0, "total return (%)"] == result.stats["total_return_pct"]
    assert table.loc[0, "holding (%)"] == result.baselines["hold"]["total_return_pct"]
    assert table.loc[3, "trades"] == run(slot, start=slot.bars.frame.index[72]).stats["n_trades"]
