"""A sweep's rows are the single runs that they name, to the last bit, however many there are and whatever interrupts it."""

import threading
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from atb.backtest import run, sweep
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy, grid
from atb.engine.slot import Slot
from atb.errors import InputError
from atb.features.indicators import averages, register
from atb.strategies import grid as strategy_grid
from atb.strategies import make_strategy
from tests.bars import bars_of, random_walk
from tests.scenarios import random_slots
from tests.seeds import seeds

POLICIES = grid(stop_loss=[0.005, 0.02], take_profit=[None, 0.01, 0.05], trailing_atr=[None, 2.0])


def slot(count: int = 600, seed: int = 1, symbol: str = "BTC/USDT") -> Slot:
    return Slot(
        make_strategy("sma_cross", fast=3, slow=9),
        bars_of(random_walk(count, seed), symbol),
        RiskPolicy(stop_loss=0.02),
    )


def same(one: float, other: float) -> bool:
    return np.float64(one).tobytes() == np.float64(other).tobytes() or (np.isnan(one) and np.isnan(other))


def assert_rows_are_runs(found) -> None:
    for row in found.table.index:
        stats = found.run(row).stats
        figures = [name for name in found.table if name in stats]
        assert len(figures) >= 25
        wrong = [name for name in figures if not same(found.table.loc[row, name], stats[name])]
        assert not wrong, (row, wrong)


def test_each_row_equals_the_single_run_bit_by_bit():
    found = sweep(slot(), policies=POLICIES)
    assert len(found) == 12
    assert found.table["n_trades"].min() > 5
    assert found.table["final_equity"].nunique() > 6
    assert_rows_are_runs(found)


def test_each_row_of_a_strategy_grid_equals_its_single_run():
    found = sweep(slot(), strategies=strategy_grid("sma_cross", fast=[3, 5, 9], slow=[7, 20]), policies=POLICIES[:2])
    assert list(found.table.columns[:2]) == ["fast", "slow"]
    assert len(found) == 10  # 9 of 20 and 7 of 9 do not cross
    assert_rows_are_runs(found)


@pytest.mark.parametrize("seed", seeds(6))
def test_slots_on_one_account_are_swept_together(seed):
    slots, account = random_slots(seed)
    found = sweep(
        slots, policies=grid(stop_loss=[0.01, 0.05], max_bars=[0, 10]), strategies=[slots[0].strategy], account=account
    )
    assert len(found) == 4
    assert_rows_are_runs(found)


def test_bars_before_the_start_only_warm_up():
    bars = slot()
    start = bars.bars.frame.index[200]
    found = sweep(bars, policies=POLICIES[:3], start=start)
    assert set(found.table["bars"]) == {400.0}
    assert_rows_are_runs(found)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_number_of_workers_changes_nothing(workers, monkeypatch):
    monkeypatch.setattr("atb.backtest.sweeping._LARGEST", 2)
    found = sweep(slot(), policies=POLICIES, workers=workers)
    pd.testing.assert_frame_equal(found.table, sweep(slot(), policies=POLICIES).table, check_exact=True)


def test_an_indicator_is_computed_once_for_each_distinct_parameter(monkeypatch):
    calls = []
    original = averages.mean
    monkeypatch.setattr(averages, "mean", lambda x, n: calls.append(n) or original(x, n))
    sweep(slot(), strategies=strategy_grid("sma_cross", fast=[3, 4, 5], slow=[10, 20, 30]), policies=POLICIES)
    assert sorted(calls) == [3, 4, 5, 10, 20, 30]


def test_what_is_remembered_is_bounded_and_right(monkeypatch):
    monkeypatch.setattr(register, "_REMEMBERED_BYTES", 3 * 600 * 8)
    found = sweep(slot(), strategies=strategy_grid("sma_cross", fast=[3, 4, 5], slow=[10, 20, 30]))
    assert_rows_are_runs(found)


def test_an_interrupt_keeps_what_is_done(monkeypatch):
    monkeypatch.setattr("atb.backtest.sweeping._LARGEST", 1)
    seen = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        if done >= 4:
            raise KeyboardInterrupt

    found = sweep(slot(), policies=POLICIES, workers=1, progress=progress)
    assert not found.complete
    assert 4 <= len(found) < 12
    assert "interrupted" in repr(found)
    assert seen[-1][1] == 12
    assert_rows_are_runs(found)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sweep")]


def test_memory_does_not_grow_with_bars_times_combinations():
    def peak(count: int) -> int:
        policies = grid(stop_loss=[round(0.001 * k, 4) for k in range(1, count + 1)])
        tracemalloc.start()
        sweep(market, policies=policies)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    market = slot(20_000)
    peak(4)
    assert peak(400) - peak(4) < 400 * 8_000  # one equity curve alone is 160,000 bytes


def test_the_best_row_is_found_by_any_figure():
    found = sweep(slot(), policies=POLICIES)
    assert found.table.loc[found.best("total_return_pct"), "total_return_pct"] == found.table["total_return_pct"].max()
    assert (
        found.table.loc[found.best("max_drawdown_pct", largest=False), "max_drawdown_pct"]
        == found.table["max_drawdown_pct"].min()
    )


def test_a_sweep_shows_itself():
    found = sweep(slot(), policies=POLICIES)
    assert repr(found) == "<Sweep of 12 combinations over 600 bars>"
    assert found._repr_html_().count("<tr") == 12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sweep([]), "at least one slot"),
        (lambda: sweep(slot(), policies=[]), "at least one of policies"),
        (lambda: sweep(slot(), policies=RiskPolicy()), "a list with at least one of policies"),
        (lambda: sweep(slot(), workers=0), "workers must be a whole number"),
        (lambda: sweep(slot(), workers=1.5), "workers must be a whole number"),
        (lambda: sweep({}), "a Slot or a list of them"),
        (lambda: sweep(slot(), account={}), "must be an AccountPolicy"),
        (lambda: sweep(slot(), start="2024-01-02"), "a time with a zone"),
        (lambda: run("BTC/USDT"), "a Slot or a list of them"),
        (lambda: run(slot(), account={}), "must be an AccountPolicy"),
        (lambda: run(slot(), start="2024-01-02"), "a time with a zone"),
        (lambda: run(slot(), start=pd.Timestamp("2024-01-02")), "a time with a zone"),
        (lambda: sweep(slot()).run(7), "no such row"),
        (lambda: sweep(slot()).best("sharp"), "Did you mean .sharpe"),
        (lambda: grid(stop_los=[0.1]), "Did you mean .stop_loss"),
        (lambda: grid(stop_loss=[]), "at least one value"),
        (lambda: grid(stop_loss=[2.0]), "stop_loss must be"),
        (lambda: strategy_grid("sma_cross", fst=[1]), "Did you mean .fast"),
        (lambda: strategy_grid("sma_cross", fast=[9], slow=[3]), "accepts no combination"),
        (lambda: strategy_grid("sma_cross", fast=["9"]), "whole number"),
        (lambda: sweep((slot(), Slot(make_strategy("sma_cross"), slot().bars))), "differ in their policies"),
    ],
)
def test_what_cannot_be_swept_is_refused_with_one_clear_error(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_costs_are_each_slot_s_own():
    dear = Slot(slot().strategy, slot().bars, slot().policy, ExecutionModel(fee=0.01))
    found = sweep(dear, policies=POLICIES[:1], account=AccountPolicy(cash=500.0))
    assert found.table["fees_paid"].iloc[0] > 100
    assert found.run(0).stats["final_equity"] == found.table["final_equity"].iloc[0]
    assert run(dear).stats["fees_paid"] > 0


def test_progress_true_draws_a_bar_that_ends_at_all_combinations(monkeypatch):
    import rich.progress

    drawn = []
    advance = rich.progress.Progress.update

    def update(bar, task, **shown):
        advance(bar, task, **shown)
        drawn.append((bar.tasks[0].completed, bar.tasks[0].total))

    monkeypatch.setattr(rich.progress.Progress, "update", update)
    found = sweep(slot(), policies=POLICIES, workers=1, progress=True)
    assert drawn[-1] == (12, 12)
    assert found.table.equals(sweep(slot(), policies=POLICIES, workers=1).table)
